import {
  payloadValue,
  toPayload,
  ZurufError,
  type Packet,
  type PacketOf,
  type Payload,
  type Receipt,
} from "@zuruf/protocol";
import { mayAccess } from "./access.ts";
import type { InstanceId } from "./backplane.ts";
import type { Connection } from "./connection.ts";
import type { Core } from "./core.ts";
import { inTime } from "./in-time.ts";
import { payloadFromBytes, payloadToBytes } from "./payload-bytes.ts";
import { dataLength } from "./publish.ts";

const defaultTimeout = 5000;
const maxTimeout = 30_000;
/** Milliseconds that the others have to say whether they know somebody; part of the timeout. */
const surveyFor = 2000;

/** Who sends; both absent: the server. */
export interface Sender {
  readonly client?: string | undefined;
  readonly user?: string | undefined;
}

/** What one instance could do: `none`, it has no such connection. */
type Outcome = "delivered" | "unknown" | "none";

/**
 * Direct messages: asked for where the receiver is, handed to the instances that have it and to no other.
 * The receipt is the receiving client's own confirmation.
 */
export class Directs {
  readonly #core: Core;
  /** The last message on its way from one sender to one receiver: the next is dispatched after it. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(core: Core) {
    this.#core = core;
    core.control.answer("where", async (args) => ({
      value: typeof args === "string" && this.#targets(args).length > 0,
    }));
    core.control.answer("direct", async (args, data) => {
      const message = directArgs(args);
      const payload = payloadFromBytes(data);
      if (message === undefined || payload === undefined) return undefined;
      return { value: await this.#deliver(message.to, message, payload, message.timeout) };
    });
  }

  async send(from: Sender, to: string, payload: Payload, timeout: number = defaultTimeout): Promise<Receipt> {
    const turn = `${from.client ?? ""} ${to}`;
    const before = this.#turns.get(turn);
    const dispatching = this.#inTurn(before, from, to, payload, timeout);
    const done = dispatching.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(turn, done);
    try {
      return await (
        await dispatching
      ).receipt;
    } finally {
      if (this.#turns.get(turn) === done) this.#turns.delete(turn);
    }
  }

  async #inTurn(
    before: Promise<void> | undefined,
    from: Sender,
    to: string,
    payload: Payload,
    timeout: number,
  ): Promise<{ receipt: Promise<Receipt> }> {
    if (before !== undefined) await before;
    const message = { to, from: from.client, user: from.user, time: this.#core.clock.now(), timeout };
    // One client has one connection; a user may have more elsewhere.
    const isUser = to.startsWith("user:");
    const here = this.#targets(to).length > 0;
    if (here && !isUser) return { receipt: receiptOf([this.#deliver(to, message, payload, timeout)], true) };
    const { owners, everybody } = await whereIs(this.#core, to, Math.min(timeout, surveyFor));
    const outcomes: Promise<Outcome>[] = owners.map((owner) => this.#handOver(owner, message, payload));
    // Asked again: it may have moved here meanwhile.
    if (here || this.#targets(to).length > 0) outcomes.push(this.#deliver(to, message, payload, timeout));
    return { receipt: receiptOf(outcomes, everybody) };
  }

  /** The connections here that a message is for. */
  #targets(to: string): Connection[] {
    const { connections } = this.#core;
    const found = to.startsWith("user:") ? [...connections.user(to.slice(5))] : [connections.client(to)];
    return found.filter((connection) => connection?.state === "open") as Connection[];
  }

  async #deliver(
    to: string,
    { from, user, time }: { from?: string | undefined; user?: string | undefined; time: number },
    payload: Payload,
    timeout: number,
  ): Promise<Outcome> {
    const targets = this.#targets(to);
    if (targets.length === 0) return "none";
    const answers = targets.map((connection) => {
      // Somebody who confirms nothing cannot make the server wait for ever more.
      if (connection.pushes.full) return Promise.resolve(undefined);
      return connection.pushes.send(timeout, (id) => {
        connection.send({
          type: "direct",
          id,
          ...(from !== undefined && { from }),
          ...(user !== undefined && { user }),
          time,
          payload,
        });
      });
    });
    const received = await Promise.all(answers);
    return received.some((answer) => answer?.type === "received") ? "delivered" : "unknown";
  }

  async #handOver(owner: InstanceId, message: { timeout: number }, payload: Payload): Promise<Outcome> {
    const { replies } = await this.#core.control.ask("direct", message, {
      to: owner,
      timeout: message.timeout,
      data: payloadToBytes(payload),
    });
    const value = replies.get(owner)?.value;
    return value === "delivered" || value === "none" ? value : "unknown";
  }
}

/** The other instances that have a connection of a client or user, and whether all that live have answered. */
export async function whereIs(
  core: Core,
  to: string,
  timeout: number,
): Promise<{ owners: InstanceId[]; everybody: boolean }> {
  const isUser = to.startsWith("user:");
  const { replies, missing } = await core.control.ask("where", to, {
    timeout,
    enough: ({ value }) => value === true && !isUser,
  });
  const owners = [...replies].filter(([, { value }]) => value === true).map(([instance]) => instance);
  return { owners, everybody: missing.length === 0 && core.reachable() };
}

async function receiptOf(outcomes: readonly Promise<Outcome>[], everybody: boolean): Promise<Receipt> {
  const all = await Promise.all(outcomes);
  if (all.includes("delivered")) return "delivered";
  return everybody && all.every((outcome) => outcome === "none") ? "offline" : "unknown";
}

function directArgs(
  args: unknown,
): { to: string; from?: string; user?: string; time: number; timeout: number } | undefined {
  if (typeof args !== "object" || args === null) return undefined;
  const { to, from, user, time, timeout } = args as Record<string, unknown>;
  if (typeof to !== "string" || !Number.isSafeInteger(time) || typeof timeout !== "number") return undefined;
  for (const text of [from, user]) if (text !== undefined && typeof text !== "string") return undefined;
  return args as { to: string; time: number; timeout: number };
}

/** Answers a client's `send`. */
export async function sendFrom(connection: Connection, packet: PacketOf<"send">): Promise<Packet> {
  const { core, client, user, data: session } = connection;
  const { to, timeout = defaultTimeout } = packet;
  if (timeout < 1 || timeout > maxTimeout) throw new ZurufError("badRequest", `timeout must be 1 to ${maxTimeout} ms`);
  if (dataLength(packet.payload, core.limits.dataBytes) > core.limits.dataBytes)
    throw new ZurufError("tooLarge", `a direct message may have ${core.limits.dataBytes} bytes`);
  let { payload } = packet;
  const hook = core.hooks.direct;
  if (hook === undefined) await inTime(core, "direct", mayAccess(core.direct, connection, to, "send to"));
  else {
    const original = payloadValue(payload);
    const asked = hook({ client, user, session, to, data: original });
    const data = (await inTime(core, "onDirect", asked)) ?? original;
    if (data !== original) payload = toPayload(data);
  }
  return { type: "receipt", id: packet.id, receipt: await core.directs.send({ client, user }, to, payload, timeout) };
}
