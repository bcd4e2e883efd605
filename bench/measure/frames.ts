import { constants, deflateRawSync, inflateRawSync } from "node:zlib";

import type { Serving } from "../peers/serving.ts";

/** What the messages of a test are made of. `json`: like a chat's or a ticker's, so that compression has something to do. */
export type Content = "text" | "binary" | "json";

/** A ring of messages, framed and masked ahead of time, that a connection sends round and round. */
export interface Ring {
  /** Each message's payload, as the receiver shall see it. */
  readonly payloads: readonly Buffer[];
  /** The frames of two rounds, so that any run of up to one round is one slice. */
  readonly bytes: Buffer;
  /** Where each frame begins in `bytes`; one more entry than frames. */
  readonly offsets: readonly number[];
  readonly text: boolean;
}

/** xorshift32: the same bytes in every run, on every machine. */
function randomness(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const alphabet = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";
const names = ["ada", "grace", "edsger", "barbara", "donald", "leslie", "tony", "frances"];

function jsonOf(size: number, random: () => number): string {
  const items: string[] = [];
  const text = (): string => `{"type":"message","channel":"chat:lobby","items":[${items.join(",")}]}`;
  while (text().length < size - 120) {
    const name = names[random() % names.length] ?? "";
    const words = Array.from({ length: 3 }, () => (random() % 46_656).toString(36)).join(" ");
    items.push(`{"id":${random()},"user":"${name}","at":${1_700_000_000_000 + (random() % 1e9)},"text":"${words}"}`);
  }
  const open = text();
  return `${open.slice(0, -1)},"pad":"${"-".repeat(Math.max(0, size - open.length - 9))}"}`;
}

function payload(content: Content, size: number, random: () => number): Buffer {
  if (content === "json") return Buffer.from(jsonOf(size, random));
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) {
    bytes[i] = content === "binary" ? random() & 0xff : alphabet.charCodeAt(random() % alphabet.length);
  }
  return bytes;
}

/** One client frame, FIN set, masked (RFC 6455 §5.2, §5.3). */
export function maskedFrame(opcode: number, rsv1: boolean, data: Uint8Array, mask: number): Buffer {
  const length = data.length;
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(head + 4 + length);
  frame[0] = 0x80 | (rsv1 ? 0x40 : 0) | opcode;
  frame[1] = 0x80 | (head === 2 ? length : head === 4 ? 126 : 127);
  if (head === 4) frame.writeUInt16BE(length, 2);
  if (head === 10) frame.writeBigUInt64BE(BigInt(length), 2);
  frame.writeUInt32BE(mask, head);
  for (let i = 0; i < length; i++) frame[head + 4 + i] = (data[i] ?? 0) ^ (frame[head + (i & 3)] ?? 0);
  return frame;
}

const window = 32 * 1024;

/** The last window of what a peer has inflated or deflated so far: what zlib calls a dictionary (RFC 7692 §7.2.3.2). */
export class Window {
  #bytes: Buffer = Buffer.alloc(0);

  get options(): { dictionary?: Buffer } {
    return this.#bytes.length === 0 ? {} : { dictionary: this.#bytes };
  }

  add(plain: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, plain]).subarray(-window);
  }
}

/** RFC 7692 §7.2.1: deflate, flush, drop the trailing 00 00 ff ff. */
function deflated(plain: Buffer, past: Window): Buffer {
  const bytes = deflateRawSync(plain, { finishFlush: constants.Z_SYNC_FLUSH, ...past.options });
  past.add(plain);
  return bytes.subarray(0, -4);
}

/** RFC 7692 §7.2.2: append 00 00 ff ff, inflate. */
export function inflated(bytes: Buffer, past: Window): Buffer {
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  const plain = inflateRawSync(Buffer.concat([bytes, tail]), {
    finishFlush: constants.Z_SYNC_FLUSH,
    ...past.options,
  });
  past.add(plain);
  return plain;
}

