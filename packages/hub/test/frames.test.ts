import { expect, test } from "vitest";
import { readFrames, writeFrames } from "../src/store/frames.ts";

test.each([[[]], [[""]], [["a"]], [["a", "", "bcd"]]])("several messages come back as they were: %o", (texts) => {
  const frames = writeFrames(texts.map((text) => Buffer.from(text)));
  // As a view into something larger, which is how drivers hand over what came.
  const within = Buffer.concat([Buffer.from("xx"), frames, Buffer.from("y")]).subarray(2, -1);
  expect(readFrames(within)?.map((message) => Buffer.from(message).toString())).toEqual(texts);
});

test.each(["x", "\0\0\0", "\0\0\0\x02x", "\xff\xff\xff\xffx", "\0\0\0\x01xy"])(
  "anything else is refused: %j",
  (text) => {
    expect(readFrames(Buffer.from(text, "latin1"))).toBe(undefined);
  },
);
