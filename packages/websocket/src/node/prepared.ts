import { WebSocketError } from "../core/errors.ts";
import { frameHeaderLength, writeFrameHeader } from "../core/frame.ts";
import { FrameBit, Opcode } from "../core/opcode.ts";
import type { Message, Prepared } from "./api.ts";
import type { Deflater } from "./deflater.ts";

/** A message with its frame, made once for all sockets of a server. */
export class PreparedMessage implements Prepared {
  readonly message: Message;
  /** The unmasked, uncompressed frame. Never changed. */
  readonly frame: Buffer;
  readonly #header: number;
  #compressed: Map<Deflater, Buffer> | undefined;
  /** The deflater asked for last, and its frame: mostly, all sockets have the same. */
  #deflater: Deflater | undefined;
  #latest: Buffer;

  /** Bytes are copied. @throws WebSocketError INVALID_ARGUMENT for anything but a string or bytes. */
  constructor(message: Message) {
    let text = true;
    let payload: Uint8Array;
    if (typeof message === "string") {
      payload = Buffer.from(message);
    } else {
      assertBytes(message);
      text = false;
      payload = message;
    }
    const header = frameHeaderLength(payload.length, false);
    this.frame = Buffer.allocUnsafeSlow(header + payload.length);
    writeFrameHeader(this.frame, 0, FrameBit.fin | (text ? Opcode.text : Opcode.binary), payload.length);
    this.frame.set(payload, header);
    this.#latest = this.frame;
    this.#header = header;
    this.message = text ? message : this.frame.subarray(header);
  }

  get messages(): readonly Message[] {
    return [this.message];
  }

  /** The payload's length in bytes. */
  get length(): number {
    return this.frame.length - this.#header;
  }

  /** The unmasked frame, compressed once for all sockets with this deflater; the plain one where compressing gains nothing. */
  compressed(deflater: Deflater): Buffer {
    if (this.#deflater !== deflater) {
      this.#deflater = deflater;
      this.#latest = this.#compressed?.get(deflater) ?? this.#compress(deflater);
    }
    return this.#latest;
  }

  #compress(deflater: Deflater): Buffer {
    let frame = this.frame;
    const payload = deflater.compress(this.frame.subarray(this.#header));
    if (payload.length < this.length) {
      const header = frameHeaderLength(payload.length, false);
      frame = Buffer.allocUnsafeSlow(header + payload.length);
      writeFrameHeader(frame, 0, this.frame[0]! | FrameBit.compressed, payload.length);
      frame.set(payload, header);
    }
    this.#compressed ??= new Map();
    this.#compressed.set(deflater, frame);
    return frame;
  }
}

/** Several messages in a row: a socket that neither compresses nor masks sends their frames as one chunk. */
export class PreparedSeries implements Prepared {
  readonly parts: readonly PreparedMessage[];
  /** All frames. Never changed. */
  readonly frames: Buffer;

  constructor(messages: readonly Message[]) {
    this.parts = messages.map((message) => new PreparedMessage(message));
    this.frames = Buffer.concat(this.parts.map(({ frame }) => frame));
  }

  get messages(): readonly Message[] {
    return this.parts.map(({ message }) => message);
  }
}

/** @throws WebSocketError INVALID_ARGUMENT unless these are bytes: a number or an array must never be read as a length. */
export function assertBytes(value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new WebSocketError("INVALID_ARGUMENT", "a message is a string or a Uint8Array");
  }
}
