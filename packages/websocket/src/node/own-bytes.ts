/** Messages up to this size share slabs: a slab lives as long as one of its messages does. */
const SMALL = 4 * 1024;
const SLAB = 32 * 1024;
/** Below this a loop beats `set`, which needs a view of the source first. */
const TINY = 48;

let slab = new ArrayBuffer(SLAB);
let position = 0;

/** A copy of `bytes[start, end)` that is the receiver's own. Small ones are cut from a slab, which is much faster than memory of their own. */
export function ownBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start;
  if (length > SMALL) return new Uint8Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + end));
  if (position + length > SLAB) {
    slab = new ArrayBuffer(SLAB);
    position = 0;
  }
  const own = new Uint8Array(slab, position, length);
  position += (length + 7) & ~7; // aligned, so that receivers may put wider views over it
  if (length > TINY) {
    own.set(bytes.subarray(start, end));
  } else {
    for (let i = 0; i < length; i++) own[i] = bytes[start + i]!;
  }
  return own;
}
