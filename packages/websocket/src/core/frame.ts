import type { MaskKey } from "./mask.ts";
import { applyMask } from "./mask.ts";
import { FrameBit } from "./opcode.ts";

/** The longest payload a control frame may carry, in bytes, RFC 6455 §5.5. */
export const MAX_CONTROL_PAYLOAD = 125;

/** The longest frame header: 2 bytes, 8 of length, 4 of mask, RFC 6455 §5.2. */
export const MAX_FRAME_HEADER = 14;

/** How many bytes a header takes in front of a payload of `length` bytes, RFC 6455 §5.2. */
export function frameHeaderLength(length: number, masked: boolean): number {
  return (length < 126 ? 2 : length < 65536 ? 4 : 10) + (masked ? 4 : 0);
}

/**
 * Writes a frame's header into `target` at `at`, RFC 6455 §5.2.
 * @param first the first byte: fin, reserved bits and opcode.
 * @param length of the payload in bytes, 0 to 2^53-1.
 * @param key the masking key; undefined writes an unmasked frame.
 * @returns where the payload starts.
 */
export function writeFrameHeader(target: Uint8Array, at: number, first: number, length: number, key?: MaskKey): number {
  const masked = key === undefined ? 0 : 0x80;
  let next = at;
  target[next++] = first;
  if (length < 126) {
    target[next++] = masked | length;
  } else if (length < 65536) {
    target[next++] = masked | 126;
    target[next++] = length >>> 8;
    target[next++] = length & 0xff;
  } else {
    target[next++] = masked | 127;
    const high = Math.floor(length / 0x1_0000_0000);
    target[next++] = high >>> 24;
    target[next++] = (high >>> 16) & 0xff;
    target[next++] = (high >>> 8) & 0xff;
    target[next++] = high & 0xff;
    target[next++] = (length >>> 24) & 0xff;
    target[next++] = (length >>> 16) & 0xff;
    target[next++] = (length >>> 8) & 0xff;
    target[next++] = length & 0xff;
  }
  if (key !== undefined) {
    target[next++] = key & 0xff;
    target[next++] = (key >>> 8) & 0xff;
    target[next++] = (key >>> 16) & 0xff;
    target[next++] = key >>> 24;
  }
  return next;
}

/**
 * One whole frame in bytes of its own, RFC 6455 §5.2.
 * @param opcode of the frame. @param options `fin` (default true), `compressed` (RSV1, default false), `key` (masked with it).
 */
export function encodeFrame(
  opcode: number,
  payload: Uint8Array,
  options: { readonly fin?: boolean; readonly compressed?: boolean; readonly key?: MaskKey } = {},
): Uint8Array {
  const first = ((options.fin ?? true) ? FrameBit.fin : 0) | (options.compressed ? FrameBit.compressed : 0) | opcode;
  const frame = new Uint8Array(frameHeaderLength(payload.length, options.key !== undefined) + payload.length);
  const start = writeFrameHeader(frame, 0, first, payload.length, options.key);
  frame.set(payload, start);
  if (options.key !== undefined) applyMask(frame, start, frame.length, options.key);
  return frame;
}
