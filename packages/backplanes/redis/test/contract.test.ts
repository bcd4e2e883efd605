import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { createClient } from "@redis/client";
import { backplaneContract, RecordingSink } from "@zuruf/hub/testing";
import { redis } from "../src/index.ts";

const url = process.env["ZURUF_TEST_REDIS_URL"];
const prefix = `test-${randomBytes(6).toString("hex")}`;

// Without a server (npm test starts one) there is nothing to try it on.
describe.skipIf(url === undefined)("redis", () => {
  backplaneContract({
    name: "redis",
    create: () => Promise.resolve(redis(url ?? "", { prefix })),
    test: { describe, test, expect, afterAll },
  });

  test("a channel whose key somebody else has taken costs only itself, though channels share calls", async () => {
    const client = createClient({ url: url ?? "" });
    await client.connect();
    const backplane = redis(url ?? "", { prefix });
    await backplane.start(`${prefix}-one`, new RecordingSink());
    try {
      const publish = (channel: string): Promise<unknown> =>
        backplane.publish(channel, Buffer.from("x"), { retention: { size: 10, ttl: 60_000, bytes: 0 } });
      await publish("taken");
      await client.set(`${prefix}:{taken}:log`, "not a stream");
      const [taken, free] = await Promise.allSettled([publish("taken"), publish("free")]);
      expect(taken).toMatchObject({ status: "rejected", reason: { code: "notStored" } });
      expect(free).toMatchObject({ status: "fulfilled", value: { offset: 1 } });
      await expect(publish("taken")).rejects.toMatchObject({ code: "notStored" });
    } finally {
      await backplane.close();
      await client.close();
    }
  });

  test("keys expire, though a repeat was the first publication of a key window", async () => {
    const client = createClient({ url: url ?? "" });
    await client.connect();
    const backplane = redis(url ?? "", { prefix });
    await backplane.start(`${prefix}-keys`, new RecordingSink());
    try {
      const publish = (key: string): Promise<unknown> =>
        backplane.publish("keys", Buffer.from(key), { key, retention: { size: 10, ttl: 60_000, bytes: 0 } });
      const first = await publish("one");
      // As if a key window had passed.
      await client.hSet(`${prefix}:{keys}:meta`, "turned", "0");
      expect(await publish("one")).toEqual(first);
      await publish("two");
      expect(await publish("one")).toEqual(first);
      for (const side of [0, 1]) expect(await client.pTTL(`${prefix}:{keys}:keys:${side}`)).toBeGreaterThan(0);
    } finally {
      await backplane.close();
      await client.close();
    }
  });
});
