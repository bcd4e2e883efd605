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

  test("bytes: at the limit an entry goes, below it stays, so never less is kept than wanted", async () => {
    const backplane = redis(url ?? "", { prefix });
    await backplane.start(`${prefix}-bytes`, new RecordingSink());
    try {
      const kept = async (channel: string, sizes: readonly (readonly number[])[], bytes: number): Promise<number[]> => {
        const retention = { size: 1000, ttl: 60_000, bytes };
        // What is published together is one entry.
        for (const together of sizes)
          await Promise.all(together.map((size) => backplane.publish(channel, Buffer.alloc(size), { retention })));
        const { items } = await backplane.history(channel, { limit: 1000 });
        return items.map(({ data }) => data.length);
      };
      expect(await kept("bytes:below", [[100], [60], [39]], 100)).toEqual([100, 60, 39]);
      expect(await kept("bytes:at", [[100], [60], [40]], 100)).toEqual([60, 40]);
      expect(await kept("bytes:over", [[100], [60], [41]], 100)).toEqual([60, 41]);
      expect(
        await kept(
          "bytes:together",
          [
            [50, 50, 50],
            [60, 39],
          ],
          100,
        ),
      ).toEqual([50, 50, 50, 60, 39]);
      expect(
        await kept(
          "bytes:together-at",
          [
            [50, 50, 50],
            [60, 40],
          ],
          100,
        ),
      ).toEqual([60, 40]);
      expect(await kept("bytes:one", [[10], [500]], 100)).toEqual([500]);
    } finally {
      await backplane.close();
    }
  });

  test("without history, too, what is published together goes together, in call order, each key once", async () => {
    const sink = new RecordingSink();
    const client = createClient({ url: url ?? "" });
    await client.connect();
    const backplane = redis(url ?? "", { prefix });
    await backplane.start(`${prefix}-live`, sink);
    try {
      const channels = ["live:1", "live:2"];
      await backplane.subscribe(channels);
      let messages = 0;
      await client.sSubscribe(`${prefix}:{live:1}`, () => messages++);
      const publish = (channel: string, text: string, key?: string): Promise<unknown> =>
        backplane.publish(channel, Buffer.from(text), { key });
      await Promise.all(
        channels.flatMap((channel) => [
          ...["a", "b", "c"].map((text) => publish(channel, text)),
          publish(channel, "keyed", "k"),
          publish(channel, "d"),
        ]),
      );
      await Promise.all(channels.flatMap((channel) => [publish(channel, "repeat", "k"), publish(channel, "e")]));
      // Nothing new: nothing is announced.
      expect(await publish("live:1", "repeat", "k")).toBe(undefined);
      await publish("live:1", "end");
      await expect.poll(() => sink.texts("live:1").at(-1)).toBe("end");
      expect(sink.texts("live:1")).toEqual(["a", "b", "c", "keyed", "d", "e", "end"]);
      expect(sink.texts("live:2")).toEqual(["a", "b", "c", "keyed", "d", "e"]);
      await expect.poll(() => messages).toBe(3);
    } finally {
      await backplane.close();
      await client.close();
    }
  });

  test("what goes wrong in Redis itself is said in its own words", async () => {
    const client = createClient({ url: url ?? "" });
    await client.connect();
    const backplane = redis(url ?? "", { prefix });
    await backplane.start(`${prefix}-broken`, new RecordingSink());
    try {
      const publish = (): Promise<unknown> =>
        backplane.publish("broken", Buffer.from("x"), { retention: { size: 10, ttl: 60_000, bytes: 0 } });
      await publish();
      await client.hSet(`${prefix}:{broken}:meta`, "chain", "not a chain");
      await expect(publish()).rejects.toMatchObject({
        code: "notStored",
        message: expect.stringMatching(/^Redis refused: ERR user_script:.*nil value/),
      });
    } finally {
      await backplane.close();
      await client.close();
    }
  });
});
