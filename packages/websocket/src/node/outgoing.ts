import { FrameBit, Opcode } from "../core/opcode.ts";
import type { Message } from "./api.ts";
import { aside } from "./aside.ts";
import type { MessageCompression } from "./compression.ts";
import { outbox } from "./outbox.ts";
import type { Sender } from "./outbox.ts";
import { PreparedMessage } from "./prepared.ts";

/** Messages from this many bytes on are compressed on other threads: at some 60 MB/s, more would hold up all others for a millisecond. */
const ASIDE = 64 * 1024;

/** Text on its way into zlib, for as long as that takes. All of it is smaller than `ASIDE`. */
const encoded = Buffer.allocUnsafeSlow(ASIDE - 1);

const TEXT = FrameBit.fin | Opcode.text;
const BINARY = FrameBit.fin | Opcode.binary;

/**
 * What one socket with compression sends, in order: while a large message is being compressed aside, all that comes
 * after it waits.
 */
export class Outgoing {
  readonly #sender: Sender;
  readonly compression: MessageCompression;
  #queue: (() => void)[] | undefined;
  #queued = 0;
  #closed = false;

  constructor(sender: Sender, compression: MessageCompression) {
    this.#sender = sender;
    this.compression = compression;
  }

  /** Bytes of messages that wait here, uncompressed. */
  get waiting(): number {
    return this.#queued;
  }

  send(message: Message | PreparedMessage): void {
    const { threshold, largest, deflater, shared } = this.compression;
    if (message instanceof PreparedMessage) {
      if (!shared || this.#sender.mask !== undefined) return this.send(message.message);
      const small = message.length < threshold || message.length > largest;
      const frame = small ? message.frame : message.compressed(deflater);
      if (this.#queue === undefined) return outbox.shared(this.#sender, frame);
      return this.inOrder(() => outbox.shared(this.#sender, frame));
    }
    const text = typeof message === "string";
    const bytes = text ? this.#encode(message) : this.#keep(message);
    const first = text ? TEXT : BINARY;
    if (bytes.length < threshold || bytes.length > largest) {
      this.inOrder(() => outbox.bytes(this.#sender, first, bytes), bytes.length);
    } else if (bytes.length < ASIDE) {
      this.inOrder(() => this.#compress(first, bytes), bytes.length);
    } else {
      this.inOrder(() => void this.#compressAside(first, bytes), bytes.length);
    }
  }

  /** Does something once all that was sent before has left this queue. */
  inOrder(work: () => void, bytes = 0): void {
    if (this.#queue === undefined) {
      work();
      return;
    }
    this.#queued += bytes;
    this.#queue.push(() => {
      this.#queued -= bytes;
      work();
    });
  }

  /** Nothing more is to be sent. */
  close(): void {
    this.#closed = true;
    if (this.#queue !== undefined) this.#queue = [];
    this.#queued = 0;
    this.compression.close();
  }

  #encode(text: string): Uint8Array {
    if (this.#queue !== undefined || text.length * 3 > encoded.length) return Buffer.from(text);
    return encoded.subarray(0, encoded.write(text));
  }

  /** Bytes are copied only where they wait: everything else is done with the caller's before `send` returns. */
  #keep(bytes: Uint8Array): Uint8Array {
    return this.#queue === undefined && bytes.length < ASIDE ? bytes : new Uint8Array(bytes);
  }

  #compress(first: number, bytes: Uint8Array): void {
    const { deflater, shared } = this.compression;
    const compressed = deflater.compress(bytes);
    // What a context has seen, the peer must see too, be it longer.
    if (shared && compressed.length >= bytes.length) outbox.bytes(this.#sender, first, bytes);
    else outbox.bytes(this.#sender, first | FrameBit.compressed, compressed);
  }

  async #compressAside(first: number, bytes: Uint8Array): Promise<void> {
    this.#queue = [];
    this.#queued += bytes.length;
    const { deflater } = this.compression;
    let payload = bytes;
    let bits = 0;
    try {
      const compressed = await aside(() => deflater.compressAside(bytes));
      if (compressed.length < bytes.length) {
        payload = compressed;
        bits = FrameBit.compressed;
      }
    } catch {
      // zlib fails here only for want of memory; the message itself is fine, and leaves as it is.
    }
    if (this.#closed) return;
    this.#queued -= bytes.length;
    outbox.bytes(this.#sender, first | bits, payload);
    this.#continue();
  }

  #continue(): void {
    const queue = this.#queue ?? [];
    this.#queue = undefined;
    for (let i = 0; i < queue.length; i++) {
      queue[i]!();
      if (this.#queue !== undefined) {
        // Another large one: the rest waits again, in front of nothing.
        (this.#queue as (() => void)[]).push(...queue.slice(i + 1));
        return;
      }
    }
  }
}
