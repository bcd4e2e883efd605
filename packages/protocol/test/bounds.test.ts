import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { binaryCodec, jsonCodec, type Codec, type Packet, type Payload } from "../src/index.ts";

const payload: Payload = { format: "json", text: "1" };
const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
/** A text of so many bytes, plain, and where it can be of several bytes a character. */
const texts = (bytes: number): string[] => {
  const wide = ["ü", "€", "👋"].map((character) => character.repeat(bytes / Buffer.byteLength(character)));
  return ["a".repeat(bytes), ...wide.map((text) => text + "a".repeat(bytes - Buffer.byteLength(text)))];
};
const epochs = (epoch: string): Packet[] => [
  { type: "subscribe", id: 1, channel: "c", position: [epoch, 1] },
  { type: "position", channel: "c", position: [epoch, 1] },
];
const channels = (channel: string): Packet[] => [
  { type: "unsubscribe", id: 1, channel },
  { type: "publish", id: 1, channel, payload },
  { type: "msg", channel, offset: 1, payload },
];

/** For each bound: packets at it, and beyond it. */
const bounds: Readonly<Record<string, readonly [at: readonly Packet[], over: readonly Packet[]]>> = {
  "channel name": [
    [...texts(200), ...texts(1), "a:*$|~"].flatMap(channels),
    [...texts(201), "", "a b", "a\n", "a\u007f", "{", "}"].flatMap(channels),
  ],
  "idempotency key": [
    [...texts(128), "a"].map((key) => ({ type: "publish", id: 1, channel: "c", key, payload })),
    [...texts(129), ""].map((key) => ({ type: "publish", id: 1, channel: "c", key, payload })),
  ],
  "method, receiver of a direct message": [
    [...texts(256), "a"].flatMap((name): Packet[] => [
      { type: "call", id: 1, method: name, payload },
      { type: "send", id: 1, to: name, payload },
    ]),
    [...texts(257), ""].flatMap((name): Packet[] => [
      { type: "call", id: 1, method: name, payload },
      { type: "send", id: 1, to: name, payload },
    ]),
  ],
  epoch: [[...texts(64), "a"].flatMap(epochs), [...texts(65), ""].flatMap(epochs)],
  "arrays and objects inside one another, in a JSON packet; in the data of either codec, one less": [
    [{ type: "publish", id: 1, channel: "c", payload: { format: "json", text: nested(63) } }],
    [{ type: "publish", id: 1, channel: "c", payload: { format: "json", text: nested(64) } }],
  ],
  numbers: [
    [
      { type: "ping", id: 4_294_967_295 },
      { type: "connect", id: 1, heartbeat: 0 },
      { type: "connect", id: 1, heartbeat: Number.MAX_SAFE_INTEGER },
      { type: "position", channel: "c", position: ["e", 0] },
      { type: "position", channel: "c", position: ["e", Number.MAX_SAFE_INTEGER] },
    ],
    [
      { type: "unsubscribe", id: 4_294_967_296, channel: "c" },
      { type: "unsubscribe", id: 0, channel: "c" },
      { type: "connect", id: 1, heartbeat: -1 },
      { type: "connect", id: 1, heartbeat: Number.MAX_SAFE_INTEGER + 1 },
      { type: "position", channel: "c", position: ["e", Number.MAX_SAFE_INTEGER + 1] },
    ],
  ],
};

/** What comes out at the other end; the packet is either not written or not read where it must not be. */
const through = (codec: Codec, packet: Packet): Packet => codec.decode(codec.encode(packet));

describe.each([jsonCodec, binaryCodec])("$name", (codec) => {
  test.each(Object.keys(bounds))("at the bound and over it: %s", (name) => {
    const [at, over] = bounds[name] ?? [[], []];
    for (const packet of at) expect(through(codec, packet)).toMatchObject({ type: packet.type });
    for (const packet of over)
      expect(() => through(codec, packet), JSON.stringify(packet).slice(0, 80)).toThrow(
        expect.objectContaining({ code: "badRequest" }),
      );
  });
});

test("what only JSON can say: lone surrogates and fractions", () => {
  for (const packet of [
    ...channels("\ud800"),
    { type: "connect", id: 1, heartbeat: 1.5 },
    { type: "call", id: 1, method: "\udc00", payload },
  ] as const)
    expect(() => through(jsonCodec, packet)).toThrow(expect.objectContaining({ code: "badRequest" }));
});

test("each documented bound is one of these", () => {
  const doc = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
  const [, table = ""] = /\| what \| bound \|\n\| --- \| --- \|\n((?:\|.*\n)+)/.exec(doc) ?? [];
  const rows = table.split("\n").filter(Boolean);
  expect(rows.map((row) => row.split("|")[1]?.trim())).toEqual(Object.keys(bounds));
});
