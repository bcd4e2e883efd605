import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BackplaneError } from "@zuruf/hub";
import { backplaneContract } from "@zuruf/hub/testing";
import { Member } from "../../../../test/brokers/member.ts";
import { refusals } from "../../../../test/brokers/refusal.ts";
import { NatsCluster } from "../../../../test/services/nats-cluster.ts";
import { programs } from "../../../../test/services/programs.ts";
import { nats, type NatsOptions } from "../src/index.ts";

const program = programs.nats.find();
const full = process.env["ZURUF_TEST_FULL"] !== undefined;
/** Milliseconds that a cluster may take to elect a leader (NATS waits 4 to 9 s until it begins), on a busy machine. */
const electedWithin = 40_000;

describe.skipIf(program === undefined)("nats, a cluster of three", () => {
  let cluster: NatsCluster;
  beforeAll(async () => {
    cluster = await NatsCluster.start(program ?? "");
  });
  afterAll(() => cluster.dispose());
  /** An instance at one of the servers; at any, without a number. */
  const join = async (prefix: string, server?: number, options: NatsOptions = {}): Promise<Member> => {
    const at = server === undefined ? cluster.url : `nats://127.0.0.1:${cluster.servers[server]?.port ?? 0}`;
    return Member.start(nats(at, { prefix, ...options }), `${prefix}-${server ?? "any"}`);
  };

  // Half a minute: with the other long tests.
  describe.skipIf(!full)("as any backplane", () => {
    backplaneContract({
      name: "nats cluster",
      create: () => Promise.resolve(nats(cluster.url)),
      test: { describe, test, expect, afterAll },
    });
    backplaneContract({
      name: "nats cluster without history",
      create: () => Promise.resolve(nats(cluster.url, { prefix: "relay", history: false })),
      test: { describe, test, expect, afterAll },
    });
  });

  test("a subscription that is confirmed is known to every server", { timeout: 60_000 }, async () => {
    const members = [await join("known", 0), await join("known", 1), await join("known", 2)];
    for (let round = 0; round < 200; round++) {
      const [from, to] = [members[round % 3], members[(round + 1 + (round % 2)) % 3]];
      const channels = [`plain ${round}`, `stored ${round}`] as const;
      await to?.backplane.subscribe(channels);
      await Promise.all([from?.backplane.publish(channels[0], Buffer.from("x"), {}), from?.publish(channels[1], "x")]);
      await to?.until(`round ${round}`, () => channels.every((channel) => to.texts(channel).length > 0), 5000);
      for (const channel of channels) expect(to?.texts(channel)).toEqual(["x"]);
    }
    await Promise.all(members.map(({ backplane }) => backplane.close()));
  });

  test.each([{}, { replicas: 1 }])(
    "the server to which an instance comes is no life of the store: %o",
    async (history) => {
      const prefix = `lives-${Object.keys(history).length}`;
      const epochs = new Set<string | undefined>();
      for (const server of [0, 1, 2, 0]) {
        const member = await join(prefix, server, { history });
        epochs.add((await member.publish("c", "x"))?.epoch);
        await member.backplane.close();
      }
      expect(epochs.size).toBe(1);
    },
  );

  test(
    "instances that publish the same keys at the same time store each once, and agree on where",
    { timeout: 60_000 },
    async () => {
      const members = [await join("keys", 0), await join("keys", 1), await join("keys", 2)];
      const hearing = members[0] as Member;
      await hearing.backplane.subscribe(["c"]);
      const keys = Array.from({ length: 200 }, (_, i) => `${i}`);
      const positions = await Promise.all(
        keys.map(async (key, i) => {
          await new Promise((resolve) => setTimeout(resolve, i * 2));
          return Promise.all(members.map((member) => member.publish("c", key, key)));
        }),
      );
      for (const [first, ...others] of positions) for (const other of others) expect(other).toEqual(first);
      const { items } = await hearing.backplane.history("c", { limit: 1000 });
      const texts = items.map(({ data }) => Buffer.from(data).toString());
      expect(texts.toSorted()).toEqual(keys.toSorted());
      await hearing.until("delivery", () => hearing.texts("c").length === keys.length);
      expect(hearing.texts("c")).toEqual(texts);
      await Promise.all(members.map(({ backplane }) => backplane.close()));
    },
  );

  test("what was just published is read back at once, by whichever server", { timeout: 60_000 }, async () => {
    const members = [await join("read", 0), await join("read", 1), await join("read", 2)];
    let last = await members[0]?.publish("c", "first");
    for (let round = 0; round < 100; round++) {
      const next = await members[round % 3]?.publish("c", `${round}`);
      const { epoch = "", offset = 0 } = last ?? {};
      const reader = members[(round + 1) % 3];
      expect(await reader?.after("c", epoch, offset)).toEqual([`${round}`]);
      const newest = await reader?.backplane.history("c", { limit: 2 });
      expect(newest?.head).toEqual(next);
      expect(newest?.items.map((item) => item.offset)).toEqual([offset, next?.offset]);
      last = next;
    }
    await Promise.all(members.map(({ backplane }) => backplane.close()));
  });

  test.skipIf(!full)(
    "one server lost under publishing: every acknowledged publication stays, once, under the same epoch; then two lost: degraded, and healed when they are back",
    { timeout: 200_000 },
    async ({ onTestFinished }) => {
      const members = [await join("lost"), await join("lost"), await join("lost")];
      onTestFinished(() => Promise.all(members.map(({ backplane }) => backplane.close())).then(() => undefined));
      const [a, b, c] = members as [Member, Member, Member];
      await c.backplane.subscribe(["c"]);
      const first = await a.publish("c", "first");
      const acked: string[] = [];
      const epochs = new Set<string>();
      const stop = new AbortController();
      const publishing = [a, b].map(async (member, m) => {
        for (let i = 0; !stop.signal.aborted; i++) {
          const text = `${m}:${i}`;
          for (;;) {
            try {
              const position = await member.publish("c", text, text);
              epochs.add(position?.epoch ?? "none");
              acked.push(text);
              break;
            } catch (error) {
              if (!(error instanceof BackplaneError) || !["unknown", "notStored"].includes(error.code)) throw error;
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
          }
          // Slow enough to stay far below the 10,000 that the channel keeps: whatever is missing then was lost, not trimmed.
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      });
      const more = async (): Promise<void> => {
        const enough = acked.length + 100;
        await expect.poll(() => acked.length, { timeout: electedWithin }).toBeGreaterThan(enough);
      };
      const servers = new Set([await cluster.leader("lost"), ...cluster.servers]);
      for (const server of servers) {
        await more();
        await server.stop("SIGKILL");
        await more();
        await Promise.all(members.map((member) => member.until("up", () => member.isUp, electedWithin)));
        await server.start();
        await more();
      }
      stop.abort();
      await Promise.all(publishing);
      await Promise.all(members.map((member) => member.until("up", () => member.isUp, electedWithin)));
      const texts = await c.after("c", first?.epoch ?? "", first?.offset ?? 0);
      if (typeof texts === "string") throw new Error(`of ${acked.length} acknowledged: ${texts}`);
      for (const m of ["0", "1"]) {
        const own = acked.filter((text) => text.startsWith(`${m}:`));
        expect(texts.filter((text) => text.startsWith(`${m}:`))).toEqual(own);
      }
      expect([...epochs]).toEqual([first?.epoch]);

      const [, second, third] = cluster.servers;
      await Promise.all([second?.stop("SIGKILL"), third?.stop("SIGKILL")]);
      await Promise.all(members.map((member) => member.until("down", () => !member.isUp, 8000)));
      for (const member of members)
        await expect(member.publish("c", "nowhere")).rejects.toMatchObject({ code: "notStored" });
      await Promise.all([second?.start(), third?.start()]);
      await Promise.all(members.map((member) => member.until("up", () => member.isUp, electedWithin)));
      const last = await b.publish("c", "last");
      expect(last?.epoch).toBe(first?.epoch);
      // Two killed at once were the majority that every acknowledgement rests on: what they had not written yet may be gone, but not in silence.
      const kept = await a.after("c", first?.epoch ?? "", first?.offset ?? 0);
      if (typeof kept === "string") expect(["retention", "rollback", "epoch"]).toContain(kept);
      else expect(kept).toEqual([...texts, "last"]);
      await c.until("delivery", () => c.texts("c").includes("last"));
    },
  );
});

// Waits for a cluster that does not come: with the other long tests.
describe.skipIf(program === undefined || !full)("nats, a cluster of two", () => {
  test(
    "too few servers for three replicas are one line; two are enough for two",
    { timeout: 60_000 },
    async ({ onTestFinished }) => {
      const cluster = await NatsCluster.start(program ?? "", 2);
      onTestFinished(() => cluster.dispose());
      expect(await refusals(nats(cluster.url), cluster.url)).toEqual({
        code: "unusable",
        line: expect.stringMatching(
          /^NATS at .*: the stream zuruf cannot be created with history\.replicas 3: .*peers.*$/,
        ) as unknown,
      });
      const member = await Member.start(nats(cluster.url, { history: { replicas: 2 } }), "a");
      const position = await member.publish("c", "x");
      expect((await member.backplane.heads(["c"])).get("c")).toEqual(position);
      // Without its other server, the one that is left keeps nothing, and says so.
      const leader = await cluster.leader("zuruf");
      await cluster.servers.find((server) => server !== leader)?.stop("SIGKILL");
      await member.until("down", () => !member.isUp, 8000);
      await member.backplane.close();
      expect(await refusals(nats(cluster.url), cluster.url)).toMatchObject({
        code: "unavailable",
        line: expect.stringMatching(
          /^NATS at .*(: JetStream does not answer: its cluster has no leader|: fewer than half .*| did not answer within 5000 ms)$/,
        ) as unknown,
      });
    },
  );
});
