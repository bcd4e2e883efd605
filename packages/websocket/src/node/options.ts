import { WebSocketError } from "../core/errors.ts";
import { readCompressionOptions } from "./compression-options.ts";
import type { CompressionLimits, CompressionOptions } from "./compression-options.ts";
import { readInteger } from "./integer-option.ts";
import type { IntegerOption } from "./integer-option.ts";

/** What happens to a socket with more than `maxBuffered` bytes waiting: it is cut off, or the message is dropped. */
export type OverflowPolicy = "close" | "drop";

/** A server's options; all have defaults. */
export interface ServerOptions {
  /** Bytes in one message from a peer, after decompression. 1 to 2^30, default 1 MiB. A larger one closes with 1009. */
  readonly maxMessage?: number;
  /** Bytes of payload in one frame from a peer. 125 to 2^30, default `maxMessage`. A larger one closes with 1009. */
  readonly maxFrame?: number;
  /** Frames in one message from a peer, empty ones included. 1 to 2^20, default 1024. More close with 1008. */
  readonly maxFragments?: number;
  /** Bytes of headers in a handshake. 256 to 2^20, default 16 KiB. More are refused with 431. */
  readonly maxHeader?: number;
  /** Milliseconds for a whole handshake, `upgrade`'s answer included. 1 to 2^31-1, default 10,000. */
  readonly handshakeTimeout?: number;
  /** Milliseconds of silence after which a peer has been pinged; half of it at the earliest. 0 (never) to 2^31-1, default 30,000. */
  readonly pingInterval?: number;
  /** Milliseconds after a ping within which a peer must send something, or be cut off. 1 to 2^31-1, default 20,000. */
  readonly pingTimeout?: number;
  /** Milliseconds for a closing handshake, and for the peer to end the connection after it. 1 to 2^31-1, default 5,000. */
  readonly closeTimeout?: number;
  /** Bytes waiting on one socket beyond which `send` returns false. 0 (any) to 2^30, default 64 KiB. */
  readonly highWaterMark?: number;
  /** Bytes waiting on one socket beyond which no further message is taken. 1 to 2^31-1, default 4 MiB; one message may go beyond it. */
  readonly maxBuffered?: number;
  /** What happens to a message that is not taken: "close" (default) cuts the socket off with SLOW_CONSUMER, "drop" forgets the message. */
  readonly overflow?: OverflowPolicy;
  /** Compression of messages with clients that offer it, RFC 7692. Default false; true takes `CompressionOptions`' defaults. */
  readonly compression?: boolean | CompressionOptions;
  /**
   * Whether Node's internals may be used where they are as expected: faster, otherwise the same.
   * Default true, unless the environment has `ZURUF_NO_INTERNALS=1`.
   */
  readonly internals?: boolean;
}

/** Options with their defaults filled in. */
export interface ServerLimits extends Required<Omit<ServerOptions, "compression">> {
  /** Undefined: no compression. */
  readonly compression: CompressionLimits | undefined;
}

const SIZE = 2 ** 30;
const TIME = 2 ** 31 - 1;

/** The numeric options: least, most, default. */
export const integerOptions: Readonly<Record<IntegerOptionName, IntegerOption>> = {
  maxMessage: { least: 1, most: SIZE, standard: 1024 * 1024 },
  maxFrame: { least: 125, most: SIZE, standard: 1024 * 1024 },
  maxFragments: { least: 1, most: 2 ** 20, standard: 1024 },
  maxHeader: { least: 256, most: 2 ** 20, standard: 16 * 1024 },
  handshakeTimeout: { least: 1, most: TIME, standard: 10_000 },
  pingInterval: { least: 0, most: TIME, standard: 30_000 },
  pingTimeout: { least: 1, most: TIME, standard: 20_000 },
  closeTimeout: { least: 1, most: TIME, standard: 5_000 },
  highWaterMark: { least: 0, most: SIZE, standard: 64 * 1024 },
  maxBuffered: { least: 1, most: TIME, standard: 4 * 1024 * 1024 },
};

type IntegerOptionName =
  | "maxMessage"
  | "maxFrame"
  | "maxFragments"
  | "maxHeader"
  | "handshakeTimeout"
  | "pingInterval"
  | "pingTimeout"
  | "closeTimeout"
  | "highWaterMark"
  | "maxBuffered";

const otherOptions: ReadonlySet<string> = new Set(["overflow", "internals", "compression"]);

/** Fills in defaults. @throws WebSocketError INVALID_OPTION, naming the option. */
export function readServerOptions(options: ServerOptions): ServerLimits {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(integerOptions, name) && !otherOptions.has(name)) {
      throw new WebSocketError("INVALID_OPTION", `there is no option ${JSON.stringify(name)}`);
    }
  }
  const integer = (name: IntegerOptionName): number => readInteger(name, options[name], integerOptions[name]);
  const maxMessage = integer("maxMessage");
  const { overflow = "close", internals = process.env["ZURUF_NO_INTERNALS"] !== "1" } = options;
  if (overflow !== "close" && overflow !== "drop") {
    throw new WebSocketError("INVALID_OPTION", `overflow must be "close" or "drop", not ${String(overflow)}`);
  }
  if (typeof internals !== "boolean") throw new WebSocketError("INVALID_OPTION", "internals must be true or false");
  return {
    maxMessage,
    maxFrame: readInteger("maxFrame", options.maxFrame, {
      ...integerOptions.maxFrame,
      standard: Math.max(maxMessage, integerOptions.maxFrame.least),
    }),
    maxFragments: integer("maxFragments"),
    maxHeader: integer("maxHeader"),
    handshakeTimeout: integer("handshakeTimeout"),
    pingInterval: integer("pingInterval"),
    pingTimeout: integer("pingTimeout"),
    closeTimeout: integer("closeTimeout"),
    highWaterMark: integer("highWaterMark"),
    maxBuffered: integer("maxBuffered"),
    overflow,
    internals,
    compression: readCompressionOptions(options.compression),
  };
}
