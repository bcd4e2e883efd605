import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { binaryCodec, jsonCodec, PacketError, type Packet } from "../src/index.ts";
import { shapes } from "../src/shapes.ts";

interface Vectors {
  readonly packets: readonly { readonly packet: Packet; readonly json: string; readonly bin: string }[];
  readonly accepted: readonly {
    readonly why: string;
    readonly codec: "json" | "bin";
    readonly message: string;
    readonly packet: Packet;
  }[];
  readonly refused: readonly {
    readonly why: string;
    readonly codec: "json" | "bin";
    readonly message: string;
    readonly id: number;
  }[];
}
const file = new URL("../../../conformance/protocol/packets.json", import.meta.url);
const { packets, accepted, refused } = JSON.parse(readFileSync(file, "utf8"), (_key, value: unknown) =>
  typeof value === "object" && value !== null && "hex" in value
    ? new Uint8Array(Buffer.from(String(value.hex), "hex"))
    : value,
) as Vectors;

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const message = (codec: "json" | "bin", text: string): string | Uint8Array => (codec === "json" ? text : bytes(text));
/** A payload's parsed value is the decoder's convenience, and limits are compared as plain objects. */
function plain(packet: Packet): unknown {
  return JSON.parse(JSON.stringify(packet, (key, value: unknown) => (key === "value" ? undefined : value)));
}

describe("golden vectors of both codecs", () => {
  test.each(packets)("$json", ({ packet, json, bin }) => {
    expect(jsonCodec.encode(packet)).toBe(json);
    expect(Buffer.from(binaryCodec.encode(packet) as Uint8Array).toString("hex")).toBe(bin);
    expect(plain(jsonCodec.decode(json))).toEqual(plain(packet));
    expect(plain(binaryCodec.decode(bytes(bin)))).toEqual(plain(packet));
  });

  test("cover every packet", () => {
    expect(new Set(packets.map(({ packet }) => packet.type))).toEqual(new Set([...Object.keys(shapes), "msg"]));
  });

  test.each(accepted)("accepted, $codec: $why", ({ codec, message: text, packet }) => {
    expect((codec === "json" ? jsonCodec : binaryCodec).decode(message(codec, text))).toEqual(packet);
  });

  test.each(refused)("refused, $codec: $why", ({ codec, message: text, id }) => {
    let error: unknown;
    try {
      (codec === "json" ? jsonCodec : binaryCodec).decode(message(codec, text));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(PacketError);
    expect((error as PacketError).id).toBe(id);
  });
});
