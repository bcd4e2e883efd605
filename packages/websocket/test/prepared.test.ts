import { expect, test } from "vitest";
import { PreparedSeries } from "../src/node/prepared.ts";

test("a series is its messages' frames in a row, and keeps a copy of bytes", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const series = new PreparedSeries(["grüße", bytes, "", "x".repeat(70_000), "lone \ud800"]);
  bytes.fill(0);
  expect(series.messages[1]).toEqual(Buffer.of(1, 2, 3));
  expect(series.parts.map(({ message }) => message)).toEqual(series.messages);
  expect(series.frames).toEqual(Buffer.concat(series.parts.map(({ frame }) => frame)));
});

test("a series of anything else is refused", () => {
  for (const wrong of [5, undefined, [1, 2]])
    expect(() => new PreparedSeries(["text", wrong as unknown as string])).toThrow(/a message is a string/);
});
