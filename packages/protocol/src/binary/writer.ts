const encoder = new TextEncoder();

/** Bytes in the order they are written; grows as needed. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Forgets what a packet that could not be written has left. */
  begin(): void {
    this.#length = 0;
  }

  /** What was written, in memory of its own. The writer starts anew. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    // One large message must not keep its memory for ever.
    if (this.#bytes.length > 65_536) {
      this.#bytes = new Uint8Array(256);
      this.#view = new DataView(this.#bytes.buffer);
    }
    return bytes;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#view.setUint8(this.#length++, value);
  }

  /** An unsigned integer below 2^53, seven bits a byte, the lowest first; the top bit says that more follow (LEB128). */
  uint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** UTF-8 to the end of the message. */
  tail(text: string): void {
    this.#reserve(text.length * 3);
    this.#length += encoder.encodeInto(text, this.#bytes.subarray(this.#length)).written;
  }

  /** Length in bytes, then UTF-8. */
  text(value: string): void {
    this.sized(() => {
      this.tail(value);
    });
  }

  /** Length in bytes, then what `write` writes. */
  sized(write: () => void): void {
    // One byte is enough for nearly all; else what was written moves up.
    this.byte(0);
    const start = this.#length;
    write();
    const size = this.#length - start;
    if (size < 0x80) {
      this.#view.setUint8(start - 1, size);
      return;
    }
    const body = this.#bytes.slice(start, this.#length);
    this.#length = start - 1;
    this.uint(size);
    this.bytes(body);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
