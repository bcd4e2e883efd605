import { ZurufError, type Packet } from "@zuruf/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackplaneError, defaultLimits, Hub, memoryBackplane, type Backplane } from "../src/index.ts";
import { json, settle, TestClient, testRandom, World } from "./harness.ts";

const history = { size: 100, ttl: "1h" } as const;
const channels = {
  "log:*": { history, publish: "anyone" },
  "raw:*": { publish: "anyone" },
  "price:*": { delivery: "latest" },
  "tick:*": { delivery: "volatile" },
} as const;
let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  await world.close();
});
const code = (packet: Packet | undefined): unknown => (packet?.type === "error" ? packet.error[0] : packet?.type);

describe("slow connections", () => {
  test("stream: closed with 4700 beyond the queue's limit, and only that one", async () => {
    const hub = await world.hub({ channels, limits: { queueBytes: 1000 } });
    const [slow, quick] = [new TestClient(hub), new TestClient(hub)];
    for (const client of [slow, quick]) {
      await client.connect();
      await client.ask({ type: "subscribe", channel: "log:x" });
    }
    slow.full = true;
    for (let i = 0; slow.bufferedBytes <= 1000 && i < 100; i++) {
      expect(slow.closedWith).toBeUndefined();
      await hub.publish("log:x", "x".repeat(50));
    }
    expect(slow.closedWith?.code).toBe(4700);
    expect(hub.counters.slow).toBe(1);
    await settle();
    expect(hub.status().connections).toBe(1);
    expect(quick.closedWith).toBeUndefined();
  });

  test("a publication held for a slow reader is forgotten with its subscription", async () => {
    const hub = await world.hub({ channels });
    const client = new TestClient(hub);
    await client.connect();
    await client.ask({ type: "subscribe", channel: "price:a" });
    client.full = true;
    await hub.publish("price:a", 1);
    void hub.publish("price:a", 2);
    client.say({ type: "unsubscribe", id: 9, channel: "price:a" });
    await settle();
    expect(client.packets.at(-1)).toEqual({ type: "unsubscribed", id: 9 });
    client.drain();
    expect(client.packets.at(-1)).toEqual({ type: "unsubscribed", id: 9 });
  });

  test("latest keeps the newest per channel; volatile drops; both are counted", async () => {
    const hub = await world.hub({ channels, limits: { queueBytes: 1000 } });
    const client = new TestClient(hub);
    await client.connect();
    for (const channel of ["price:a", "price:b", "tick:a"]) await client.ask({ type: "subscribe", channel });
    client.full = true;
    await hub.publish("tick:a", "fills");
    for (let i = 1; i <= 100; i++)
      for (const channel of ["price:a", "price:b", "tick:a"]) await hub.publish(channel, i);
    expect(client.closedWith).toBeUndefined();
    client.drain();
    expect(client.texts()).toEqual([`"fills"`, "100", "100"]);
    expect(hub.counters).toMatchObject({ replaced: 198, dropped: 100 });
    await hub.publish("tick:a", "again");
    expect(client.texts("tick:a").at(-1)).toBe(`"again"`);
  });

  test("answers count too: who asks and never reads is closed", async () => {
    const hub = await world.hub({ channels, limits: { queueBytes: 200 } });
    const client = new TestClient(hub);
    await client.connect();
    client.full = true;
    for (let id = 100; id < 200; id++) client.say({ type: "ping", id });
    expect(client.closedWith?.code).toBe(4700);
  });
});

