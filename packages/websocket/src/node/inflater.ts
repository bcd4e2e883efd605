import { constants, inflateRaw, inflateRawSync } from "node:zlib";
import type { ZlibOptions } from "node:zlib";
import { WebSocketError } from "../core/errors.ts";
import { openZlib } from "./internals.ts";
import type { ZlibState } from "./internals.ts";
import { currentScratch, growScratch, takeScratch } from "./scratch.ts";

/** RFC 7692 §7.2.2: what a sender left out at a message's end. */
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff);

/** A message with its tail. */
const input = new Uint8Array(16 * 1024);

/** Decompresses messages, RFC 7692 §7.2.2. */
export class Inflater {
  readonly #limit: number;
  readonly #internals: boolean;
  readonly #takeover: boolean;
  readonly #oneShots: ZlibOptions[] = [];
  #state: ZlibState | undefined;

  /**
   * @param limit bytes that a message may have once decompressed. Nothing beyond it is kept, or inflated.
   * @param takeover whether messages may refer to those before them: then this is one connection's own, and needs internals.
   */
  constructor(limit: number, internals: boolean, takeover: boolean) {
    this.#limit = limit;
    this.#internals = internals;
    this.#takeover = takeover;
  }

  /**
   * Decompresses one message now.
   * @returns bytes that are valid until the next message is compressed or decompressed.
   * @throws WebSocketError INVALID_DEFLATE, MESSAGE_TOO_LARGE.
   */
  inflate(bytes: Uint8Array, start: number, end: number): Buffer {
    if (this.#internals) this.#state ??= openZlib("inflate", WINDOW);
    if (this.#state === undefined) return this.#publicly(bytes.subarray(start, end));
    try {
      let whole: number;
      const length = end - start;
      if (length + TAIL.length <= input.length) {
        // Going into zlib costs more than copying so little.
        input.set(bytes.subarray(start, end));
        input.set(TAIL, length);
        whole = this.#feed(this.#state, input, 0, length + TAIL.length, 0);
      } else {
        whole = this.#feed(this.#state, TAIL, 0, TAIL.length, this.#feed(this.#state, bytes, start, end, 0));
      }
      // Where the message ended with a final block, zlib's stream is over, context or not.
      if (!this.#takeover || this.#state.inputLeft > 0) this.#state.reset();
      return currentScratch().subarray(0, whole);
    } catch (error) {
      this.close(); // whatever state it is in, nobody else's message meets it
      throw error;
    }
  }

  /** Decompresses one message on zlib's threads, without any context. @returns bytes of its own. Rejects as `inflate` throws. */
  inflateAside(bytes: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      inflateRaw(bytes, this.#oneShot(bytes.length), (error, result) =>
        error === null ? resolve(result) : reject(this.#error(error)),
      );
    });
  }

  close(): void {
    this.#state?.close();
    this.#state = undefined;
  }

  /** Runs zlib over some input. @param used bytes of output there are. @returns bytes of output there are then. */
  #feed(state: ZlibState, bytes: Uint8Array, start: number, end: number, used: number): number {
    let output = used === 0 ? takeScratch() : currentScratch();
    let at = start;
    let written = used;
    for (;;) {
      if (!state.run(constants.Z_SYNC_FLUSH, bytes, at, end - at, output, written))
        throw new WebSocketError("INVALID_DEFLATE");
      const read = end - state.inputLeft - at;
      at += read;
      written = output.length - state.outputLeft;
      if (written > this.#limit)
        throw new WebSocketError("MESSAGE_TOO_LARGE", `limit ${this.#limit} bytes, decompressed`);
      if (state.outputLeft === 0) {
        output = growScratch(written, Math.max(output.length, this.#limit) + 1);
      } else if (at < end && read > 0) {
        // RFC 7692 §7.2.3.4: a block with BFINAL ends zlib's stream; a message may go on after it.
        state.reset();
      } else {
        return written;
      }
    }
  }

  #publicly(bytes: Uint8Array): Buffer {
    try {
      return inflateRawSync(bytes, this.#oneShot(bytes.length));
    } catch (error) {
      throw this.#error(error);
    }
  }

  /** One-shot options: Node's default chunk of 16 KiB takes longer to allocate than a small message takes to inflate. */
  #oneShot(length: number): ZlibOptions {
    const size = Math.min(Math.max(34 - Math.clz32(length), 10), 16); // four times the message's, as a power of 2
    this.#oneShots[size] ??= {
      ...WINDOW,
      chunkSize: 2 ** size,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: this.#limit,
    };
    return this.#oneShots[size];
  }

  #error(cause: unknown): WebSocketError {
    const tooLarge = cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE";
    return tooLarge
      ? new WebSocketError("MESSAGE_TOO_LARGE", `limit ${this.#limit} bytes, decompressed`, { cause })
      : new WebSocketError("INVALID_DEFLATE", undefined, { cause });
  }
}

/** A larger window than the sender's reads all that it wrote, RFC 7692 §7.1.2. */
const WINDOW = { windowBits: 15 } as const;
