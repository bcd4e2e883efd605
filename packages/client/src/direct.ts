import { payloadValue, type Receipt, toPayload, ZurufError } from "@zuruf/protocol";
import { type AnyClient, ClientCore } from "./client.ts";
import { Emitter, type Listenable } from "./emitter.ts";

/** A message from one client, or from the server, to this one. */
export interface DirectMessage {
  /** The JSON value, or a `Uint8Array` of the bytes that were sent. */
  readonly data: unknown;
  /** The sender's client id; undefined: the server, or a backend. */
  readonly from: string | undefined;
  /** The sender's user; undefined: nobody the server knows. */
  readonly user: string | undefined;
  /** When the server took it, milliseconds since 1970. */
  readonly time: number;
}

export interface DirectEvents {
  /** A direct message arrived. Its sender's receipt says `delivered` once a handler of this event was called; without a handler it does not. */
  message: DirectMessage;
}

export interface SendOptions {
  /** Milliseconds for the receipt, 1–30 000. Default 5000. */
  readonly timeout?: number;
}

/** Direct messages of one client. */
export interface Direct extends Listenable<DirectEvents> {
  /**
   * Sends a JSON value or bytes to a client id, or to `user:<id>` (all connections of that user).
   * Resolves `delivered` when a receiving client confirmed it, `offline` when every server instance said that there is no such client, else `unknown`.
   * Rejects when the server refuses, and with `unavailable` when it could not be sent in time. Never sent twice.
   */
  send(to: string, data: unknown, options?: SendOptions): Promise<Receipt>;
}

const directs = new WeakMap<object, ClientDirect>();

/** A client's direct messages; the same object each time. */
export function direct(client: AnyClient): Direct {
  const known = directs.get(client);
  if (known !== undefined) return known;
  if (!(client instanceof ClientCore)) throw new TypeError("this client is not one that createClient() made");
  const made = new ClientDirect(client);
  directs.set(client, made);
  return made;
}

/** What the answer may take beyond the receipt's own time, milliseconds. */
const margin = 5_000;

class ClientDirect extends Emitter<DirectEvents> implements Direct {
  readonly #client: ClientCore;

  constructor(client: ClientCore) {
    super();
    this.#client = client;
    client.line.handle("direct", ({ id, from, user, time, payload }) => {
      if (this.emit("message", { data: payloadValue(payload), from, user, time }))
        client.line.notify({ type: "received", id });
    });
  }

  async send(to: string, data: unknown, { timeout }: SendOptions = {}): Promise<Receipt> {
    const payload = toPayload(data);
    try {
      const { receipt } = await this.#client.line.request(
        { type: "send", to, ...(timeout !== undefined && { timeout }), payload },
        "receipt",
        (timeout ?? 5_000) + margin,
      );
      return receipt;
    } catch (error) {
      // It was sent, and what became of it cannot be known: that is what the receipt `unknown` says.
      if (error instanceof ZurufError && (error.code === "unknown" || error.code === "timeout")) return "unknown";
      throw error;
    }
  }
}