/**
 * Makes a ring of `count` messages of `size` bytes.
 * With compression in context, a message refers to earlier ones of the same round only, so every round is valid after any other.
 */
export function ring(content: Content, size: number, count: number, compression: Serving["compression"]): Ring {
  const random = randomness(0x9e3779b9 ^ size);
  const payloads = Array.from({ length: count }, () => payload(content, size, random));
  const opcode = content === "binary" ? 2 : 1;
  let past = new Window();
  const frames = payloads.map((plain) => {
    if (compression === "off") return maskedFrame(opcode, false, plain, random());
    if (compression === "fresh") past = new Window();
    return maskedFrame(opcode, true, deflated(plain, past), random());
  });
  return ringOf(payloads, frames, opcode === 1);
}

/** A ring of text messages that were written for their place in it: `message` gets the place and a text of `size` bytes. */
export function textRing(size: number, count: number, message: (place: number, text: string) => string): Ring {
  const random = randomness(0x9e3779b9 ^ size);
  const payloads = Array.from({ length: count }, () => payload("text", size, random));
  const frames = payloads.map((plain, place) =>
    maskedFrame(1, false, Buffer.from(message(place, plain.toString("latin1"))), random()),
  );
  return ringOf(payloads, frames, true);
}

function ringOf(payloads: readonly Buffer[], frames: readonly Buffer[], text: boolean): Ring {
  const twice = [...frames, ...frames];
  const offsets = [0];
  for (const frame of twice) offsets.push((offsets.at(-1) ?? 0) + frame.length);
  return { payloads, bytes: Buffer.concat(twice), offsets, text };
}

/**
 * Counts the messages in a stream of frames without looking at their payloads, so that the generator is not the bottleneck.
 * Masked frames count too (a raw echo sends them back as they came); control frames do not.
 */
export class MessageCounter {
  /** Payload bytes of the current frame still to come. */
  #rest = 0;
  #counts = false;
  readonly #head: Buffer = Buffer.alloc(14);
  #headLength = 0;

  /** The number of messages that end in the first `length` bytes of `chunk`. */
  take(chunk: Uint8Array, length: number): number {
    let messages = 0;
    let at = 0;
    for (;;) {
      if (this.#rest > 0) {
        const here = Math.min(this.#rest, length - at);
        this.#rest -= here;
        at += here;
        if (this.#rest > 0) return messages;
        if (this.#counts) messages++;
      }
      if (at >= length) return messages;
      const used = this.#header(chunk, at, length);
      if (used === 0) return messages;
      at += used;
      if (this.#rest === 0 && this.#counts) messages++;
    }
  }

  /** Reads a frame header at `at`; 0 when it does not end in this chunk. */
  #header(chunk: Uint8Array, at: number, length: number): number {
    if (this.#headLength === 0 && length - at >= 14) {
      return this.#parse(chunk, at);
    }
    // A header split over two chunks: collect it byte by byte.
    let used = 0;
    while (at + used < length) {
      this.#head[this.#headLength++] = chunk[at + used++] ?? 0;
      if (this.#headLength >= 2 && this.#headLength === this.#size(this.#head, 0)) {
        this.#headLength = 0;
        this.#parse(this.#head, 0);
        return used;
      }
    }
    return 0;
  }

  #size(bytes: Uint8Array, at: number): number {
    const second = bytes[at + 1] ?? 0;
    const short = second & 0x7f;
    return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0);
  }

  #parse(bytes: Uint8Array, at: number): number {
    const first = bytes[at] ?? 0;
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const big = (from: number): number =>
      (((bytes[from] ?? 0) << 24) |
        ((bytes[from + 1] ?? 0) << 16) |
        ((bytes[from + 2] ?? 0) << 8) |
        (bytes[from + 3] ?? 0)) >>>
      0;
    if (short < 126) this.#rest = short;
    else if (short === 126) this.#rest = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    else this.#rest = big(at + 2) * 2 ** 32 + big(at + 6);
    this.#counts = (first & 0x88) === 0x80;
    return this.#size(bytes, at);
  }
}
