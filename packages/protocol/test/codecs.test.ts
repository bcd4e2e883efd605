import {
  array,
  assert,
  constantFrom,
  dictionary,
  integer,
  jsonValue,
  option,
  property,
  record,
  string,
  tuple,
  uint8Array,
  uuid,
  type Arbitrary,
} from "fast-check";
import { describe, expect, test } from "vitest";
import { binaryCodec, jsonCodec, PacketError, toPayload, type Codec, type Packet, type Payload } from "../src/index.ts";
import { shapes, type FieldType } from "../src/shapes.ts";

const text = string({ unit: "grapheme", minLength: 1, maxLength: 20 });
const uint = integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const channel = constantFrom("a", "chat:lobby", "ü:😀", "x".repeat(200));
const json = jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const payload = (values: Arbitrary<unknown>): Arbitrary<Payload> => values.map(toPayload);
const anyPayload = payload(json).chain((it) =>
  constantFrom<Payload>(it, { format: "binary", bytes: Uint8Array.of(0, 255, 128) }),
);
const info = record({ client: text, user: text, key: text, time: uint }, { requiredKeys: ["time"] });

/** Any value that a field may hold. */
const values: Record<FieldType, Arbitrary<unknown>> = {
  id: integer({ min: 1, max: 0xffff_ffff }),
  anyId: integer({ min: 0, max: 0xffff_ffff }),
  uint,
  bool: constantFrom(true, false),
  channel,
  key: uuid(),
  name: text,
  text: string({ unit: "grapheme" }),
  pair: tuple(text, text),
  position: tuple(uuid(), uint),
  error: tuple(text, text, constantFrom(true, false), uint),
  delivery: constantFrom("stream", "latest", "volatile"),
  reason: constantFrom("retention", "rollback", "epoch"),
  receipt: constantFrom("delivered", "offline", "unknown"),
  json,
  limits: dictionary(text, uint, { noNullPrototype: true }).filter((it) => !Object.keys(it).includes("__proto__")),
  items: array(record({ offset: uint, info, payload: anyPayload }), { maxLength: 4 }),
  members: array(
    tuple(
      text,
      array(
        option(json, { nil: undefined }).map((it) => (it === undefined ? ["c"] : ["c", it])),
        { maxLength: 3 },
      ),
    ),
    { maxLength: 4 },
  ),
};

const packets: Arbitrary<Packet>[] = Object.entries(shapes).map(([type, { fields, options = {}, last }]) => {
  const parts: Record<string, Arbitrary<unknown>> = { type: constantFrom(type) };
  const required = ["type"];
  for (const [name, kind] of fields) {
    parts[name] = values[kind];
    required.push(name);
  }
  for (const [name, [kind, , must]] of Object.entries(options)) {
    parts[name] = values[kind];
    if (must) required.push(name);
  }
  if (last !== undefined) {
    const name = last === "payload" ? "payload" : last[0];
    parts[name] = last === "payload" ? anyPayload : values[last[1]];
    required.push(name);
  }
  return record(parts, { requiredKeys: required }) as unknown as Arbitrary<Packet>;
});
const msg: Arbitrary<unknown> = record(
  { type: constantFrom("msg"), channel, offset: uint, info, payload: anyPayload },
  { requiredKeys: ["type", "channel", "offset", "payload"] },
);
packets.push(msg as Arbitrary<Packet>);

/** Without what decoding adds (`value`) and with history's texts as JSON writes them. */
function plain(packet: unknown): unknown {
  return JSON.parse(
    JSON.stringify(packet, (key, value: unknown) => {
      if (value instanceof Uint8Array) return [...value];
      if (typeof value === "object" && value !== null && "format" in value && "text" in value && key !== "info")
        return { format: "json", data: JSON.parse(String(value.text)) as unknown };
      return value;
    }),
  );
}

describe.each<Codec>([jsonCodec, binaryCodec])("$name", (codec) => {
  test("gives every packet back as it was", () => {
    for (const packet of packets) {
      assert(
        property(packet, (original) => {
          expect(plain(codec.decode(codec.encode(original)))).toEqual(plain(original));
        }),
        { numRuns: 60 },
      );
    }
  });

  test("keeps the text of JSON data as it was written", () => {
    const written = ` {"a" : 1.0, "b":"\\u00e9"}`.trim();
    const packet = codec.decode(
      codec.encode({ type: "publish", id: 1, channel: "c", payload: { format: "json", text: written } }),
    );
    expect(packet).toMatchObject({ payload: { text: written } });
  });

  test("whatever comes in, nothing but a PacketError comes out", () => {
    const decode = (message: string | Uint8Array): void => {
      try {
        codec.decode(message);
      } catch (error) {
        expect(error).toBeInstanceOf(PacketError);
      }
    };
    assert(
      property(uint8Array({ maxLength: 100 }), string(), json, (bytes, noise, value) => {
        decode(bytes);
        decode(noise);
        decode(JSON.stringify(value));
      }),
      { numRuns: 500 },
    );
    // Every packet with one byte changed, and cut at every place.
    for (const packet of packets) {
      assert(
        property(packet, integer({ min: 0 }), integer({ min: 0, max: 255 }), (original, at, byte) => {
          const message = codec.encode(original);
          if (typeof message === "string") {
            decode(
              message.slice(0, at % message.length) +
                String.fromCharCode(byte) +
                message.slice((at % message.length) + 1),
            );
            decode(message.slice(0, at % message.length));
          } else {
            decode(message.with(at % message.length, byte));
            decode(message.subarray(0, at % message.length));
          }
        }),
        { numRuns: 40 },
      );
    }
  });
});

describe("zuruf.v1.bin", () => {
  test("is compact", () => {
    const size = binaryCodec.encode({
      type: "msg",
      channel: "game:1",
      offset: 300,
      payload: { format: "binary", bytes: new Uint8Array(8) },
    }).length;
    expect(size).toBe(1 + 1 + 6 + 2 + 1 + 1 + 8);
  });

  test("skips options, flags and bytes that it does not know, and says which requests it cannot answer", () => {
    const subscribe = [...(binaryCodec.encode({ type: "subscribe", id: 7, channel: "c", echo: false }) as Uint8Array)];
    const grown = Uint8Array.from([...subscribe.slice(0, -1), 99, 2, 1, 1, 0, 42]);
    expect(binaryCodec.decode(grown)).toEqual({ type: "subscribe", id: 7, channel: "c", echo: false });
    expect(binaryCodec.decode(Uint8Array.of(201, 5, 1, 2))).toEqual({ type: "unknown", word: "#201", id: 5 });
    expect(binaryCodec.decode(Uint8Array.of(200, 5, 1, 2))).toEqual({ type: "unknown", word: "#200" });
    const later = Uint8Array.of(1, 1, 99, 0, 8 | 16, 5, 2, 9, 9, 0, 49);
    expect(binaryCodec.decode(later)).toMatchObject({
      type: "msg",
      channel: "c",
      info: { time: 5 },
      payload: { text: "1" },
    });
  });

  test("refuses numbers that JavaScript cannot hold", () => {
    const large =
      (...bytes: number[]): (() => Packet) =>
      () =>
        binaryCodec.decode(Uint8Array.of(1, 1, 99, ...bytes, 0, 0, 49));
    expect(large(255, 255, 255, 255, 255, 255, 255, 15)()).toMatchObject({ offset: Number.MAX_SAFE_INTEGER });
    expect(large(128, 128, 128, 128, 128, 128, 128, 16)).toThrow(PacketError);
    expect(large(255, 255, 255, 255, 255, 255, 255, 255, 255, 1)).toThrow(PacketError);
  });
});
