import {
  type CallMap,
  type CallName,
  type DataIn,
  type DataOut,
  type PacketOf,
  payloadValue,
  toPayload,
  ZurufError,
} from "@zuruf/protocol";
import { type AnyClient, ClientCore } from "./client.ts";
import type { Off } from "./emitter.ts";

export interface CallOptions {
  /** Milliseconds for the answer, 1–60 000. Default 10 000. */
  readonly timeout?: number;
}

/** Calls of one client, both ways. */
export interface Calls<Remote extends object = CallMap, Local extends object = CallMap> {
  /**
   * Calls a method of the server with a JSON value or bytes (nothing: null); resolves with what it returned.
   * Rejects with the handler's error, which may carry a word of the application's own; `notFound`: no such method; `timeout`; `unavailable`: it was not sent;
   * `unknown`: it was sent and the connection ended. Never sent twice.
   */
  call<Name extends CallName<Remote>>(
    method: Name,
    ...given: undefined extends DataIn<Remote, Name>
      ? [data?: DataIn<Remote, Name>, options?: CallOptions]
      : [data: DataIn<Remote, Name>, options?: CallOptions]
  ): Promise<DataOut<Remote, Name>>;
  /**
   * Answers the server's calls of `method` with what `handler` returns or resolves to; one handler per method, a later one takes its place.
   * A `ZurufError` that it throws is what the caller gets; any other error is `internal` for the caller and this client's `error`.
   */
  handle<Name extends CallName<Local>>(
    method: Name,
    handler: (data: DataIn<Local, Name>) => DataOut<Local, Name> | Promise<DataOut<Local, Name>>,
  ): Off;
}

const all = new WeakMap<object, ClientCalls>();

/** A client's calls; the same object each time. */
export function calls<Remote extends object = CallMap, Local extends object = CallMap>(
  client: AnyClient,
): Calls<Remote, Local> {
  let known = all.get(client);
  if (known === undefined) {
    if (!(client instanceof ClientCore)) throw new TypeError("this client is not one that createClient() made");
    known = new ClientCalls(client);
    all.set(client, known);
  }
  return known as unknown as Calls<Remote, Local>;
}

/** What the answer may take beyond the call's own time, milliseconds. */
const margin = 5_000;

class ClientCalls {
  readonly #client: ClientCore;
  readonly #handlers = new Map<string, (data: unknown) => unknown>();

  constructor(client: ClientCore) {
    this.#client = client;
    client.line.handle("call", (packet) => void this.#answer(packet));
  }

  async call(method: string, data: unknown = null, { timeout }: CallOptions = {}): Promise<unknown> {
    const packet = {
      type: "call",
      method,
      ...(timeout !== undefined && { timeout }),
      payload: toPayload(data),
    } as const;
    const { payload } = await this.#client.line.request(packet, "result", (timeout ?? 10_000) + margin);
    return payloadValue(payload);
  }

  handle(method: string, handler: (data: unknown) => unknown): Off {
    this.#handlers.set(method, handler);
    return () => void (this.#handlers.get(method) === handler && this.#handlers.delete(method));
  }

  async #answer({ id, method, payload }: PacketOf<"call">): Promise<void> {
    const { line } = this.#client;
    try {
      const handler = this.#handlers.get(method);
      if (handler === undefined) throw new ZurufError("notFound", `this client has no handler for ${method}`);
      const value = await handler(payloadValue(payload));
      // A handler that returns nothing answers null: JSON has no undefined.
      line.notify({ type: "result", id, payload: toPayload(value === undefined ? null : value) });
    } catch (cause) {
      const known = cause instanceof ZurufError;
      const error = known ? cause : new ZurufError("internal", `the handler of ${method} failed`, { cause });
      if (!known) this.#client.emit("error", error);
      const { code, message, retryable, retryAfter } = error;
      line.notify({ type: "error", id, error: [code, message, retryable, retryAfter] });
    }
  }
}
