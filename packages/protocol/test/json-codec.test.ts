import { describe, expect, test } from "vitest";
import { jsonCodec, maxDepth, PacketError, payloadValue, toPayload, type Packet } from "../src/index.ts";

const decode = (text: string | Uint8Array): Packet => jsonCodec.decode(text);
const failure = (text: string | Uint8Array): PacketError => {
  try {
    decode(text);
  } catch (error) {
    expect(error).toBeInstanceOf(PacketError);
    return error as PacketError;
  }
  throw new Error(`decoded: ${String(text)}`);
};

describe("zuruf.v1.json", () => {
  test("keeps the original text of the data", () => {
    const packet = decode(`["publish", 7, "chat:lobby", {"key":"k"} ,  {"a" : 1.0, "s":"],\\"[" } ]`);
    expect(packet).toMatchObject({ type: "publish", id: 7, channel: "chat:lobby", key: "k" });
    expect((packet as { payload: { text: string } }).payload.text).toBe(`{"a" : 1.0, "s":"],\\"[" }`);
  });

  test("keeps scalars, empty and escaped data", () => {
    for (const data of ["1", "-0", "null", `""`, `"\\\\"`, `"a\\\\\\""`, "[]", "{}", `[[],{"]":"["}]`]) {
      const packet = decode(`["publish",1,"c]\\",[",{"key":"\\\\"},${data}]`);
      expect(packet).toMatchObject({ payload: { format: "json", text: data } });
    }
  });

  test("carries bytes as marked base64", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const text = jsonCodec.encode({ type: "publish", id: 1, channel: "c", payload: toPayload(bytes) });
    expect(text).toContain(`{"format":"binary"},{"$bytes":"AAEC`);
    const packet = decode(text) as { payload: Parameters<typeof payloadValue>[0] };
    expect(payloadValue(packet.payload)).toEqual(bytes);
    expect(failure(`["publish",1,"c",{"format":"binary"},{"$bytes":"*"}]`).id).toBe(1);
    expect(failure(`["publish",1,"c",{"format":"xml"},{}]`).id).toBe(1);
  });

  test("ignores unknown words, keys and further elements", () => {
    expect(decode(`["later",{"a":1}]`)).toEqual({ type: "unknown", word: "later" });
    expect(decode(`["later",9]`)).toEqual({ type: "unknown", word: "later", id: 9 });
    expect(decode(`["subscribe",1,"c",{"new":[1]},"more"]`)).toEqual({ type: "subscribe", id: 1, channel: "c" });
    expect(decode(`["subscribe",1,"c"]`)).toEqual({ type: "subscribe", id: 1, channel: "c" });
    expect(decode(`["ping"]`)).toEqual({ type: "ping" });
    expect(decode(`["msg","c",0,5]`)).toMatchObject({ type: "msg", offset: 0, payload: { text: "5" } });
  });

  test("refuses what is malformed, with the id where it can be read", () => {
    expect(failure(new Uint8Array(3)).fatal).toBe(true);
    for (const text of ["", "{}", "[]", "[1]", "x", `["publish"`, "null"]) expect(failure(text).id).toBe(0);
    for (const id of [0, -1, 1.5, 4_294_967_296, `"1"`, null])
      expect(failure(`["ping",${id}]`).code).toBe("badRequest");
    expect(failure(`["publish",4294967295,"c",{}]`).id).toBe(4_294_967_295);
    for (const name of ["", " ", "a b", "{a}", "\\u0000", "\\ud800", "ä".repeat(101), "x".repeat(201)])
      expect(failure(`["unsubscribe",3,"${name}"]`).id, name).toBe(3);
    expect(decode(`["unsubscribe",3,"${"ä".repeat(100)}"]`).type).toBe("unsubscribe");
    for (const position of [`["",1]`, `["e",-1]`, `["e",1.5]`, `["e",9007199254740992]`, `[]`, `{}`, "null"])
      expect(failure(`["subscribe",5,"c",{"position":${position}}]`).id).toBe(5);
    expect(failure(`["publish",6,"c",{},1,2]`).message).toContain("last");
  });

  test("bounds the depth at the limit and over it", () => {
    const nested = (depth: number): string => `["publish",1,"c",{},${"[".repeat(depth)}${"]".repeat(depth)}]`;
    expect(decode(nested(maxDepth - 1)).type).toBe("publish");
    expect(failure(nested(maxDepth)).message).toContain("deep");
    expect(decode(`["publish",1,"c",{},"${"[".repeat(1000)}"]`).type).toBe("publish");
  });

  test("what a peer names never reaches a prototype", () => {
    const packet = decode(`["connect",1,{"__proto__":{"token":"x"},"constructor":1}]`);
    expect(packet).toEqual({ type: "connect", id: 1 });
    expect(decode(`["constructor",1]`)).toEqual({ type: "unknown", word: "constructor", id: 1 });
    expect(({} as { token?: string }).token).toBeUndefined();
  });
});
