import { type Clock, type Codec, systemClock } from "@zuruf/protocol";
import { openWebSocket } from "#platform";
import type { BackoffBounds } from "./ending.ts";
import { jsonCodec } from "./json-codec.ts";
import type { OutboxLimits } from "./outbox.ts";
import type { TransportFactory } from "./transport.ts";

export interface ClientOptions {
  /** What proves who this is, or a function that gives it: asked before each connection, and again before the session expires. Default: none. */
  readonly token?: string | (() => string | Promise<string>);
  /** Milliseconds from the start of an attempt to the finished handshake, and for each request that is no publication. Default 10 000. */
  readonly timeout?: number;
  /** Milliseconds that a publication has, unless it says otherwise; Infinity: no end. Default 30 000. */
  readonly deadline?: number;
  /** Publications without an answer yet, at most: how many (`publications`, default 1000), and how much data together (`bytes`, default 1 048 576). */
  readonly queue?: Partial<OutboxLimits>;
  /** Ceilings of the random delay before a new attempt, milliseconds: of the first (`min`, default 1000), doubling up to `max` (default 20 000). */
  readonly backoff?: Partial<BackoffBounds>;
  /** Milliseconds of quiet after which either side says that it lives; a wish, the server decides. Default: the server's. */
  readonly heartbeat?: number;
  /** How packets are written. Default JSON; `binaryCodec` of `@zuruf/client/binary` is smaller for bytes. */
  readonly codec?: Codec;
  /** Makes the line to the server. Default: the platform's `WebSocket`, or `@zuruf/websocket` in Node 20, which has none. */
  readonly transport?: TransportFactory;
  /** Time and timers. Default: the machine's. */
  readonly clock?: Clock;
  /** Random numbers from 0 to below 1, for delays and idempotency keys. Default: the platform's secure source. */
  readonly random?: () => number;
}

export interface Settings {
  readonly token: (() => string | Promise<string>) | undefined;
  readonly timeout: number;
  readonly deadline: number;
  readonly queue: OutboxLimits;
  readonly backoff: BackoffBounds;
  readonly heartbeat: number | undefined;
  readonly codec: Codec;
  readonly transport: TransportFactory;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Secure, because who could guess a key could publish under it first, and the original would count as its repeat. */
function secureRandom(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

export function settle({ token, queue, backoff, ...rest }: ClientOptions): Settings {
  return {
    timeout: 10_000,
    deadline: 30_000,
    heartbeat: undefined,
    codec: jsonCodec,
    transport: openWebSocket,
    clock: systemClock,
    random: secureRandom,
    ...rest,
    token: typeof token === "string" ? () => token : token,
    queue: { publications: 1000, bytes: 2 ** 20, ...queue },
    backoff: { min: 1000, max: 20_000, ...backoff },
  };
}
