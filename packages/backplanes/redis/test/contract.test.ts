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
});
