import { createClient } from "@redis/client";
import { compose } from "@zuruf/compose";
import { nats } from "@zuruf/nats";
import { redis } from "@zuruf/redis";
import { expect, test } from "vitest";
import { NatsProcess } from "../services/nats.ts";
import { freePort } from "../services/process.ts";
import { programs } from "../services/programs.ts";
import { RedisProcess, redisServer } from "../services/redis.ts";
import { expectNoLeak, type Restartable } from "./leaks.ts";
import { Member } from "./member.ts";

const program = programs.nats.find();

// A minute of restarts: with the other long tests.
test.skipIf(program === undefined || redisServer === undefined || process.env["ZURUF_TEST_FULL"] === undefined)(
  "over 50 restarts of a relay and a store nothing is left behind: descriptors, memory, connections, subscriptions",
  { timeout: 300_000 },
  async ({ onTestFinished }) => {
    const monitor = await freePort();
    const relay = await NatsProcess.start(program ?? "", ["-m", `${monitor}`]);
    onTestFinished(() => relay.dispose());
    const store = await RedisProcess.start("log");
    onTestFinished(() => store.dispose());
    const backplane = compose({ relay: nats(relay.url, { history: false }), store: redis(store.url) });
    const member = await Member.start(backplane, "a");
    onTestFinished(() => backplane.close());
    await backplane.subscribe(Array.from({ length: 200 }, (_, i) => `c${i}`));
    const first = await member.publish("c0", "0");
    const subscriptions = async (): Promise<number[]> => {
      const answer = await fetch(`http://127.0.0.1:${monitor}/connz`);
      const { connections } = (await answer.json()) as { connections: { subscriptions: number }[] };
      return connections.map((connection) => connection.subscriptions);
    };
    const before = await subscriptions();
    const both: Restartable = {
      stop: async (signal) => {
        await Promise.all([relay.stop(signal), store.stop(signal)]);
      },
      start: async () => {
        await Promise.all([relay.start(), store.start()]);
      },
    };
    await expectNoLeak(both, member, 50, "SIGTERM", (text) => member.publish("c0", text));
    expect(await subscriptions()).toEqual(before);
    expect(await member.after("c0", first?.epoch ?? "", first?.offset ?? 0)).toHaveLength(50);
    await backplane.close();
    await expect.poll(subscriptions).toEqual([]);
    const client = await createClient({ url: store.url }).connect();
    onTestFinished(() => client.destroy());
    // The one who asks.
    await expect.poll(() => client.clientList()).toHaveLength(1);
  },
);
