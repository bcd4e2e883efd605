import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, test, type TestContext } from "vitest";
import { PacketClient } from "../../../test/service/packet-client.ts";
import { startService, type Service } from "../src/service.ts";

const redis = process.env["ZURUF_TEST_REDIS_URL"];

/** The way to a broker, which can be cut (connections end, none is taken) or blocked (nothing passes, as behind a dead router). */
class Way {
  readonly #server = createServer((socket) => this.#join(socket));
  readonly #sockets = new Set<Socket>();
  readonly #to: URL;
  #state: "open" | "cut" | "blocked" = "open";

  constructor(to: string) {
    this.#to = new URL(to);
  }
  async open(): Promise<string> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  become(state: "open" | "cut" | "blocked"): void {
    this.#state = state;
    if (state !== "blocked") for (const socket of this.#sockets) socket.destroy();
  }
  close(): void {
    this.become("cut");
    this.#server.close();
  }
  #join(from: Socket): void {
    if (this.#state === "cut") {
      from.resetAndDestroy();
      return;
    }
    const to = connect(Number(this.#to.port || 6379), this.#to.hostname);
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#sockets.add(one);
      one.on("data", (data) => {
        if (this.#state === "open") other.write(data);
      });
      one.on("error", () => one.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}

/** What looking every 100 ms on a busy machine may add, in milliseconds; less than what the canary takes to find a silent broker. */
const slack = 1500;

async function start(
  readyWhenDegraded: boolean,
  { onTestFinished }: TestContext,
): Promise<{ way: Way; service: Service }> {
  const way = new Way(redis as string);
  const backplane = await way.open();
  onTestFinished(() => way.close());
  const service = await startService({
    port: 0,
    logLevel: "silent",
    backplane,
    readyWhenDegraded,
    drainWindow: 0,
    channels: { "room:*": { history: { size: 10, ttl: "1h" }, publish: "anyone" } },
  });
  onTestFinished(() => service.close());
  return { way, service };
}
const ready = async (url: string): Promise<[number, string]> => {
  const response = await fetch(`${url}/readyz`);
  return [response.status, ((await response.json()) as { status: string }).status];
};

// A Redis is named by the environment; `npm test` starts one. Each waits for the 5 s, so they do it together.
describe.skipIf(redis === undefined).concurrent("while the broker is gone", () => {
  test.for(["cut", "blocked"] as const)(
    "(%s) it is alive but not ready after 5 s, clients stay, and it recovers by itself",
    { timeout: 40_000 },
    async (how, context) => {
      const { expect } = context;
      const { way, service } = await start(false, context);
      const { url } = service;
      const room = `room:${Math.random().toString(36).slice(2)}`;
      const client = await PacketClient.open(url);
      await client.answer(1);
      await client.ask("subscribe", 2, room, {});
      const cutAt = performance.now();
      way.become(how);
      expect((await ready(url))[0]).toBe(200); // a short outage is none
      await expect.poll(() => ready(url), { timeout: 15_000, interval: 100 }).toEqual([503, "degraded"]);
      // Counted from the last sign of life, which is at most a canary's pause (1 s) before the way was blocked.
      const took = performance.now() - cutAt;
      expect(took).toBeGreaterThan(how === "cut" ? 4900 : 3900);
      expect(took).toBeLessThan(5000 + slack);
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      expect((await client.ask("ping", 3))[0]).toBe("pong");
      expect(await client.ask("publish", 4, room, {}, "lost?")).toMatchObject([
        "error",
        4,
        expect.arrayContaining([true]),
      ]);
      way.become("open");
      await expect.poll(() => ready(url), { interval: 50 }).toEqual([200, "ready"]);
      await expect.poll(async () => (await client.ask("publish", 5, room, {}, "found"))[0]).toBe("published");
      expect((await client.next(([word]) => word === "msg")).at(-1)).toBe("found");
    },
  );

  test("an option keeps it ready, and says degraded", { timeout: 30_000 }, async (context) => {
    const { expect } = context;
    const { way, service } = await start(true, context);
    way.become("cut");
    await expect.poll(() => ready(service.url), { timeout: 15_000, interval: 100 }).toEqual([200, "degraded"]);
  });
});