describe("a transport that throws", () => {
  /** Throws from `send` or `close` on, when told so. */
  class Broken extends TestClient {
    breaks: "send" | "close" | undefined;
    override send(message: Parameters<TestClient["send"]>[0]): boolean {
      if (this.breaks === "send") throw new Error("this socket is broken");
      return super.send(message);
    }
    override close(closeCode: number, reason: string): void {
      if (this.breaks !== undefined) throw new Error("this socket cannot be closed");
      super.close(closeCode, reason);
    }
  }

  test.each(["log:x", "raw:x"])("costs the other subscribers of %s nothing, and its own connection ends", async (x) => {
    const hub = await world.hub({ channels });
    const clients = [new TestClient(hub), new Broken(hub), new TestClient(hub)] as const;
    for (const client of clients) {
      await client.connect();
      await client.ask({ type: "subscribe", channel: x });
    }
    clients[1].breaks = "send";
    await Promise.all([hub.publish(x, 1), hub.publish(x, 2)]);
    await settle();
    for (const client of [clients[0], clients[2]]) expect(client.texts()).toEqual(["1", "2"]);
    expect(world.logs.join()).toContain("this socket is broken");
    expect(hub.status()).toMatchObject({ connections: 2, sessions: 2 });
  });

  test.each(["log:x", "raw:x", "price:x"])("at the answer to subscribe leaves no subscription to %s", async (x) => {
    const hub = await world.hub({ channels });
    const [other, client] = [new TestClient(hub), new Broken(hub)];
    await other.connect();
    await other.ask({ type: "subscribe", channel: x });
    await client.connect();
    client.breaks = "send";
    client.say({ type: "subscribe", id: 10, channel: x });
    await settle();
    expect(hub.status()).toMatchObject({ connections: 1, sessions: 1 });
    expect(await hub.channels()).toMatchObject({ items: [{ channel: x, subscriptions: 1 }] });
  });

  test("at the answer to connect opens no session", async () => {
    const hub = await world.hub({ channels });
    const asked: string[] = [];
    hub.onSubscribe(({ channel }) => void asked.push(channel));
    const client = new TestClient(hub);
    client.send = () => {
      throw new Error("this socket is broken");
    };
    client.say({ type: "connect", id: 1 });
    client.say({ type: "subscribe", id: 2, channel: "raw:x" });
    await settle();
    expect(asked).toEqual([]);
    expect(hub.status()).toMatchObject({ connections: 0, sessions: 0, channels: 0 });
  });

  test("leaves nothing behind when it cannot even be closed", async () => {
    const hub = await world.hub({ channels });
    const client = new Broken(hub);
    const left: number[] = [];
    hub.onDisconnect((_session, { code: closeCode }) => void left.push(closeCode));
    const { client: id } = await client.connect();
    client.breaks = "close";
    await hub.disconnect({ client: id });
    expect(hub.status()).toMatchObject({ connections: 0, sessions: 0 });
    expect(left).toEqual([4004]);
    expect(world.logs.join()).toContain("this socket cannot be closed");
  });
});

test("a word that only servers say, behind connect, costs nothing of what else waits there", async () => {
  const hub = await world.hub({ channels });
  hub.onConnect(() => Promise.resolve(undefined));
  const client = new TestClient(hub);
  client.say({ type: "connect", id: 1 });
  client.say({ type: "subscribe", id: 2, channel: "raw:x" });
  client.say({ type: "unsubscribed", id: 3 });
  client.say({ type: "subscribe", id: 4, channel: "raw:y" });
  await settle();
  expect(client.packets.filter((packet) => "id" in packet && packet.id === 1)).toHaveLength(1);
  expect([1, 2, 3, 4].map((id) => code(client.answer(id)))).toEqual([
    "connected",
    "subscribed",
    "badRequest",
    "subscribed",
  ]);
  expect(hub.counters.badPackets).toBe(1);
});

