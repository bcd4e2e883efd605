import { describe, expect, test } from "vitest";
import { itemsOf, nothing, readEntry, seqOf, writeBlock, writeMarker } from "../src/entry.ts";
import { RecentKeys } from "../src/recent-keys.ts";

const keep = { size: 10, ttl: 1000, bytes: 0 };
const stored = (headers: Record<string, string>, data: Uint8Array, seq = 3): Parameters<typeof readEntry>[0] => ({
  seq,
  time: 1,
  size: data.length,
  headers: { get: (name) => headers[name] ?? "" },
  data,
});

describe("a message of a log", () => {
  const before = { head: 128, count: 7, bytes: 70, messages: 5 };
  const data = Buffer.from("abbccc");

  test("a block comes back as it was written: items end at a multiple of 128, and each names the one before it", () => {
    const entry = readEntry(stored(writeBlock(before, keep, [1, 0, 2, 3], ["k", "", "l", ""]), data));
    expect(itemsOf(entry, "e").map(({ data, ...item }) => [Buffer.from(data).toString(), item])).toEqual([
      ["a", { epoch: "e", offset: 381, previous: 128 }],
      ["", { epoch: "e", offset: 382, previous: 381 }],
      ["bb", { epoch: "e", offset: 383, previous: 382 }],
      ["ccc", { epoch: "e", offset: 384, previous: 383 }],
    ]);
    expect(entry).toMatchObject({
      before,
      after: { head: 384, count: 11, bytes: 76, messages: 6 },
      keep,
      keys: ["k", "", "l", ""],
    });
    expect([381, 384].map(seqOf)).toEqual([3, 3]);
  });

  test("a marker stands for the end of a log, and has nothing", () => {
    const entry = readEntry(stored(writeMarker(before), Buffer.alloc(0)));
    expect([entry.keep, entry.after, itemsOf(entry, "e")]).toEqual([undefined, { ...before, messages: 6 }, []]);
  });

  test.each([
    ["no headers", {}, data],
    ["too few bytes", writeBlock(nothing, keep, [7], []), data],
    ["too many bytes", writeBlock(nothing, keep, [5], []), data],
    ["no publication", writeBlock(nothing, keep, [], []), Buffer.alloc(0)],
    [
      "more than go together",
      writeBlock(
        nothing,
        keep,
        Array.from({ length: 129 }, () => 0),
        [],
      ),
      Buffer.alloc(0),
    ],
    ["something else", { ...writeMarker(before), "Zuruf-Block": "1 2 x" }, data],
    ["another's offsets", { "Zuruf-Log": "-1 0 0 0" }, data],
  ])("what is no such message is refused: %s", (_what, headers, data) => {
    expect(() => readEntry(stored(headers, data))).toThrow(/message 3 is not Zuruf's/);
  });
});

test("keys are known for the window, and at most a fifth of it longer", () => {
  const keys = new RecentKeys(1000);
  for (let now = 0; now <= 1000; now += 50) keys.add(`${now}`, now, now);
  expect([0, 500, 1000].map((now) => keys.at(`${now}`))).toEqual([0, 500, 1000]);
  keys.add("late", 1, 1501);
  expect([0, 250, 500, 1000].map((now) => keys.at(`${now}`))).toEqual([undefined, undefined, 500, 1000]);
});
