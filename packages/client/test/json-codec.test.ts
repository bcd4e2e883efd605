/** The client's own JSON codec says and understands what the protocol's does, which the golden vectors hold. */
import { jsonCodec as reference, type Packet, payloadValue } from "@zuruf/protocol";
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonCodec } from "../src/json-codec.ts";

const id = fc.integer({ min: 1, max: 0xffff_ffff });
const uint = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const word = fc.stringMatching(/^[a-zäß:]{1,10}$/);
const position = fc.tuple(word, uint);
/** As JSON has them: it knows no -0. */
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const payload = fc.oneof(
  json.map((value) => ({ format: "json", text: JSON.stringify(value) }) as const),
  fc.uint8Array({ maxLength: 100 }).map((bytes) => ({ format: "binary", bytes }) as const),
);
const error = fc.tuple(word, fc.string(), fc.boolean(), uint);
const member = fc.tuple(word, fc.array(fc.oneof(fc.tuple(word), fc.tuple(word, json)), { maxLength: 3 }));
const info = fc.record({ time: uint, client: word, user: word, key: word }, { requiredKeys: ["time"] });

function packets(type: Packet["type"], fields: object, optional: object = {}): fc.Arbitrary<Packet> {
  const all = { type: fc.constant(type), ...fields, ...optional };
  return fc.record(all, { requiredKeys: ["type", ...Object.keys(fields)] as never[] }) as fc.Arbitrary<Packet>;
}

const sent = fc.oneof(
  packets("connect", { id }, { token: fc.string(), resume: fc.tuple(word, word), heartbeat: uint }),
  packets("refresh", { id, token: fc.string() }),
  packets("subscribe", { id, channel: word }, { position, echo: fc.boolean(), presence: fc.boolean(), info: json }),
  packets("unsubscribe", { id, channel: word }),
  packets("publish", { id, channel: word, payload }, { key: word, again: fc.boolean() }),
  packets("history", { id, channel: word, limit: uint }, { after: position, before: position }),
  packets("presence", { id, channel: word }, { count: fc.boolean() }),
  packets("send", { id, to: word, payload }, { timeout: uint }),
  packets("call", { id, method: word, payload }, { timeout: uint }),
  packets("result", { id, payload }),
  packets("received", { id }),
  packets("error", { id, error }),
  packets("ping", {}, { id }),
);

const received = fc.oneof(
  packets(
    "connected",
    {
      id,
      client: word,
      secret: word,
      resumed: fc.boolean(),
      instance: word,
      heartbeat: uint,
      limits: fc.constant({ requests: 5 }),
    },
    { user: word, expires: uint },
  ),
  packets("refreshed", { id }, { expires: uint }),
  packets(
    "subscribed",
    { id, delivery: fc.constantFrom("stream", "latest", "volatile") },
    { position, recovered: fc.boolean(), reason: fc.constantFrom("retention", "rollback", "epoch") },
  ),
  packets("unsubscribed", { id }),
  packets("published", { id }, { position }),
  packets("historyPage", {
    id,
    position,
    complete: fc.boolean(),
    items: fc.array(fc.record({ offset: uint, info, payload }), { maxLength: 3 }),
  }),
  packets("presencePage", { id, members: uint, connections: uint, list: fc.array(member) }, { stale: fc.boolean() }),
  packets("receipt", { id, receipt: fc.constantFrom("delivered", "offline", "unknown") }),
  packets("call", { id, method: word, payload }, { timeout: uint }),
  packets("result", { id, payload }),
  packets("ping", {}, { id }),
  packets("pong", { id }),
  packets("msg", { channel: word, offset: uint, payload }, { info }),
  packets("position", { channel: word, position }),
  packets("restarted", { channel: word, position, reason: fc.constantFrom("retention", "rollback", "epoch") }),
  packets("ended", { channel: word, error }),
  packets("members", { channel: word, changes: fc.array(member) }, { snapshot: fc.boolean(), stale: fc.boolean() }),
  packets("direct", { id, time: uint, payload }, { from: word, user: word }),
  packets("error", { id: fc.nat({ max: 0xffff_ffff }), error }),
);

