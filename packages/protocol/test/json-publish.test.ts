import { array, assert, constantFrom, property } from "fast-check";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { jsonCodec, maxDepth, type Packet } from "../src/index.ts";
import { readPublish } from "../src/json-publish.ts";

/** What the general decoder says: it reads all that starts with a space, which JSON allows. */
function generally(message: string): Packet | undefined {
  try {
    return jsonCodec.decode(` ${message}`);
  } catch {
    return undefined;
  }
}

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

describe("a publish read by its form", () => {
  test("is what the SDK and JSON.stringify write", () => {
    for (const message of [
      `["publish",1,"chat:lobby",{},"hi"]`,
      `["publish",4294967295,"c",{"key":"k 1{}"},{"a":["\\"]",1.5]}]`,
      `["publish",7,"c",{}, {"a" : 1} ]`,
      `["publish",7,"c",{},${nested(maxDepth - 1)}]`,
      `["publish",7,"c",{},"ü😀"]`,
    ]) {
      expect(readPublish(message), message).toEqual(generally(message));
      expect(readPublish(message), message).toBeDefined();
    }
  });

  test("is not taken for one to the channel before", () => {
    for (const channel of ["a", "ab", "a", "b", "a b", "ü", "ab"]) {
      const message = `["publish",1,${JSON.stringify(channel)},{},1]`;
      expect(readPublish(message) ?? generally(message), message).toEqual(generally(message));
    }
    expect(readPublish(`["publish",1,"a",{},1]`)?.channel).toBe("a");
    for (const message of [
      `["publish",1,"a"},1]`,
      `["publish",1,"a",{,1]`,
      `["publish",1"a",{},1]`,
      `["publish",1,"a",{},`,
      `["publish",1,"a",{`,
    ])
      expect(readPublish(message), message).toBeUndefined();
  });

  test("is left to the general decoder where it is anything else", () => {
    for (const message of [
      `["publish", 1,"c",{},1]`,
      `["publish",01,"c",{},1]`,
      `["publish",4294967296,"c",{},1]`,
      `["publish",1e1,"c",{},1]`,
      `["publish",1,"ü",{},1]`,
      `["publish",1,"\\u0063",{},1]`,
      `["publish",1,"c",{"key":"\\u006b"},1]`,
      `["publish",1,"c",{"key":"k","again":true},1]`,
      `["publish",1,"c",{"format":"binary"},{"$bytes":""}]`,
      `["publish",1,"",{},1]`,
      `["publish",1,"c",{"key":""},1]`,
      `["publish",1,"c",{"key":"${"k".repeat(129)}"},1]`,
      `["publish",1,"c",{},${nested(maxDepth)}]`,
      `["publish",1,"c",{},1,2]`,
      `["publish",1,"c",{},]`,
      `["publish",1,"c",{},1`,
      `["publish",1,"c`,
    ])
      expect(readPublish(message), message).toBeUndefined();
  });

  test("keeps nothing of the message in the channel and the key, which live longer", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const heap = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const names: unknown[] = [];
    const before = heap();
    for (let i = 0; i < 400; i++) {
      const message = `["publish",1,"chat:a-long-name-${i}",{"key":"a-long-random-key-${i}"},"${"x".repeat(50_000)}"]`;
      // As it comes off a socket: one flat string.
      const packet = readPublish(Buffer.from(message).toString("latin1"));
      names.push(packet?.channel, packet?.key);
    }
    expect(heap() - before).toBeLessThan(4_000_000);
    expect(names.at(-1)).toBe("a-long-random-key-399");
  });

  test("is never read in another way than by the general decoder", () => {
    const pieces = constantFrom(
      ...`["publish",1,"c",{}, ["publish", 1 0 ," ",{ "c" ",{"key":" "}, }, {} " [ ] { } , : \\ \n \u0001 ü k ]] null "x"`.split(
        " ",
      ),
    );
    assert(
      property(array(pieces, { maxLength: 12 }), (parts) => {
        const message = `${parts.join("")}]`;
        const packet = readPublish(message);
        if (packet !== undefined) expect(packet).toEqual(generally(message));
      }),
      { numRuns: 5000 },
    );
  });
});
