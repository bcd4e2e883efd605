import { anything, array, assert, property, string, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  endOf,
  epochAt,
  follows,
  misfit,
  readAnnouncement,
  readChain,
  readControl,
  writeAnnouncement,
  writeControl,
} from "@zuruf/hub/store";
import * as block from "../src/block.ts";
import { Names, slotOf } from "../src/names.ts";
import { readSettings, readTarget } from "../src/options.ts";
import { readPage, readPosition } from "../src/page.ts";
import { readSlots } from "../src/topology.ts";

describe("names", () => {
  // Redis Cluster specification, and CLUSTER KEYSLOT on a server.
  test.each([
    ["foo", 12182],
    ["{user1000}.following", 3443],
    ["{user1000}.followers", 3443],
    ["foo{}{bar}", 8363],
    ["zuruf:{chat:lobby}:log", slotOf("chat:lobby")],
  ])("slot of %s", (key, slot) => {
    expect(slotOf(key)).toBe(slot);
  });

  test("all of a channel's keys share its slot, and its name comes back", () => {
    const names = new Names("z");
    assert(
      property(
        string({ minLength: 1 }).filter((name) => !/[{}]/.test(name)),
        (channel) => {
          const all = [
            names.announcements(channel),
            names.log(channel),
            names.meta(channel),
            names.keys(channel, 1),
            names.key(channel, "a{b}"),
          ];
          expect(new Set(all.map(slotOf)).size).toBe(1);
          expect(names.channelOf(names.announcements(channel))).toBe(channel);
        },
      ),
    );
  });
});

describe("blocks", () => {
  const bytes = uint8Array({ maxLength: 50 });
  test("what is written is read, and each publication has the offset of its place", () => {
    assert(
      property(array(bytes, { minLength: 1, maxLength: 130 }), (all) => {
        const written = block.writeBlock(all.map((data) => ({ data })));
        expect(block.readBlock(written)?.map((data) => [...data])).toEqual(all.map((data) => [...data]));
        const items = block.readAnnouncement(Buffer.concat([Buffer.from("9007199254740000 e-1 "), written]));
        expect(items?.map(({ epoch, offset }) => [epoch, offset])).toEqual(
          all.map((_, i) => ["e-1", 9007199254740000 + i]),
        );
        expect(block.readAnnouncement(Buffer.concat([Buffer.from(block.noPosition), written]))).toEqual(
          all.map((data) => ({ epoch: "", offset: 0, data: Buffer.from(data) })),
        );
      }),
    );
  });

  test("anything else is refused", () => {
    for (const text of ["", "\n", "1\n", "1\nab", "1 1\na", "-1\n", "1,1\nab", `${"0 ".repeat(3000)}0\n`])
      expect(block.readBlock(Buffer.from(text))).toBe(undefined);
    for (const text of [
      "",
      "1",
      "1 e",
      "1  1\na",
      "0 e 1\na",
      "x e 1\na",
      "1 e! 1\na",
      "1 e 2\na",
      "99999999999999999 e 1\na",
    ])
      expect(block.readAnnouncement(Buffer.from(text))).toBe(undefined);
    assert(
      property(bytes, (garbage) => {
        block.readAnnouncement(Buffer.from(garbage));
      }),
    );
  });
});

describe("wire", () => {
  const bytes = uint8Array({ maxLength: 50 });
  test("what is written is read", () => {
    assert(
      property(bytes, string({ minLength: 1, maxLength: 64, unit: "binary" }), (data, from) => {
        expect(readAnnouncement(writeAnnouncement(undefined, data))).toEqual({
          epoch: "",
          offset: 0,
          data,
        });
        const sender = Buffer.from(from).toString();
        expect(readControl(writeControl(sender, data))).toEqual({ from: sender, message: data });
      }),
    );
  });
  test("anything may arrive", () => {
    assert(
      property(bytes, (data) => {
        const item = readAnnouncement(Buffer.from(data));
        if (item !== undefined) expect(Number.isSafeInteger(item.offset)).toBe(true);
        const control = readControl(Buffer.from(data));
        if (control !== undefined) expect(control.message.length).toBeLessThan(data.length);
      }),
    );
    for (const text of [
      "",
      " ",
      "1",
      "1 e",
      "1  x",
      "0 e x",
      "-1 e x",
      "1.5 e x",
      "9007199254740992 e x",
      `1 ${"e".repeat(65)} x`,
    ])
      expect(readAnnouncement(Buffer.from(text)), text).toBeUndefined();
  });
});

