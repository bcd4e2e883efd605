import type { Digest } from "../control-message.ts";

/** FNV-1a over UTF-16 units: 32 bits, for telling sets apart, not for secrets. */
function hash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // A last mix, so that similar texts do not cancel out in the sum.
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** The same for the same set in any order. */
export function digestOf(texts: Iterable<string>): Digest {
  let count = 0;
  let sum = 0;
  for (const text of texts) {
    count++;
    sum = (sum + hash(text)) >>> 0;
  }
  return [count, sum];
}

export const sameDigest = (a: Digest, b: Digest): boolean => a[0] === b[0] && a[1] === b[1];
