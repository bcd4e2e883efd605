import { applyMask } from "./mask.ts";
import { isUtf8 } from "./utf8.ts";

/** The loops over payload bytes that a shell may replace with what its platform does faster. */
export interface ByteLoops {
  /** As `applyMask`: in place, returns the or of all resulting bytes. */
  applyMask(bytes: Uint8Array, start: number, end: number, key: number): number;
  /** As `isUtf8`. */
  isUtf8(bytes: Uint8Array, start: number, end: number): boolean;
  /** Memory for a message that arrives in pieces; it need not be zeroed. The engine writes every byte that it later shows. */
  allocate(length: number): Uint8Array;
}

/** The loops in plain JavaScript, for any platform. */
export const portableLoops: ByteLoops = { applyMask, isUtf8, allocate: (length) => new Uint8Array(length) };
