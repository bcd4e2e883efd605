import { randomFillSync } from "node:crypto";
import type { MaskKey } from "../core/mask.ts";

/** One call of the generator costs as much as a thousand bytes of it. */
const pool = new Int32Array(2048);
let next = pool.length;

/** A fresh masking key from the platform's strong generator: RFC 6455 §5.3 wants them unpredictable, frame by frame. */
export function freshMask(): MaskKey {
  if (next === pool.length) {
    randomFillSync(pool);
    next = 0;
  }
  const key = pool[next]!;
  pool[next++] = 0; // used ones are not left lying in memory
  return key;
}