/** Payloads by what they mean; options that one side repeats inside `info` left out. */
function meaning(packet: unknown): unknown {
  if (Array.isArray(packet)) return packet.map(meaning);
  if (typeof packet !== "object" || packet === null) return packet;
  return Object.fromEntries(
    Object.entries(packet).flatMap(([key, value]: [string, unknown]) => {
      if (key === "payload") return [[key, payloadValue(value as never)]];
      if (key === "format") return [];
      return [[key, key === "items" || key === "info" ? meaning(value) : value]];
    }),
  );
}

describe("the client's JSON codec", () => {
  test("what it writes is what the protocol's reads", () => {
    fc.assert(
      fc.property(sent, (packet) => {
        expect(meaning(reference.decode(jsonCodec.encode(packet)))).toEqual(meaning(packet));
      }),
    );
  });

  test("what the protocol's writes is what it reads", () => {
    fc.assert(
      fc.property(received, (packet) => {
        expect(meaning(jsonCodec.decode(reference.encode(packet)))).toEqual(meaning(packet));
      }),
      { numRuns: 300 },
    );
  });

  const file = new URL("../../../conformance/protocol/packets.json", import.meta.url);
  const { packets: golden } = JSON.parse(readFileSync(file, "utf8"), (_, value: unknown) =>
    typeof value === "object" && value !== null && "hex" in value
      ? new Uint8Array(Buffer.from(String(value.hex), "hex"))
      : value,
  ) as { packets: { packet: Packet; json: string }[] };
  const asked = new Set(["connect", "refresh", "subscribe", "unsubscribe", "publish", "history", "presence", "send"]);
  const said = new Set([...asked, "call", "result", "received", "error", "ping"]);

  test.each(golden.filter(({ packet }) => said.has(packet.type)))("says $json", ({ packet, json: text }) => {
    expect(JSON.parse(jsonCodec.encode(packet) as string)).toEqual(JSON.parse(text));
  });

  test.each(golden.filter(({ packet }) => !asked.has(packet.type)))("understands $json", ({ packet, json: text }) => {
    expect(meaning(jsonCodec.decode(text))).toEqual(meaning(packet));
  });

  test("unknown words, keys and further elements are ignored", () => {
    expect(jsonCodec.decode(`["later",1,{}]`)).toEqual({ type: "unknown", word: "later" });
    expect(jsonCodec.decode(`["constructor",1]`)).toEqual({ type: "unknown", word: "constructor" });
    expect(jsonCodec.decode(`["pong",7,"more"]`)).toEqual({ type: "pong", id: 7 });
    expect(jsonCodec.decode(`["unsubscribed",7,{"new":1}]`)).toEqual({ type: "unsubscribed", id: 7 });
    expect(jsonCodec.decode(`["published",7,{"new":1,"id":9,"type":"x"}]`)).toMatchObject({ type: "published", id: 7 });
  });

  test.each([
    "",
    "{}",
    "[]",
    "[1]",
    "null",
    `["msg"]`,
    `["msg","c",-1,{}]`,
    `["msg","c",9007199254740993,{}]`,
    `["msg","c",1.5,{}]`,
    `["msg",1,1,{}]`,
    `["subscribed",1,{"position":["e",-1]}]`,
    `["subscribed",1,{"position":{"epoch":"e","offset":1}}]`,
    `["published","1",{}]`,
    `["position","c",["e"]]`,
    `["ended","c","why"]`,
    `["error",1,[1,2,3,4]]`,
    `["history",1,{"position":["e",1],"complete":true},[[-1,{"time":1},1]]]`,
    `["history",1,{"position":["e",1],"complete":true},7]`,
    `["msg","c",1,{"format":"binary"},{"$bytes":"?"}]`,
    `["direct",1]`,
  ])("%s is refused", (message) => {
    expect(() => jsonCodec.decode(message)).toThrow(/./);
  });
});
