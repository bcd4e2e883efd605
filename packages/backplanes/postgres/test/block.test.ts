import { expect, test } from "vitest";
import { lengthOf, readBlock, writeBlock } from "../src/block.ts";

test("a block gives back what was written, empty ones and binary ones too", () => {
  const publications = ["", "text", "\u0000\u00ff"].map((text) => ({ data: Buffer.from(text, "latin1") }));
  const block = Buffer.alloc(lengthOf(publications));
  expect(writeBlock(block, 0, publications)).toBe(block.length);
  expect(readBlock(block)).toEqual(publications.map(({ data }) => data));
  expect(readBlock(Buffer.alloc(0))).toEqual([]);
});

test("what is not a block has no publications", () => {
  for (const bytes of [[0], [0, 0, 0, 2, 1], [0, 0, 0, 1, 65, 255, 255, 255, 255], [0, 0, 0, 1, 65, 0]])
    expect(readBlock(Buffer.from(bytes))).toEqual([]);
});
