import { inflated, Window } from "./frames.ts";

/** Collects the messages of one connection, whole. */
export class MessageReader {
  #bytes: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #compressed = false;
  #text = false;
  #past = new Window();
  readonly #context: boolean;

  /** @param context whether compressed messages refer to those before. */
  constructor(context = false) {
    this.#context = context;
  }

  /** The messages that end in this chunk. */
  take(chunk: Buffer): { readonly text: boolean; readonly payload: Buffer }[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const messages: { text: boolean; payload: Buffer }[] = [];
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < 2) return messages;
      const first = bytes.readUInt8(0);
      const second = bytes.readUInt8(1);
      const short = second & 0x7f;
      const masked = second >= 0x80;
      let at = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
      if (bytes.length < at) return messages;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      const mask = masked ? bytes.subarray(at, at + 4) : undefined;
      if (masked) at += 4;
      if (bytes.length < at + length) return messages;
      const payload = Buffer.from(bytes.subarray(at, at + length));
      if (mask) for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0);
      this.#bytes = bytes.subarray(at + length);
      const opcode = first & 0x0f;
      if (opcode >= 8) continue;
      if (opcode !== 0) {
        this.#compressed = (first & 0x40) !== 0;
        this.#text = opcode === 1;
      }
      this.#fragments.push(payload);
      if (first < 0x80) continue;
      const whole = Buffer.concat(this.#fragments);
      this.#fragments = [];
      if (!this.#context) this.#past = new Window();
      messages.push({ text: this.#text, payload: this.#compressed ? inflated(whole, this.#past) : whole });
    }
  }
}
