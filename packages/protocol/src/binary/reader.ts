import { PacketError } from "../codec.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads what a `Writer` wrote; never beyond its end. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new PacketError("the message ends too early");
    return value;
  }

  /** @throws {PacketError} above 2^53 − 1, so that no number is silently another. */
  uint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (value > Number.MAX_SAFE_INTEGER || factor > 2 ** 49) throw new PacketError("a number is too large");
      if (byte < 0x80) return value;
    }
  }

  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new PacketError("the message ends too early");
    return this.#bytes.subarray(this.#at, (this.#at += length));
  }

  /** All that is left. */
  tail(): Uint8Array {
    return this.bytes(this.#bytes.length - this.#at);
  }

  text(): string {
    return utf8(this.bytes(this.uint()));
  }
}

export function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new PacketError("text is not UTF-8");
  }
}
