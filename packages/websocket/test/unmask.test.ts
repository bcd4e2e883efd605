import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyMask, rotateKey } from "../src/core/mask.ts";
import { createUnmaskBuffer } from "../src/node/unmask-wasm.ts";

/** RFC 6455 §5.3, to the letter. */
function byTheLetter(
  bytes: Uint8Array,
  start: number,
  end: number,
  key: number,
): { result: Uint8Array; ascii: boolean } {
  const result = bytes.slice();
  let ascii = true;
  for (let i = start; i < end; i++) {
    result[i]! ^= (key >>> (((i - start) % 4) * 8)) & 0xff;
    if (result[i]! >= 0x80) ascii = false;
  }
  return { result, ascii };
}

const wasm = createUnmaskBuffer(64 * 1024);
const ways: readonly (readonly [string, (bytes: Uint8Array, start: number, end: number, key: number) => number])[] = [
  ["portable", applyMask],
  [
    "WebAssembly",
    (bytes, start, end, key) => {
      wasm!.buffer.set(bytes);
      const or = wasm!.unmask(start, end, key);
      bytes.set(wasm!.buffer.subarray(0, bytes.length));
      return or;
    },
  ],
];

describe.each(ways)("unmasking, %s", (_name, unmask) => {
  test("does what RFC 6455 §5.3 says, at every offset and length", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(20),
        fc.nat(20),
        fc.integer(),
        fc.boolean(),
        (bytes, skip, drop, key, text) => {
          if (text) for (let i = 0; i < bytes.length; i++) bytes[i]! &= 0x7f;
          const start = Math.min(skip, bytes.length);
          const end = Math.max(start, bytes.length - drop);
          const maskKey = text ? key & 0x7f7f7f7f : key;
          const { result, ascii } = byTheLetter(bytes, start, end, maskKey);
          const actual = bytes.slice();
          const or = unmask(actual, start, end, maskKey);
          expect(actual).toEqual(result);
          expect(or < 0x80).toBe(ascii);
        },
      ),
      { numRuns: 500 },
    );
  });
});

test("every machine that this is tested on has WebAssembly SIMD", () => {
  expect(wasm).toBeDefined();
});

test("a buffer of several pages is one", () => {
  expect(createUnmaskBuffer(256 * 1024)?.buffer).toHaveLength(256 * 1024);
});

test("rotating a key is starting later", () => {
  const bytes = new Uint8Array(64);
  applyMask(bytes, 0, 64, 0x12345678);
  for (let offset = 0; offset < 8; offset++) {
    const later = new Uint8Array(64 - offset);
    applyMask(later, 0, later.length, rotateKey(0x12345678, offset));
    expect(later).toEqual(bytes.slice(offset));
  }
});
