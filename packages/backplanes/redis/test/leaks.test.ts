import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createClient } from "@redis/client";
import { expect, test } from "vitest";
import { Member } from "../../../../test/brokers/member.ts";
import { redis as redisBackplane } from "../src/index.ts";
import { RedisProcess, redisServer } from "../../../../test/services/redis.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
/** Bytes of heap that something still holds. */
function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
const descriptors = (): number => readdirSync("/proc/self/fd").length;

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
    let [fds, heap] = [0, 0];
    for (let round = 1; round <= 50; round++) {
      await redis.stop(round % 2 === 0 ? "SIGKILL" : "SIGTERM");
      await member.until("down", () => !member.isUp);
      await redis.start();
      await member.until("up", () => member.isUp, 20_000);
      await member.publish("c0", `${round}`);
      await member.until("delivery", () => member.texts("c0").includes(`${round}`));
      if (round === 10) [fds, heap] = [descriptors(), heapInUse()];
    }
    expect(descriptors()).toBeLessThanOrEqual(fds + 2);
    // Not before timers of what is over have passed, which hold some MB for seconds.
    await expect.poll(() => heapInUse() - heap, { interval: 1000, timeout: 30_000 }).toBeLessThan(5_000_000);
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
