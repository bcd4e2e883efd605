import { isUtf8 as isUtf8Native } from "node:buffer";
import { applyMask } from "../core/mask.ts";
import type { ByteLoops } from "../core/byte-loops.ts";

/** The engine's byte loops as Node does them fastest. */
export const nodeLoops: ByteLoops = {
  applyMask,
  isUtf8: (bytes, start, end) => isUtf8Native(bytes.subarray(start, end)),
  allocate: (length) => Buffer.allocUnsafeSlow(length),
};
