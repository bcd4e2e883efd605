import { createClient } from "@redis/client";
import { expect, test } from "vitest";
import { expectNoLeak } from "../../../../test/brokers/leaks.ts";
import { Member } from "../../../../test/brokers/member.ts";
import { redis as redisBackplane } from "../src/index.ts";
import { RedisProcess, redisServer } from "../../../../test/services/redis.ts";

// A minute of restarts: with the other long tests.
test.skipIf(redisServer === undefined || process.env["ZURUF_TEST_FULL"] === undefined)(
  "over 50 restarts of Redis nothing is left behind: descriptors, memory, subscriptions, keys",
  { timeout: 180_000 },
  async ({ onTestFinished }) => {
    const redis = await RedisProcess.start("log");
    onTestFinished(() => redis.dispose());
    const member = await Member.start(redisBackplane(redis.url), "a");
    const channels = Array.from({ length: 200 }, (_, i) => `c${i}`);
    await member.backplane.subscribe(channels);
    const first = await member.publish("c0", "0");
    await expectNoLeak(redis, member, 50, "SIGTERM", (text) => member.publish("c0", text));
    // Every restart added a link to the chain, and every position is still good.
    expect(await member.after("c0", first?.epoch ?? "", 1)).toHaveLength(50);
    const client = createClient({ url: redis.url });
    await client.connect();
    const subscribed = async (): Promise<number> =>
      (await client.sendCommand<string[]>(["PUBSUB", "SHARDCHANNELS"])).length;
    // The channels, two for control, and the canary.
    expect(await subscribed()).toBe(channels.length + 3);
    expect(await client.sendCommand(["DBSIZE"])).toBe(2);
    await member.backplane.close();
    while ((await subscribed()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await client.sendCommand<string>(["CLIENT", "LIST"])).split("\n").filter(Boolean)).toHaveLength(1);
    client.destroy();
  },
);
