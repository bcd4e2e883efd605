import { constants, deflateRaw, deflateRawSync } from "node:zlib";
import type { ZlibOptions } from "node:zlib";
import { openZlib } from "./internals.ts";
import type { ZlibState } from "./internals.ts";
import { growScratch, takeScratch } from "./scratch.ts";

/** RFC 7692 §7.2.1: a compressed message leaves out the four bytes 00 00 ff ff that a flush ends with. */
const TAIL = 4;

/** Compresses messages, RFC 7692 §7.2.1. */
export class Deflater {
  readonly #options: ZlibOptions;
  readonly #internals: boolean;
  readonly #takeover: boolean;
  readonly #oneShots: ZlibOptions[] = [];
  #state: ZlibState | undefined;

  /**
   * @param windowBits 9–15.
   * @param takeover whether each message may refer to those before it: then this is one connection's own, and needs internals.
   */
  constructor(windowBits: number, level: number, internals: boolean, takeover: boolean) {
    this.#options = {
      windowBits,
      level,
      memLevel: MEMORY_LEVEL,
      flush: constants.Z_SYNC_FLUSH,
      finishFlush: constants.Z_SYNC_FLUSH,
    };
    this.#internals = internals;
    this.#takeover = takeover;
  }

  /** Compresses one message now. @returns bytes that are valid until the next message is compressed or decompressed. */
  compress(bytes: Uint8Array): Buffer {
    if (this.#internals) this.#state ??= openZlib("deflate", this.#options);
    const state = this.#state;
    if (state === undefined) {
      const whole = deflateRawSync(bytes, this.#optionsFor(bytes.length));
      return whole.subarray(0, whole.length - TAIL);
    }
    let output = takeScratch();
    let used = 0;
    let at = 0;
    for (;;) {
      state.run(constants.Z_SYNC_FLUSH, bytes, at, bytes.length - at, output, used);
      used = output.length - state.outputLeft;
      at = bytes.length - state.inputLeft;
      if (state.outputLeft > 0) break;
      output = growScratch(used, Number.MAX_SAFE_INTEGER);
    }
    if (!this.#takeover) state.reset();
    return output.subarray(0, used - TAIL);
  }

  /** One-shot options: a window no larger than the message needs, which is most of what making a state costs. */
  #optionsFor(length: number): ZlibOptions {
    const { windowBits = 15 } = this.#options;
    const bits = Math.min(Math.max(32 - Math.clz32(length), 10), windowBits);
    this.#oneShots[bits] ??= { ...this.#options, windowBits: bits, chunkSize: 2 ** bits };
    return this.#oneShots[bits];
  }

  /**
   * Compresses one message on zlib's threads, without any context. @returns bytes of its own.
   * RFC 7692 §7.1.1: the next message then must not refer to those before this one, which the context here has not seen.
   */
  async compressAside(bytes: Uint8Array): Promise<Buffer> {
    this.#state?.reset();
    const whole = await new Promise<Buffer>((resolve, reject) => {
      deflateRaw(bytes, this.#options, (error, result) => (error === null ? resolve(result) : reject(error)));
    });
    return whole.subarray(0, whole.length - TAIL);
  }

  close(): void {
    this.#state?.close();
    this.#state = undefined;
  }
}

/** Resetting a state clears its hash table, which this sizes: 8, zlib's own default, makes small messages slow. */
const MEMORY_LEVEL = 6;