describe("limits", () => {
  test("packets per second: a retryable error that says when, then the connection", async () => {
    const hub = await world.hub({ channels, limits: { packetsPerSecond: 10, packetBurst: 5 } });
    const client = new TestClient(hub);
    await client.connect();
    for (let id = 10; id < 14; id++) client.say({ type: "unsubscribe", id, channel: "log:x" });
    client.say({ type: "unsubscribe", id: 14, channel: "log:x" });
    await settle();
    expect(code(client.answer(13))).toBe("notSubscribed");
    expect(client.answer(14)).toMatchObject({ error: ["rateLimited", expect.anything(), true, 100] });
    await world.clock.advance(100);
    client.say({ type: "ping", id: 15 });
    expect(client.answer(15)?.type).toBe("pong");
    for (let id = 20; id < 71; id++) client.say({ type: "ping", id });
    expect(client.closedWith?.code).toBe(4403);
  });

  test("a flood ends the connection, though some of it comes when it may", async () => {
    const hub = await world.hub({ channels, limits: { packetsPerSecond: 10, packetBurst: 100 } });
    const [flood, hasty] = [new TestClient(hub), new TestClient(hub)];
    await flood.connect();
    await hasty.connect();
    for (let ms = 0; ms < 10_000; ms += 2) {
      await world.clock.advance(2);
      flood.say({ type: "ping", id: 10 + ms });
      if (ms % 20 === 0) hasty.say({ type: "ping", id: 10 + ms });
    }
    expect(flood.closedWith?.code).toBe(4403);
    expect([hasty.of("error").length > 200, hasty.closedWith]).toEqual([true, undefined]);
  });

  test("a channel's rate", async () => {
    const hub = await world.hub({ channels: { c: { publish: "anyone", rate: { publishes: 2, per: "1s" } } } });
    const client = new TestClient(hub);
    await client.connect();
    const publish = (): Promise<Packet> => client.ask({ type: "publish", channel: "c", payload: json(1) });
    expect([code(await publish()), code(await publish())]).toEqual(["published", "published"]);
    expect(await publish()).toMatchObject({ error: ["rateLimited", expect.anything(), true, 500] });
    await world.clock.advance(500);
    expect(code(await publish())).toBe("published");
  });

  test("subscriptions, requests, data and bad packets, at the limit and over it", async () => {
    const hub = await world.hub({
      channels: { ...channels, "small:*": { publish: "anyone", maxData: 6 } },
      limits: { subscriptions: 2, badPackets: 3 },
    });
    const client = new TestClient(hub);
    await client.connect();
    expect(code(await client.ask({ type: "subscribe", channel: "log:1" }))).toBe("subscribed");
    expect(code(await client.ask({ type: "subscribe", channel: "log:2" }))).toBe("subscribed");
    expect(code(await client.ask({ type: "subscribe", channel: "log:3" }))).toBe("tooMany");
    await client.ask({ type: "unsubscribe", channel: "log:1" });
    expect(code(await client.ask({ type: "subscribe", channel: "log:3" }))).toBe("subscribed");
    for (const [text, answer] of [
      [`"1234"`, "published"],
      [`"12345"`, "tooLarge"],
      [`"ää"`, "published"],
      [`"äää"`, "tooLarge"],
    ] as const)
      expect(code(await client.ask({ type: "publish", channel: "small:x", payload: { format: "json", text } }))).toBe(
        answer,
      );
    for (const size of [6, 7])
      expect(
        code(
          await client.ask({
            type: "publish",
            channel: "small:x",
            payload: { format: "binary", bytes: new Uint8Array(size) },
          }),
        ),
      ).toBe(size === 6 ? "published" : "tooLarge");
    client.connection.receive("{}");
    client.connection.receive(`["later",99]`);
    client.connection.receive("[1]");
    expect(client.closedWith).toBeUndefined();
    expect(client.answer(99)).toMatchObject({ error: ["badRequest", expect.anything(), false, 0] });
    expect(client.answer(0)).toMatchObject({ error: ["badRequest", expect.anything(), false, 0] });
    client.connection.receive("nonsense");
    expect(client.closedWith?.code).toBe(4000);
    const wrongKind = new TestClient(hub);
    wrongKind.connection.receive(new Uint8Array(1));
    expect(wrongKind.closedWith?.code).toBe(4000);
  });

  test("requests that wait, and connections", async () => {
    const hub = await world.hub({ channels, limits: { requests: 2, connections: 1 } });
    let release = (): void => undefined;
    hub.handle(
      "wait",
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    const client = new TestClient(hub);
    await client.connect();
    for (const id of [1001, 1002, 1003]) client.say({ type: "call", id, method: "wait", payload: json(1) });
    expect(client.answer(1003)).toMatchObject({ error: ["rateLimited", expect.anything(), true, 100] });
    expect(client.answer(1001)).toBeUndefined();
    release();
    const second = new TestClient(hub);
    expect(second.closedWith?.code).toBe(4401);
    client.cut();
    await settle();
    const third = new TestClient(hub);
    expect(third.closedWith).toBeUndefined();
  });

  test("no connect in time, silence, and the heartbeat", async () => {
    const hub = await world.hub({ channels });
    const mute = new TestClient(hub);
    await world.clock.advance(9000);
    expect(mute.closedWith).toBeUndefined();
    await world.clock.advance(2500);
    expect(mute.closedWith?.code).toBe(4402);
    const client = new TestClient(hub);
    expect(await client.connect({ heartbeat: 5000 })).toMatchObject({ heartbeat: 5000 });
    await world.clock.advance(5500);
    expect(client.of("ping")).toHaveLength(1);
    await world.clock.advance(9000);
    expect(client.closedWith).toBeUndefined();
    client.say({ type: "ping" });
    await world.clock.advance(15_000);
    expect(client.closedWith).toBeUndefined();
    await world.clock.advance(2500);
    expect(client.closedWith?.code).toBe(4701);
  });

  test("wrong options are refused by name", () => {
    const make = (options: object): Hub =>
      new Hub({
        backplane: memoryBackplane(world.broker),
        instance: "x",
        clock: world.clock,
        random: testRandom(),
        ...options,
      });
    expect(() => make({ limits: { nope: 1 } })).toThrow(/limits\.nope/);
    expect(() => make({ limits: { requests: -1 } })).toThrow(/limits\.requests/);
    expect(() => make({ channels: { "a b": {} } })).toThrow(/a b/);
    expect(() => make({ channels: { "a*b": {} } })).toThrow(/a\*b/);
    expect(() => make({ channels: { a: { histroy: 1 } } })).toThrow(/histroy/);
    expect(() => make({ channels: { a: { history: { size: 1, ttl: "1 hour" } } } })).toThrow(/ttl/);
    expect(Object.keys(defaultLimits).length).toBeGreaterThan(10);
  });
});

/** A backplane whose publishes wait, or fail, as the test says. */
function steered(
  backplane: Backplane,
  ordered: boolean,
): { backplane: Backplane; next: ((position?: "fail") => Promise<void>)[] } {
  const next: ((how?: "fail") => Promise<void>)[] = [];
  return {
    next,
    backplane: new Proxy(backplane, {
      get(target, name) {
        if (name === "can") return { ...target.can, ordered };
        if (name === "publish")
          return (...args: Parameters<Backplane["publish"]>) =>
            new Promise((resolve, reject) => {
              const { line } = args[2];
              next.push(async (how) => {
                if (how === "fail" || line?.failed === true) {
                  if (line !== undefined) line.failed = true;
                  reject(new BackplaneError("notStored", "the test says so"));
                } else resolve(await target.publish(...args));
                await settle();
              });
            });
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    }),
  };
}

/** A client that publishes to `log:x`, and hears it. */
async function publisher(backplane: Backplane): Promise<{
  hub: Hub;
  client: TestClient;
  say: (id: number, key: string | undefined, again?: true) => void;
}> {
  const hub = await world.hub({ channels, wrap: () => backplane });
  const client = new TestClient(hub);
  await client.connect();
  await client.ask({ type: "subscribe", channel: "log:x" });
  const say = (id: number, key: string | undefined, again?: true): void => {
    client.say({
      type: "publish",
      id,
      channel: "log:x",
      ...(key !== undefined && { key }),
      ...(again && { again }),
      payload: json(id),
    });
  };
  return { hub, client, say };
}

describe("publisher order", () => {
  test("one at a time per channel, also when hooks take different times", async () => {
    const hub = await world.hub({ channels });
    hub.onPublish(async ({ data }) => {
      await new Promise<void>((resolve) => world.clock.setTimeout(resolve, 100 - (data as number) * 10));
    });
    const client = new TestClient(hub);
    await client.connect();
    await client.ask({ type: "subscribe", channel: "log:x" });
    for (let i = 0; i < 10; i++) client.say({ type: "publish", id: 100 + i, channel: "log:x", payload: json(i) });
    await world.clock.advance(200);
    expect(client.texts().map(Number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("nothing overtakes a publication that failed and will be retried", async () => {
    const { backplane, next } = steered(memoryBackplane(world.broker), false);
    const { client, say } = await publisher(backplane);
    say(101, "a");
    say(102, "b");
    say(103, undefined);
    await settle();
    expect(next).toHaveLength(1);
    await next.shift()?.("fail");
    expect(client.answer(101)).toMatchObject({ error: ["notStored", expect.anything(), true, 0] });
    expect(client.answer(102)).toMatchObject({ error: ["notStored", expect.anything(), true, 0] });
    // Without a key nobody retries, so it may go on.
    await next.shift()?.();
    expect(client.answer(103)).toMatchObject({ type: "published" });
    say(104, "c");
    await settle();
    expect(code(client.answer(104))).toBe("notStored");
    say(105, "a", true);
    say(106, "b");
    say(107, "c");
    for (let i = 0; i < 3; i++) {
      await settle();
      await next.shift()?.();
    }
    expect(client.texts().map(Number)).toEqual([103, 105, 106, 107]);
  });

  test("where the backplane keeps the order, publications do not wait for each other, and a failure ends their line", async () => {
    const { backplane, next } = steered(memoryBackplane(world.broker), true);
    const { client, say } = await publisher(backplane);
    say(101, "a");
    say(102, "b");
    say(103, "c");
    say(104, undefined);
    await settle();
    expect(next).toHaveLength(4);
    await next.shift()?.();
    await next.shift()?.("fail");
    // Nobody needs to wait until the others were heard of.
    say(105, "d");
    for (const go of next.splice(0)) await go();
    expect([101, 102, 103, 104, 105].map((id) => code(client.answer(id)))).toEqual([
      "published",
      "notStored",
      "notStored",
      "published",
      "notStored",
    ]);
    // What failed first may begin again, by its key alone.
    say(106, "b");
    say(107, "c");
    say(108, "d");
    await settle();
    for (const go of next.splice(0)) await go();
    expect(client.texts().map(Number)).toEqual([101, 104, 106, 107, 108]);
  });

  test("what waits in the backplane when the connection ends is left to the client", async () => {
    const { backplane, next } = steered(memoryBackplane(world.broker), true);
    const { hub, client, say } = await publisher(backplane);
    say(101, "a");
    say(102, "b");
    await settle();
    await next.shift()?.();
    client.cut();
    await next.shift()?.();
    expect((await hub.history("log:x", { limit: 10 })).publications.map(({ data }) => data)).toEqual([101]);
  });

  test("what waits for a hook when the connection ends begins no new line", async () => {
    const { backplane, next } = steered(memoryBackplane(world.broker), true);
    const { hub, client, say } = await publisher(backplane);
    say(101, "a");
    await settle();
    await next.shift()?.("fail");
    hub.onPublish(() => new Promise<void>((resolve) => world.clock.setTimeout(resolve, 100)));
    say(102, "a", true);
    client.cut();
    await world.clock.advance(100);
    expect(next).toEqual([]);
  });

  test("a first publication that was one request too many is not overtaken either", async () => {
    const hub = await world.hub({ channels, limits: { requests: 1 } });
    hub.onSubscribe(() => new Promise<void>((resolve) => world.clock.setTimeout(resolve, 100)));
    const client = new TestClient(hub);
    await client.connect();
    client.say({ type: "subscribe", id: 100, channel: "log:y" });
    client.say({ type: "publish", id: 101, channel: "log:x", key: "a", payload: json(1) });
    await world.clock.advance(100);
    client.say({ type: "publish", id: 102, channel: "log:x", key: "b", payload: json(2) });
    await settle();
    expect([101, 102].map((id) => code(client.answer(id)))).toEqual(["rateLimited", "notStored"]);
  });

  test("being refused for its data bars nobody; validation and hooks may change it", async () => {
    const hub = await world.hub({
      channels: {
        "v:*": {
          publish: "anyone",
          validate: (data) => {
            if (typeof data !== "number") throw new Error("a number, please");
            return undefined;
          },
        },
      },
    });
    hub.onPublish(({ data, channel }) => {
      if (channel === "v:no") throw Object.assign(new Error("schema"), { issues: [] });
      if (data === 5) throw new ZurufError("rejected", "not five");
      return data === 1 ? { one: true } : undefined;
    });
    const client = new TestClient(hub);
    await client.connect();
    await client.ask({ type: "subscribe", channel: "v:x" });
    const publish = (channel: string, text: string): Promise<Packet> =>
      client.ask({ type: "publish", channel, key: text, payload: { format: "json", text } });
    expect(await publish("v:x", `"x"`)).toMatchObject({ error: ["rejected", "a number, please", false, 0] });
    expect(await publish("v:no", "3")).toMatchObject({ error: ["rejected", "schema", false, 0] });
    expect(await publish("v:x", "5")).toMatchObject({ error: ["rejected", "not five", false, 0] });
    await publish("v:x", "1");
    await publish("v:x", "2.50");
    expect(client.texts()).toEqual([`{"one":true}`, "2.50"]);
  });

  test("a hook that fails is internal, logged, and tells the client nothing", async () => {
    const hub = await world.hub({ channels });
    hub.onPublish(() => {
      throw new Error("password is hunter2");
    });
    const client = new TestClient(hub);
    await client.connect();
    const answer = await client.ask({ type: "publish", channel: "raw:x", payload: json(1) });
    expect(answer).toMatchObject({ error: ["internal", "the server failed", true, 0] });
    expect(world.logs.join()).toContain("hunter2");
  });

  test("a repeated key is published once and answered with the first position", async () => {
    const hub = await world.hub({ channels });
    const client = new TestClient(hub);
    await client.connect();
    await client.ask({ type: "subscribe", channel: "log:x" });
    const publish = (key: string): Promise<Packet> =>
      client.ask({ type: "publish", channel: "log:x", key, payload: json(key) });
    const [first, , repeat] = [await publish("k"), await publish("l"), await publish("k")];
    expect((repeat as { position: unknown }).position).toEqual((first as { position: unknown }).position);
    expect(client.texts()).toEqual([`"k"`, `"l"`]);
    const other = new TestClient(hub);
    await other.connect();
    await other.ask({ type: "publish", channel: "log:x", key: "k", payload: json("another's key") });
    expect(client.texts()).toHaveLength(3);
  });
});

describe("drain and close", () => {
  test("spreads the closes over the window and says when to return", async () => {
    const hub = await world.hub({ channels });
    const clients = Array.from({ length: 20 }, () => new TestClient(hub));
    for (const client of clients) await client.connect();
    const closing = hub.close({ within: 1000 });
    await world.clock.advance(500);
    const closed = clients.filter((client) => client.closedWith !== undefined);
    expect(closed.length).toBeGreaterThan(5);
    expect(closed.length).toBeLessThan(20);
    expect(new TestClient(hub).closedWith).toEqual({ code: 4400, reason: "draining retryAfter=1000" });
    await world.clock.advance(600);
    await closing;
    expect(clients.map((client) => client.closedWith?.code)).toEqual(Array.from({ length: 20 }, () => 4400));
    expect(closed[0]?.closedWith?.reason).toMatch(/^draining retryAfter=\d+$/);
    await hub.close();
  });
});
