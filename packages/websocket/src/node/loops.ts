import { isUtf8 as isUtf8Native } from "node:buffer";
import type { ByteLoops } from "../core/byte-loops.ts";
import { unmask } from "./read-buffer.ts";

/** The engine's byte loops as Node does them fastest. */
export const nodeLoops: ByteLoops = {
  applyMask: unmask,
  isUtf8: (bytes, start, end) => isUtf8Native(bytes.subarray(start, end)),
  allocate: (length) => Buffer.allocUnsafeSlow(length),
};
