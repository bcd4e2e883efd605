import type { Bytes } from "../vector.ts";

/** How a frame of a vector is written down; whatever is left out is as RFC 6455 §5.2 wants it. */
export interface Frame {
  readonly opcode: number;
  readonly data?: Buffer;
  /** This byte, `times` times, instead of `data`. */
  readonly fill?: { readonly byte: number; readonly times: number };
  readonly fin?: boolean;
  /** RSV1, RSV2, RSV3 as 4, 2, 1. */
  readonly reserved?: number;
  /** Declare this length instead of the real one, or the real one in a longer form. */
  readonly length?: { readonly form: 7 | 16 | 64; readonly value: bigint };
  /** Masked where the receiver wants none, or not masked where it wants a mask. */
  readonly wrongMask?: boolean;
  readonly key?: Buffer;
}

/** RFC 6455 §5.7's own key. */
export const key: Buffer = Buffer.from("37fa213d", "hex");

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function lengthBytes(form: 7 | 16 | 64, value: bigint, masked: boolean): Buffer {
  const bit = masked ? 0x80 : 0;
  if (form === 7) return Buffer.from([bit | Number(value)]);
  const bytes = Buffer.alloc(form === 16 ? 3 : 9, bit | (form === 16 ? 126 : 127));
  if (form === 16) bytes.writeUInt16BE(Number(value), 1);
  else bytes.writeBigUInt64BE(value, 1);
  return bytes;
}

/** A frame's bytes as `receiver` gets them. */
export function frameBytes(frame: Frame, receiver: "server" | "client"): Bytes[] {
  const { opcode, data = Buffer.alloc(0), fill, fin = true, reserved = 0, wrongMask = false } = frame;
  const masked = (receiver === "server") !== wrongMask;
  const real = fill?.times ?? data.length;
  const shortest = real < 126 ? 7 : real < 65_536 ? 16 : 64;
  const { form, value } = frame.length ?? { form: shortest, value: BigInt(real) };
  const mask = frame.key ?? key;
  const at = (i: number): number => (masked ? (mask[i & 3] ?? 0) : 0);
  const first = Buffer.from([(fin ? 0x80 : 0) | (reserved << 4) | opcode]);
  const head = hex(Buffer.concat([first, lengthBytes(form, value, masked), masked ? mask : Buffer.alloc(0)]));
  if (fill) {
    const four = hex(Uint8Array.from([0, 1, 2, 3], (i) => fill.byte ^ at(i)));
    return [head, { repeat: four, times: fill.times >> 2 }, four.slice(0, 2 * (fill.times & 3))];
  }
  return [head + hex(data.map((byte, i) => byte ^ at(i)))];
}
