import { WebSocketError } from "../core/errors.ts";
import { readInteger } from "./integer-option.ts";
import type { IntegerOption } from "./integer-option.ts";

/** How messages are compressed, RFC 7692; all have defaults. */
export interface CompressionOptions {
  /** Bytes below which a message is sent as it is. 1 to 2^30, default 512. */
  readonly threshold?: number;
  /** zlib's level. 1 (fastest) to 9 (smallest), default 3. */
  readonly level?: number;
  /**
   * Whether a message may refer to those before it: smaller messages, but some 300 KiB of memory per socket, and
   * prepared messages are compressed for each socket anew. Default false. Needs `internals`; without, nothing is kept.
   */
  readonly contextTakeover?: boolean;
  /** Sockets that may keep a context at a time; further ones do without. 1 to 2^20, default 1000. */
  readonly maxContexts?: number;
  /** Base-2 logarithm of the server's window. 8 to 15, default 15. With 8, only messages up to 256 bytes are compressed. */
  readonly serverMaxWindowBits?: number;
  /** Base-2 logarithm of the client's window. 8 to 15, default 15. Below 15, a server compresses only with clients that offer it. */
  readonly clientMaxWindowBits?: number;
}

/** Options with their defaults filled in. */
export type CompressionLimits = Required<CompressionOptions>;

type IntegerName = Exclude<keyof CompressionOptions, "contextTakeover">;

/** The numeric options: least, most, default. */
export const compressionIntegers: Readonly<Record<IntegerName, IntegerOption>> = {
  threshold: { least: 1, most: 2 ** 30, standard: 512 },
  level: { least: 1, most: 9, standard: 3 },
  maxContexts: { least: 1, most: 2 ** 20, standard: 1000 },
  serverMaxWindowBits: { least: 8, most: 15, standard: 15 },
  clientMaxWindowBits: { least: 8, most: 15, standard: 15 },
};

/** Fills in defaults; undefined: no compression. @throws WebSocketError INVALID_OPTION, naming the option. */
export function readCompressionOptions(
  compression: boolean | CompressionOptions | undefined,
): CompressionLimits | undefined {
  if (compression === undefined || compression === false) return undefined;
  const options = compression === true ? {} : compression;
  if (typeof options !== "object" || options === null) {
    throw new WebSocketError("INVALID_OPTION", "compression must be true, false or an object of options");
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(compressionIntegers, name) && name !== "contextTakeover") {
      throw new WebSocketError("INVALID_OPTION", `there is no option ${JSON.stringify(`compression.${name}`)}`);
    }
  }
  const { contextTakeover = false } = options;
  if (typeof contextTakeover !== "boolean") {
    throw new WebSocketError("INVALID_OPTION", "compression.contextTakeover must be true or false");
  }
  const integer = (name: IntegerName): number =>
    readInteger(`compression.${name}`, options[name], compressionIntegers[name]);
  return {
    threshold: integer("threshold"),
    level: integer("level"),
    contextTakeover,
    maxContexts: integer("maxContexts"),
    serverMaxWindowBits: integer("serverMaxWindowBits"),
    clientMaxWindowBits: integer("clientMaxWindowBits"),
  };
}
