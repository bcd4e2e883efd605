import { WebSocketError } from "../core/errors.ts";
import { frameHeaderLength, writeFrameHeader } from "../core/frame.ts";
import { FrameBit, Opcode } from "../core/opcode.ts";
import type { Message, Prepared } from "./api.ts";
import type { Deflater } from "./deflater.ts";
import { writeText } from "./internals.ts";

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
    const length = lengthOf(message);
    const header = frameHeaderLength(length, false);
    this.frame = Buffer.allocUnsafeSlow(header + length);
    writeFrame(this.frame, 0, message, length);
    this.#latest = this.frame;
    this.#header = header;
    this.message = typeof message === "string" ? message : this.frame.subarray(header);
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
  readonly messages: readonly Message[];
  /** All frames. Never changed. */
  readonly frames: Buffer;
  #parts: readonly PreparedMessage[] | undefined;

  /** Bytes are copied. @throws WebSocketError INVALID_ARGUMENT for anything but strings and bytes. */
  constructor(messages: readonly Message[]) {
    const lengths = messages.map(lengthOf);
    const size = lengths.reduce((sum, length) => sum + frameHeaderLength(length, false) + length, 0);
    const frames = Buffer.allocUnsafeSlow(size);
    let end = 0;
    this.messages = messages.map((message, i) => {
      const length = lengths[i]!;
      end = writeFrame(frames, end, message, length);
      return typeof message === "string" ? message : frames.subarray(end - length, end);
    });
    this.frames = frames;
  }

  /** Each by itself, for sockets that compress or mask; made when the first such socket asks. */
  get parts(): readonly PreparedMessage[] {
    return (this.#parts ??= this.messages.map((message) => new PreparedMessage(message)));
  }
}

/** The payload's length in bytes. @throws WebSocketError INVALID_ARGUMENT for anything but a string or bytes. */
function lengthOf(message: Message): number {
  if (typeof message === "string") return Buffer.byteLength(message);
  assertBytes(message);
  return message.length;
}

/** Writes an unmasked, uncompressed frame. @returns its end. */
function writeFrame(into: Buffer, at: number, message: Message, length: number): number {
  const text = typeof message === "string";
  const payload = writeFrameHeader(into, at, FrameBit.fin | (text ? Opcode.text : Opcode.binary), length);
  if (text) writeText(into, message, payload, length);
  else into.set(message, payload);
  return payload + length;
}

/** @throws WebSocketError INVALID_ARGUMENT unless these are bytes: a number or an array must never be read as a length. */
export function assertBytes(value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new WebSocketError("INVALID_ARGUMENT", "a message is a string or a Uint8Array");
  }
}