describe("chain", () => {
  const chain = readChain("a:0 b:101 c:230");
  if (chain === undefined) throw new Error("a good chain");
  test("reads only what it wrote", () => {
    expect(chain).toEqual([
      { epoch: "a", first: 0 },
      { epoch: "b", first: 101 },
      { epoch: "c", first: 230 },
    ]);
    for (const text of ["", " ", "a", ":1", "a:", "a:x", "a:1 ", "a b:1"])
      expect(readChain(text), text).toBeUndefined();
  });
  test.each([
    ["a", 0, undefined],
    ["a", 100, undefined],
    ["a", 101, "rollback"],
    ["b", 229, undefined],
    ["b", 230, "rollback"],
    ["c", 300, undefined],
    ["c", 301, "rollback"],
    ["d", 1, "epoch"],
  ])("position %s:%i", (epoch, offset, reason) => {
    expect(misfit(chain, 300, { epoch, offset })).toBe(reason);
  });
  test("each offset has its epoch", () => {
    expect([0, 100, 101, 229, 230, 300].map((offset) => epochAt(chain, offset))).toEqual([
      "a",
      "a",
      "b",
      "b",
      "c",
      "c",
    ]);
  });
});

describe("pages", () => {
  const item = (offset: number): { epoch: string; offset: number; data: Uint8Array } => ({
    epoch: "e",
    offset,
    data: new Uint8Array(),
  });
  test("a hole is seen", () => {
    const head = { epoch: "e", offset: 9 };
    expect(follows([item(4), item(5)], item(3), head)).toBe(true);
    expect(follows([item(5)], item(3), head)).toBe(false);
    expect(follows([item(4), item(6)], item(3), head)).toBe(false);
    expect(follows([], item(3), head)).toBe(false);
    expect(follows([], item(9), head)).toBe(true);
    expect(endOf([item(1), item(3), item(4)]).map(({ offset }) => offset)).toEqual([3, 4]);
    expect(endOf([])).toEqual([]);
  });
  test("answers that are something else are refused", () => {
    assert(
      property(anything(), (answer) => {
        expect(() => readPage(answer)).toThrow("Redis holds something else");
        expect(() => readPosition(answer)).toThrow("Redis holds something else");
      }),
    );
  });
});

describe("topology", () => {
  const asked = { host: "h", port: 1 };
  test("CLUSTER SLOTS", () => {
    const topology = readSlots(
      [
        [0, 99, ["", 7000, "id"]],
        [100, 16_383, ["10.0.0.2", 7001, "id"], ["10.0.0.3", 7002, "id"]],
      ],
      asked,
    );
    expect([...topology.servers.keys()]).toEqual(["h:7000", "10.0.0.2:7001"]);
    expect([topology.serverOf(99), topology.serverOf(100)]).toEqual(["h:7000", "10.0.0.2:7001"]);
  });
  test.each([[[]], [null], [[[0, 1]]], [[[0, 99_999, ["h", 1]]]], [[[0, 1, ["h", 0]]]]])("%j is refused", (answer) => {
    expect(() => readSlots(answer, asked)).toThrow(/CLUSTER SLOTS|cluster has no slots|without a port/);
  });
});

describe("URLs", () => {
  test("what they can say", () => {
    expect(readTarget("redis://h", {})).toMatchObject({
      kind: "server",
      seeds: [{ host: "h", port: 6379 }],
      database: 0,
    });
    expect(readTarget("redis://ada:p%40ss:w@[::1]:7000/3", {})).toMatchObject({
      seeds: [{ host: "::1", port: 7000 }],
      credentials: { username: "ada", password: "p@ss:w" },
      database: 3,
    });
    expect(readTarget("rediss://h", { tls: { ca: "x" } }).tls).toEqual({ ca: "x" });
    expect(readTarget("redis+cluster://a,b:7000", {})).toMatchObject({
      kind: "cluster",
      seeds: [
        { host: "a", port: 6379 },
        { host: "b", port: 7000 },
      ],
    });
    expect(readTarget("redis+sentinel://:p@a,b/main/2", { sentinelPassword: "s" })).toMatchObject({
      kind: "sentinel",
      seeds: [
        { host: "a", port: 26_379 },
        { host: "b", port: 26_379 },
      ],
      primary: "main",
      credentials: { password: "p" },
      sentinelCredentials: { password: "s" },
      database: 2,
    });
  });
  test("defaults", () => {
    expect(readSettings({})).toEqual({ prefix: "zuruf", deadline: 5000, keyWindow: 300_000 });
  });
});
