/** A relay and a store on real brokers: what is stored is acknowledged, and reaches everybody within one head check, announced or not. */
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { randomBytes } from "node:crypto";
import { compose } from "@zuruf/compose";
import { nats } from "@zuruf/nats";
import { postgres } from "@zuruf/postgres";
import { rabbitmq } from "@zuruf/rabbitmq";
import { redis } from "@zuruf/redis";
import { createServer, type Zuruf } from "@zuruf/server";
import type { Backplane } from "@zuruf/hub";
import { describe, expect, test } from "vitest";
import { PacketClient } from "../service/packet-client.ts";
import { Proxy as TcpProxy } from "./proxy.ts";

const env = (name: string): string | undefined => process.env[`ZURUF_TEST_${name}_URL`];
/** The head check's period in milliseconds, as docs/backplanes.md says, and time to read what it found. */
const healed = 10_000 + 2000;

const pairs = [
  {
    relay: env("NATS"),
    store: env("REDIS"),
    title: "NATS and Redis",
    open: (relay: string, store: string, prefix: string): readonly [Backplane, Backplane] => [
      nats(relay, { prefix, history: false, deadline: 1000 }),
      redis(store, { prefix }),
    ],
  },
  {
    relay: env("RABBITMQ"),
    store: env("POSTGRES"),
    title: "RabbitMQ and PostgreSQL",
    open: (relay: string, store: string, prefix: string): readonly [Backplane, Backplane] => [
      rabbitmq(relay, { exchange: prefix, deadline: 1000 }),
      postgres(store, { schema: prefix }),
    ],
  },
] as const;

/** A relay that loses publications, and does not know it, while it is told to. */
function losing(relay: Backplane, lost: { now: boolean }): Backplane {
  const publish: Backplane["publish"] = (...publication) =>
    lost.now ? Promise.resolve(undefined) : relay.publish(...publication);
  return new Proxy(relay, {
    get: (target, name) => {
      if (name === "publish") return publish;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

// Each waits for two head checks: with the other long tests.
const full = process.env["ZURUF_TEST_FULL"] !== undefined;

describe.concurrent.each(pairs)("$title", ({ relay, store, open }) => {
  test.skipIf(!full || relay === undefined || store === undefined)(
    "announcements that are lost, and a relay that is out: acknowledged, and delivered within a head check",
    { timeout: 90_000 },
    async ({ onTestFinished: ends }) => {
      const prefix = `heal_${randomBytes(6).toString("hex")}`;
      const target = new URL(relay ?? "");
      const proxy = await TcpProxy.start(Number(target.port));
      ends(() => proxy.close());
      target.port = `${proxy.port}`;
      const lost = { now: false };
      const instance = async (at: string): Promise<{ readonly zuruf: Zuruf; readonly client: PacketClient }> => {
        const [front, back] = open(at, store ?? "", prefix);
        const backplane = compose({ relay: losing(front, lost), store: back });
        const zuruf = createServer({ backplane, channels: { "log:*": { history: { size: 100, ttl: "1h" } } } });
        const http = createHttpServer();
        zuruf.attach(http);
        await once(http.listen(0, "127.0.0.1"), "listening");
        ends(async () => {
          await zuruf.close({ within: 0 });
          http.close();
        });
        await zuruf.start();
        const client = await PacketClient.open(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, {});
        await client.ask("subscribe", 2, "log:x", {});
        return { zuruf, client };
      };
      const [a, b] = [await instance(target.href), await instance(relay ?? "")];
      /** What comes next, in milliseconds from now. */
      const hears = async ({ client }: typeof a, text: string): Promise<number> => {
        const begin = performance.now();
        const packet = await client.next(([word]) => word === "msg");
        expect(packet.at(-1)).toBe(text);
        return performance.now() - begin;
      };
      const position = await a.zuruf.publish("log:x", "announced");
      for (const each of [a, b]) expect(await hears(each, "announced")).toBeLessThan(1000);

      lost.now = true;
      expect((await a.zuruf.publish("log:x", "lost"))?.offset).toBe((position?.offset ?? 0) + 1);
      for (const ms of await Promise.all([hears(a, "lost"), hears(b, "lost")])) expect(ms).toBeLessThan(healed);
      lost.now = false;

      proxy.swallow = () => true;
      const begin = performance.now();
      expect((await a.zuruf.publish("log:x", "unheard"))?.offset).toBe((position?.offset ?? 0) + 2);
      expect(performance.now() - begin).toBeLessThan(500);
      for (const ms of await Promise.all([hears(a, "unheard"), hears(b, "unheard")])) expect(ms).toBeLessThan(healed);
      proxy.swallow = () => false;
      b.client.close();
      a.client.close();
    },
  );
});
