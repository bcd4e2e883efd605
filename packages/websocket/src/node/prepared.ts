import { WebSocketError } from "../core/errors.ts";
import { frameHeaderLength, writeFrameHeader } from "../core/frame.ts";
import { FrameBit, Opcode } from "../core/opcode.ts";
import type { Message, Prepared } from "./api.ts";

/** A message with its frame, made once for all sockets of a server. */
export class PreparedMessage implements Prepared {
  readonly message: Message;
  /** The unmasked, uncompressed frame. Never changed. */
  readonly frame: Buffer;

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
    this.message = text ? message : this.frame.subarray(header);
  }
}

/** @throws WebSocketError INVALID_ARGUMENT unless these are bytes: a number or an array must never be read as a length. */
export function assertBytes(value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new WebSocketError("INVALID_ARGUMENT", "a message is a string or a Uint8Array");
  }
}
