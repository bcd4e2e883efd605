import { applyMask } from "../core/mask.ts";
import { createUnmaskBuffer } from "./unmask-wasm.ts";

/** As large as libuv's own reads. */
const SIZE = 64 * 1024;

const wasm = createUnmaskBuffer(SIZE);

/**
 * The one buffer that all reads of this thread go through: what a socket receives is handled before the next socket
 * reads, so nothing has to be allocated per read, and the memory stays in the processor's cache.
 */
export const readBuffer: Buffer = wasm?.buffer ?? Buffer.allocUnsafeSlow(SIZE);

/** Unmasks in `readBuffer` the fastest way there is, elsewhere the portable way. */
export const unmask: typeof applyMask =
  wasm === undefined
    ? applyMask
    : (bytes, start, end, key) =>
        bytes === readBuffer ? wasm.unmask(start, end, key) : applyMask(bytes, start, end, key);
