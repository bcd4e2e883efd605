import {
  payloadValue,
  toPayload,
  ZurufError,
  type Packet,
  type PacketOf,
  type Payload,
  type WireError,
} from "@zuruf/protocol";
import type { Connection } from "./connection.ts";
import type { Core } from "./core.ts";
import { whereIs } from "./direct.ts";
import type { Session } from "./hooks.ts";
import { payloadFromBytes, payloadToBytes } from "./payload-bytes.ts";
import { dataLength } from "./publish.ts";

export const defaultCallTimeout = 10_000;
const maxTimeout = 60_000;

export interface CallRequest<Data = unknown> extends Omit<Session, "data"> {
  /** The session's `data`, from `onConnect`. */
  readonly session: unknown;
  readonly method: string;
  /** The JSON value, or a `Uint8Array`. */
  readonly data: Data;
  /** Aborted when the client's deadline is over. */
  readonly signal: AbortSignal;
}
/** Answers a call; what it throws as `ZurufError` (with any code) reaches the client as it is. */
export type CallHandler<Data = unknown, Result = unknown> = (request: CallRequest<Data>) => Result | Promise<Result>;

/** Methods that clients may call. */
export type Calls = Map<string, CallHandler>;

/** Answers a client's `call`. */
export async function callFrom(connection: Connection, packet: PacketOf<"call">): Promise<Packet> {
  const { core, client, user, data: session } = connection;
  const { id, method, timeout = defaultCallTimeout } = packet;
  if (timeout < 1 || timeout > maxTimeout) throw new ZurufError("badRequest", `timeout must be 1 to ${maxTimeout} ms`);
  if (dataLength(packet.payload, core.limits.dataBytes) > core.limits.dataBytes)
    throw new ZurufError("tooLarge", `a call's data may have ${core.limits.dataBytes} bytes`);
  const handler = core.calls.get(method);
  if (handler === undefined) throw new ZurufError("notFound", `there is no method ${method}`);
  const abort = new AbortController();
  let timer: unknown;
  const late = new Promise<never>((_resolve, reject) => {
    timer = core.clock.setTimeout(() => {
      abort.abort();
      reject(new ZurufError("timeout", `${method} took longer than ${timeout} ms`));
    }, timeout);
  });
  try {
    const request = { client, user, session, method, data: payloadValue(packet.payload), signal: abort.signal };
    const result = await Promise.race([Promise.resolve(handler(request)), late]);
    return { type: "result", id, payload: toPayload(result ?? null) };
  } finally {
    core.clock.clearTimeout(timer);
  }
}

/** Lets other instances reach the connections of this one. */
export function answerCalls(core: Core): void {
  core.control.answer("call", async (args, data) => {
    if (typeof args !== "object" || args === null) return undefined;
    const { client, method, timeout } = args as Record<string, unknown>;
    const payload = payloadFromBytes(data);
    if (
      typeof client !== "string" ||
      typeof method !== "string" ||
      typeof timeout !== "number" ||
      payload === undefined
    )
      return undefined;
    const connection = core.connections.client(client);
    if (connection?.state !== "open") return { value: { none: true } };
    const answer = await callHere(connection, method, payload, timeout);
    return answer.payload === undefined
      ? { value: { error: answer.error } }
      : { value: {}, data: payloadToBytes(answer.payload) };
  });
}

type CallAnswer = { payload: Payload; error?: undefined } | { payload?: undefined; error: WireError };

async function callHere(
  connection: Connection,
  method: string,
  payload: Payload,
  timeout: number,
): Promise<CallAnswer> {
  if (connection.pushes.full) return { error: ["rateLimited", "too many calls wait for this client", true, 100] };
  const answer = await connection.pushes.send(timeout, (id) => {
    connection.send({ type: "call", id, method, timeout, payload });
  });
  if (answer?.type === "result") return { payload: answer.payload };
  if (answer?.type === "error") return { error: answer.error };
  return { error: ["timeout", `the client did not answer ${method} in time`, true, 0] };
}

/** Calls a client from the server, wherever it is connected. @throws {ZurufError} the client's own error, `notFound`, or `timeout`. */
export async function callClient(
  core: Core,
  client: string,
  method: string,
  payload: Payload,
  timeout: number,
): Promise<unknown> {
  const here = core.connections.client(client);
  if (here?.state === "open") return resultOf(await callHere(here, method, payload, timeout));
  const { owners, everybody } = await whereIs(core, client, timeout);
  const [owner] = owners;
  if (owner === undefined) {
    if (everybody) throw new ZurufError("notFound", `no client ${client} is connected`);
    throw new ZurufError("timeout", `not every instance said whether ${client} is connected`);
  }
  const { replies } = await core.control.ask(
    "call",
    { client, method, timeout },
    { to: owner, timeout, data: payloadToBytes(payload) },
  );
  const reply = replies.get(owner);
  if (reply === undefined) throw new ZurufError("timeout", `the client did not answer ${method} in time`);
  const { error, none } = (reply.value ?? {}) as { error?: unknown; none?: unknown };
  if (none === true) throw new ZurufError("notFound", `no client ${client} is connected`);
  if (isWireError(error)) return resultOf({ error });
  const result = error === undefined ? payloadFromBytes(reply.data) : undefined;
  if (result === undefined) throw new ZurufError("internal", "another instance answered with what is no result");
  return resultOf({ payload: result });
}

function isWireError(value: unknown): value is WireError {
  if (!Array.isArray(value)) return false;
  const [code, message, retryable, retryAfter] = value as readonly unknown[];
  const texts = typeof code === "string" && typeof message === "string";
  return texts && typeof retryable === "boolean" && typeof retryAfter === "number";
}

function resultOf({ payload, error }: CallAnswer): unknown {
  if (error === undefined) return payloadValue(payload);
  const [code, message, retryable, retryAfter] = error;
  throw new ZurufError(code, message, { retryable, retryAfter });
}
