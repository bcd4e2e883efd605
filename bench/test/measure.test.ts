import { array, assert, constantFrom, integer, nat, oneof, property, record } from "fast-check";
import { describe, expect, test } from "vitest";

import { inflated, maskedFrame, MessageCounter, ring, Window } from "../measure/frames.ts";
import { suite } from "../engine/bench.ts";
import { optionsFrom } from "../measure/options.ts";
import { ratioOf, testResult } from "../measure/report.ts";
import { tests } from "../engine/tests.ts";
import { median, percentile } from "../measure/statistics.ts";

test("the median and percentiles of a few numbers", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
  expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3);
  expect(percentile([5, 1, 4, 2, 3], 0.99)).toBe(5);
});

describe("the generator's counter", () => {
  const frame = record({
    length: oneof(integer({ min: 0, max: 300 }), constantFrom(125, 126, 65_535, 65_536)),
    opcode: constantFrom(1, 2, 9, 10),
  });

  test("counts messages, whatever the cuts, and no control frames", () => {
    const frames = array(frame, { maxLength: 8 });
    assert(
      property(frames, array(nat(), { maxLength: 10 }), (list, places) => {
        const bytes = Buffer.concat(
          list.map(({ length, opcode }) => maskedFrame(opcode, false, Buffer.alloc(length, 7), 1234)),
        );
        const cuts = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
        const counter = new MessageCounter();
        let counted = 0;
        let from = 0;
        for (const to of [...cuts, bytes.length]) {
          const piece = bytes.subarray(from, to);
          counted += counter.take(piece, piece.length);
          from = to;
        }
        expect(counted).toBe(list.filter(({ opcode }) => opcode < 8).length);
      }),
      { numRuns: 200 },
    );
  });
});

test.each(["fresh", "context"] as const)(
  "a ring compressed with %s window is valid round after round",
  (compression) => {
    const { bytes, offsets, payloads } = ring("json", 1024, 8, compression);
    let past = new Window();
    for (let i = 0; i < 2 * payloads.length; i++) {
      const frame = bytes.subarray(offsets[i], offsets[i + 1]);
      const head = (frame.readUInt8(1) & 0x7f) === 126 ? 4 : 2;
      const body = frame.subarray(head + 4).map((byte, at) => byte ^ frame.readUInt8(head + (at & 3)));
      if (compression === "fresh") past = new Window();
      expect(inflated(Buffer.from(body), past).equals(payloads[i % payloads.length] ?? Buffer.alloc(0))).toBe(true);
    }
  },
);

test("messages have the size that the test says", () => {
  for (const content of ["text", "binary", "json"] as const) {
    for (const payload of ring(content, 1024, 4, "off").payloads) expect(payload.length).toBe(1024);
  }
});

test("floors are decided by the median of the rounds' ratios, and memory's from below", () => {
  const runs = (...values: number[]): { value: number }[] => values.map((value) => ({ value }));
  expect(ratioOf(runs(10, 20, 90), runs(5, 5, 10))).toBe(4);
  const [pipelined] = tests;
  const idle = tests.find(({ name }) => name === "idle-heap");
  if (!pipelined || !idle) throw new Error("the tests are gone");
  const fast = testResult(
    pipelined,
    new Map([
      ["zuruf", runs(14)],
      ["ws", runs(1)],
    ]),
    "ws",
  );
  expect(fast.floors).toEqual([{ subject: "zuruf", against: "ws", floor: 15, aim: 22, ratio: 14, met: false }]);
  const small = testResult(
    idle,
    new Map([
      ["zuruf", runs(50)],
      ["ws", runs(100)],
    ]),
    "ws",
  );
  expect(small.floors[0]?.met).toBe(true);
});

test("arguments are checked by name", () => {
  expect(optionsFrom(suite, ["--tests", "request-64,idle-heap", "--runs", "7"]).tests.map(({ name }) => name)).toEqual([
    "request-64",
    "idle-heap",
  ]);
  expect(() => optionsFrom(suite, ["--peers", "nginx"])).toThrow(/there is no "nginx"/);
  expect(() => optionsFrom(suite, ["--runs", "0"])).toThrow(/above 0/);
});
