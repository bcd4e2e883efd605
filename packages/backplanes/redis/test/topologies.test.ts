/** A cluster whose slots move, and a primary that Sentinels replace. */
import { createClient, type RedisClientType } from "@redis/client";
import { describe, expect, test } from "vitest";
import { freePort } from "../../../../test/services/process.ts";
import { slotOf } from "../src/names.ts";
import { Member } from "../../../../test/brokers/member.ts";
import { redis as redisBackplane } from "../src/index.ts";
import { RedisProcess, redisServer } from "../../../../test/services/redis.ts";

type Ends = (end: () => Promise<void>) => void;
async function start(ends: Ends, options: readonly string[]): Promise<RedisProcess> {
  const redis = await RedisProcess.start("none", options);
  ends(() => redis.dispose());
  return redis;
}
async function speakTo(redis: RedisProcess, ends: Ends): Promise<RedisClientType> {
  const client: RedisClientType = createClient({ url: redis.url, RESP: 3 });
  client.on("error", () => undefined);
  await client.connect();
  ends(async () => client.destroy());
  return client;
}
async function join(url: string, name: string, ends: Ends): Promise<Member> {
  const member = await Member.start(redisBackplane(url), name);
  ends(() => member.backplane.close());
  return member;
}
async function until(what: string, condition: () => Promise<boolean>, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Node {
  readonly redis: RedisProcess;
  readonly client: RedisClientType;
  readonly id: string;
}
async function cluster(ends: Ends): Promise<Node[]> {
  const nodes: Node[] = [];
  const buses: number[] = [];
  for (const [first, last] of [
    [0, 5460],
    [5461, 10_922],
    [10_923, 16_383],
  ]) {
    const bus = await freePort();
    const redis = await start(ends, [
      "--cluster-enabled",
      "yes",
      "--cluster-port",
      `${bus}`,
      "--cluster-node-timeout",
      "2000",
    ]);
    const client = await speakTo(redis, ends);
    await client.sendCommand(["CLUSTER", "ADDSLOTSRANGE", `${first}`, `${last}`]);
    nodes.push({ redis, client, id: await client.sendCommand<string>(["CLUSTER", "MYID"]) });
    buses.push(bus);
  }
  for (const [i, { redis }] of nodes.entries())
    await nodes[0]?.client.sendCommand(["CLUSTER", "MEET", "127.0.0.1", `${redis.port}`, `${buses[i]}`]);
  await until(
    "the cluster agrees",
    async () => {
      const states = await Promise.all(nodes.map(({ client }) => client.sendCommand<string>(["CLUSTER", "INFO"])));
      return states.every((state) => state.includes("cluster_state:ok") && state.includes("cluster_known_nodes:3"));
    },
    15_000,
  );
  return nodes;
}

async function moveSlot(slot: number, from: Node, to: Node, all: readonly Node[]): Promise<void> {
  await to.client.sendCommand(["CLUSTER", "SETSLOT", `${slot}`, "IMPORTING", from.id]);
  await from.client.sendCommand(["CLUSTER", "SETSLOT", `${slot}`, "MIGRATING", to.id]);
  for (;;) {
    const keys = await from.client.sendCommand<string[]>(["CLUSTER", "GETKEYSINSLOT", `${slot}`, "100"]);
    if (keys.length === 0) break;
    await from.client.sendCommand(["MIGRATE", "127.0.0.1", `${to.redis.port}`, "", "0", "5000", "KEYS", ...keys]);
  }
  for (const { client } of [to, from, ...all])
    await client.sendCommand(["CLUSTER", "SETSLOT", `${slot}`, "NODE", to.id]);
}

describe.skipIf(redisServer === undefined).concurrent("redis topologies", () => {
  test(
    "a cluster of three: every channel works, and slots may move while publishing",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const nodes = await cluster(ends);
      const url = `redis+cluster://${nodes.map(({ redis }) => `127.0.0.1:${redis.port}`).join(",")}`;
      // A plain URL to one node is enough, too.
      const [a, b] = [await join(url, "a", ends), await join(nodes[1]?.redis.url ?? "", "b", ends)];
      const channels = Array.from({ length: 500 }, (_, i) => `c${i}`);
      await b.backplane.subscribe(channels);
      const first = await Promise.all(channels.map((channel) => a.publish(channel, "1", "key")));
      await b.until("all delivered", () => b.items.length === channels.length);
      expect((await a.backplane.heads(channels)).size).toBe(channels.length);
      await a.backplane.control(Buffer.from("hi"), "b");
      await b.until("control", () => b.messages.length === 1);

      const moving = channels.slice(0, 20);
      const stop = new AbortController();
      const sent = new Map<string, string[]>(moving.map((channel) => [channel, []]));
      const publishing = Promise.all(
        moving.map(async (channel) => {
          for (let i = 2; !stop.signal.aborted; i++) {
            await a.publish(channel, `${i}`, `key${i}`);
            sent.get(channel)?.push(`${i}`);
          }
        }),
      );
      for (const channel of moving) {
        const slot = slotOf(channel);
        const from = nodes[Math.floor((slot * 3) / 16_384)];
        const to = nodes.find((node) => node !== from);
        if (from === undefined || to === undefined) throw new Error("three nodes");
        await moveSlot(slot, from, to, nodes);
      }
      stop.abort();
      await publishing;
      // Nothing was lost or doubled in the logs, and subscriptions followed their slots.
      for (const channel of moving) {
        const page = await b.backplane.history(channel, { limit: 10_000 });
        expect(page.items.map((item) => Buffer.from(item.data).toString())).toEqual([
          "1",
          ...(sent.get(channel) ?? []),
        ]);
        // Another server is another incarnation, so the epoch changed; a position from before is still good.
        const position = first[channels.indexOf(channel)];
        expect(await b.after(channel, position?.epoch ?? "", 1)).toEqual(sent.get(channel));
      }
      for (let n = 1; ; n++) {
        await Promise.all(moving.map((channel) => a.publish(channel, `last ${n}`)));
        const heard = (): boolean => moving.every((channel) => b.texts(channel).includes(`last ${n}`));
        const follow = await b.until("subscriptions follow", heard, 1000).then(
          () => true,
          () => false,
        );
        if (follow) break;
        if (n === 5) throw new Error("subscriptions did not follow their slots within 5 s");
      }
      expect(b.suspects.flat().length).toBeGreaterThan(0);

      const live = (channel: string, text: string, key?: string): Promise<unknown> =>
        a.backplane.publish(channel, Buffer.from(text), { key });
      await Promise.all(
        channels.flatMap((channel) => [
          live(channel, "live 1"),
          live(channel, "live 2", "live"),
          live(channel, "live 3"),
        ]),
      );
      await Promise.all(channels.flatMap((channel) => [live(channel, "repeat", "live"), live(channel, "live 4")]));
      await b.until("live", () => channels.every((channel) => b.texts(channel).includes("live 4")));
      for (const channel of channels)
        expect(b.texts(channel).slice(-4)).toEqual(["live 1", "live 2", "live 3", "live 4"]);
    },
  );

  test(
    "a Sentinel failover: the new primary is found, and what the old one alone had is told apart",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const primary = await start(ends, ["--repl-diskless-sync-delay", "0"]);
      const replica = await start(ends, ["--replicaof", "127.0.0.1", `${primary.port}`, "--replica-priority", "1"]);
      const [toPrimary, toReplica] = [await speakTo(primary, ends), await speakTo(replica, ends)];
      await until(
        "replication",
        async () => (await toReplica.sendCommand<string>(["INFO", "replication"])).includes("master_link_status:up"),
        10_000,
      );
      const sentinel = await RedisProcess.startSentinel(primary.port);
      ends(() => sentinel.dispose());
      const a = await join(`redis+sentinel://127.0.0.1:${sentinel.port}/main`, "a", ends);
      await a.backplane.subscribe(["c"]);
      const first = await a.publish("c", "1");
      // WAIT is about what its own connection wrote. Right after the first copy a replica counts as there while it is not sent anything yet.
      await toPrimary.set("after", "1");
      expect(await toPrimary.sendCommand(["WAIT", "1", "5000"])).toBe(1);
      const toSentinel = await speakTo(sentinel, ends);
      await until(
        "the Sentinel knows the replica",
        async () => (await toSentinel.sendCommand<string>(["INFO", "sentinel"])).includes("slaves=1"),
        15_000,
      );
      await primary.stop("SIGKILL");
      await a.until("down", () => !a.isUp, 5000);
      await a.until("up at the new primary", () => a.isUp, 30_000);
      const second = await a.publish("c", "2");
      expect(second?.offset).toBe(2);
      expect(second?.epoch).not.toBe(first?.epoch);
      expect(await a.after("c", first?.epoch ?? "", 1)).toEqual(["2"]);
      expect(await a.after("c", first?.epoch ?? "", 2)).toBe("rollback");
      await a.until("delivery", () => a.texts("c").includes("2"));
    },
  );
});
