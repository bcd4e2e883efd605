import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BackplaneSink } from "../src/index.ts";
import { json, settle, TestClient, World } from "./harness.ts";

const history = { size: 100, ttl: "1h" } as const;
let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  await world.close();
  expect(world.logs).toEqual([]);
});

const channels = { "log:*": { history, publish: "anyone" }, "raw:*": { publish: "anyone" } } as const;

describe("subscribe and publish", () => {
  test("a publication reaches subscribers on every instance, the publisher included, once and with its text", async () => {
    const [one, two] = [await world.hub({ channels }), await world.hub({ channels })];
    const [a, b] = [new TestClient(one), new TestClient(two)];
    const connected = await a.connect();
    expect(connected).toMatchObject({ instance: "i1", resumed: false, heartbeat: 25_000 });
    await b.connect();
    for (const client of [a, b]) {
      const answer = await client.ask({ type: "subscribe", channel: "log:x" });
      expect(answer).toMatchObject({ type: "subscribed", position: [expect.any(String), 0], delivery: "stream" });
    }
    const answer = await a.ask({
      type: "publish",
      channel: "log:x",
      key: "k",
      payload: { format: "json", text: `{"a" : 1.0}` },
    });
    expect(answer).toMatchObject({ type: "published", position: [expect.any(String), 1] });
    for (const client of [a, b]) {
      expect(client.texts()).toEqual([`{"a" : 1.0}`]);
      expect(client.of("msg")[0]).toMatchObject({
        offset: 1,
        info: { client: connected.client, key: "k", time: world.clock.now() },
      });
    }
  });

  test("bytes travel as bytes, and a channel without history has no positions", async () => {
    const hub = await world.hub({ channels });
    const a = new TestClient(hub);
    await a.connect();
    expect(await a.ask({ type: "subscribe", channel: "raw:x" })).toEqual({
      type: "subscribed",
      id: 2,
      delivery: "stream",
    });
    const payload = { format: "binary", bytes: Uint8Array.of(0, 255, 1) } as const;
    expect(await a.ask({ type: "publish", channel: "raw:x", payload })).toEqual({ type: "published", id: 3 });
    expect(a.of("msg")).toMatchObject([{ offset: 0, payload }]);
  });

  test("encodes once for all subscribers of a codec", async () => {
    const hub = await world.hub({ channels });
    const clients = Array.from({ length: 5 }, () => new TestClient(hub));
    for (const client of clients) {
      await client.connect();
      await client.ask({ type: "subscribe", channel: "log:x" });
    }
    await hub.publish("log:x", 1);
    expect(new Set(clients.map((client) => client.shared[0])).size).toBe(1);
    expect(clients[0]?.shared[0]).toBeDefined();
  });

  test("echo: false hides own publications only", async () => {
    const hub = await world.hub({ channels });
    const [a, b] = [new TestClient(hub), new TestClient(hub)];
    await a.connect();
    await b.connect();
    await a.ask({ type: "subscribe", channel: "log:x", echo: false });
    await a.ask({ type: "publish", channel: "log:x", payload: json("mine") });
    await b.ask({ type: "publish", channel: "log:x", payload: json("theirs") });
    expect(a.texts()).toEqual([`"theirs"`]);
    const again = new TestClient(hub);
    const { client, secret } = a.of("connected")[0] as { client: string; secret: string };
    await again.connect({ resume: [client, secret] });
    const position = a.of("subscribed")[0]?.position as [string, number];
    await again.ask({ type: "subscribe", channel: "log:x", echo: false, position });
    await settle();
    expect(again.texts()).toEqual([`"theirs"`]);
  });

  test("after the answer to unsubscribe nothing comes; requests about one channel keep their order", async () => {
    const hub = await world.hub({ channels });
    const a = new TestClient(hub);
    await a.connect();
    for (const [i, type] of (
      ["subscribe", "unsubscribe", "subscribe", "subscribe", "unsubscribe", "unsubscribe"] as const
    ).entries())
      a.say({ type, id: 100 + i, channel: "log:x" });
    await settle();
    const answers = [100, 101, 102, 103, 104, 105].map((id) => a.answer(id));
    expect(answers.map((answer) => (answer?.type === "error" ? answer.error[0] : answer?.type))).toEqual([
      "subscribed",
      "unsubscribed",
      "subscribed",
      "alreadySubscribed",
      "unsubscribed",
      "notSubscribed",
    ]);
    await hub.publish("log:x", 1);
    expect(a.texts()).toEqual([]);
    expect(hub.status()).toMatchObject({ channels: 1, sessions: 1 });
    await world.clock.advance(7000);
    expect(hub.status().channels).toBe(0);
  });

  test("unknown channels, reserved ones and missing rights are refused", async () => {
    const hub = await world.hub({
      channels: {
        "own:*": { subscribe: "server", publish: ({ user }) => user === "ada" },
        "user:*": { subscribe: "user" },
        $x: {},
      },
    });
    const a = new TestClient(hub);
    await a.connect();
    const code = async (type: "subscribe" | "publish", channel: string): Promise<unknown> => {
      const answer = await a.ask(type === "publish" ? { type, channel, payload: json(1) } : { type, channel });
      return answer.type === "error" ? answer.error[0] : answer.type;
    };
    expect(await code("subscribe", "nope")).toBe("notFound");
    expect(await code("publish", "nope")).toBe("notFound");
    expect(await code("subscribe", "own:1")).toBe("forbidden");
    expect(await code("publish", "own:1")).toBe("forbidden");
    expect(await code("subscribe", "user:1")).toBe("unauthorized");
    expect(await code("publish", "user:1")).toBe("unauthorized");
    expect(await code("subscribe", "$x")).toBe("forbidden");
    await expect(hub.publish("nope", 1)).rejects.toMatchObject({ code: "notFound" });
    await expect(hub.publish("a b", 1)).rejects.toMatchObject({ code: "badRequest" });
  });
});

describe("recovery", () => {
  test("continues from a position on any instance, and orders in what is published meanwhile", async () => {
    const [one, two] = [await world.hub({ channels }), await world.hub({ channels })];
    const a = new TestClient(one);
    await a.connect();
    const subscribed = await a.ask({ type: "subscribe", channel: "log:x" });
    if (subscribed.type !== "subscribed" || subscribed.position === undefined) throw new Error("no position");
    const { position } = subscribed;
    a.cut();
    for (let i = 1; i <= 300; i++) await one.publish("log:x", i, {}).catch(() => undefined);
    const b = new TestClient(two);
    await b.connect();
    const wide = await world.hub({ channels: { "log:*": { history: { size: 1000, ttl: "1h" } } } });
    await wide.close();
    const answer = await b.ask({ type: "subscribe", channel: "log:x", position });
    // 100 are kept, so the first 200 are gone.
    expect(answer).toMatchObject({ recovered: false, reason: "retention", position: [position[0], 300] });
    const c = new TestClient(two);
    await c.connect();
    c.say({ type: "subscribe", id: 77, channel: "log:x", position: [position[0], 210] });
    for (let i = 301; i <= 320; i++) await one.publish("log:x", i);
    await settle();
    expect(c.answer(77)).toMatchObject({ recovered: true, position: [position[0], 210] });
    expect(c.texts().map(Number)).toEqual(Array.from({ length: 110 }, (_, i) => 211 + i));
    expect(b.texts().map(Number)).toEqual(Array.from({ length: 20 }, (_, i) => 301 + i));
  });

  test("pages through more than one page, waiting for a slow connection", async () => {
    const big = { "log:*": { history: { size: 1000, ttl: "1h" } } } as const;
    const hub = await world.hub({ channels: big });
    for (let i = 1; i <= 500; i++) await hub.publish("log:x", i);
    const { epoch } = await hub.position("log:x");
    const a = new TestClient(hub);
    await a.connect();
    a.full = true;
    a.say({ type: "subscribe", id: 9, channel: "log:x", position: [epoch, 0] });
    await settle();
    expect(a.texts().length).toBeLessThan(5);
    await hub.publish("log:x", 501);
    a.drain();
    await settle();
    await world.clock.advance(200);
    expect(a.texts().map(Number)).toEqual(Array.from({ length: 501 }, (_, i) => i + 1));
  });

  test("who has more than this instance has heard of does not lose what the others lost", async () => {
    const few = { "log:*": { history: { size: 3, ttl: "1h" } } } as const;
    const one = await world.hub({ channels: few });
    // A relay that announces nothing: only the head check tells.
    const two = await world.hub({
      channels: few,
      wrap: (backplane) =>
        Object.assign(backplane, {
          start: (
            (start) => (instance: string, sink: BackplaneSink) =>
              start(instance, { ...sink, publication: () => undefined })
          )(backplane.start.bind(backplane)),
        }),
    });
    const behind = new TestClient(two);
    await behind.connect();
    await behind.ask({ type: "subscribe", channel: "log:x" });
    for (let i = 1; i <= 5; i++) await one.publish("log:x", i);
    const { epoch } = await one.position("log:x");
    const ahead = new TestClient(two);
    await ahead.connect();
    expect(await ahead.ask({ type: "subscribe", channel: "log:x", position: [epoch, 5] })).toMatchObject({
      recovered: true,
    });
    for (let i = 6; i <= 7; i++) await one.publish("log:x", i);
    await world.clock.advance(11_000);
    expect(behind.of("restarted")).toMatchObject([{ position: [epoch, 7], reason: "retention" }]);
    expect(ahead.of("restarted")).toEqual([]);
    expect(ahead.texts()).toEqual(["6", "7"]);
    await one.publish("log:x", 8);
    await world.clock.advance(11_000);
    expect([ahead.texts(), behind.texts()]).toEqual([["6", "7", "8"], ["8"]]);
    expect(two.counters.restarted).toBe(1);
  });

  test("unknown epochs and positions above the head are said", async () => {
    const hub = await world.hub({ channels });
    await hub.publish("log:x", 1);
    const { epoch } = await hub.position("log:x");
    const a = new TestClient(hub);
    await a.connect();
    expect(await a.ask({ type: "subscribe", channel: "log:x", position: ["other", 1] })).toMatchObject({
      recovered: false,
      reason: "epoch",
      position: [epoch, 1],
    });
    await a.ask({ type: "unsubscribe", channel: "log:x" });
    expect(await a.ask({ type: "subscribe", channel: "log:x", position: [epoch, 5] })).toMatchObject({
      recovered: false,
      reason: "rollback",
    });
    await a.ask({ type: "unsubscribe", channel: "log:x" });
    expect(await a.ask({ type: "subscribe", channel: "log:x", position: [epoch, 1] })).toMatchObject({
      recovered: true,
      position: [epoch, 1],
    });
  });

  test("live only: positions of clients are ignored, and history is refused", async () => {
    const hub = await world.hub({ channels: { live: { history, live: true } } });
    await hub.publish("live", 1);
    const { epoch } = await hub.position("live");
    const a = new TestClient(hub);
    await a.connect();
    const answer = await a.ask({ type: "subscribe", channel: "live", position: [epoch, 0] });
    expect(answer).toEqual({ type: "subscribed", id: 2, position: [epoch, 1], delivery: "stream" });
    expect(await a.ask({ type: "history", channel: "live", limit: 1 })).toMatchObject({
      type: "error",
      error: ["forbidden", expect.anything(), false, 0],
    });
    await hub.publish("live", 2);
    expect(a.texts()).toEqual(["2"]);
  });

  test("history answers pages to subscribers", async () => {
    const hub = await world.hub({ channels });
    for (let i = 1; i <= 5; i++) await hub.publish("log:x", i);
    const a = new TestClient(hub);
    await a.connect();
    expect(await a.ask({ type: "history", channel: "log:x", limit: 2 })).toMatchObject({
      error: ["notSubscribed", expect.anything(), false, 0],
    });
    await a.ask({ type: "subscribe", channel: "log:x" });
    const page = await a.ask({ type: "history", channel: "log:x", limit: 2 });
    expect(page).toMatchObject({ type: "historyPage", complete: true, items: [{ offset: 4 }, { offset: 5 }] });
    for (const limit of [0, 1001])
      expect(await a.ask({ type: "history", channel: "log:x", limit })).toMatchObject({
        error: ["badRequest", expect.anything(), false, 0],
      });
    expect((await hub.history("log:x", { limit: 2 })).publications.map(({ data }) => data)).toEqual([4, 5]);
  });

  test("latest with history starts with the newest, never with a backlog", async () => {
    const hub = await world.hub({ channels: { price: { history, delivery: "latest" } } });
    for (let i = 1; i <= 5; i++) await hub.publish("price", i);
    const { epoch } = await hub.position("price");
    const [a, b] = [new TestClient(hub), new TestClient(hub)];
    await a.connect();
    expect(await a.ask({ type: "subscribe", channel: "price" })).toMatchObject({
      position: [epoch, 4],
      delivery: "latest",
    });
    await b.connect();
    expect(await b.ask({ type: "subscribe", channel: "price", position: [epoch, 5] })).toMatchObject({
      position: [epoch, 5],
      recovered: true,
    });
    await hub.publish("price", 6);
    expect([a.texts(), b.texts()]).toEqual([["5", "6"], ["6"]]);
  });

  test("latest that has its answer goes on when the store fails while it starts", async () => {
    let reads = 0;
    const hub = await world.hub({
      channels: { price: { history, delivery: "latest" } },
      wrap: (backplane) => {
        const read = backplane.history.bind(backplane);
        return Object.assign(backplane, {
          history: async (...range: Parameters<typeof read>) => {
            reads++;
            if (reads === 2 || reads === 3) throw new Error("the store is away");
            const page = await read(...range);
            // Published behind the read: the answer is older than what was delivered.
            if (reads === 1) await hub.publish("price", 2);
            return page;
          },
        });
      },
    });
    await hub.publish("price", 1);
    const client = new TestClient(hub);
    await client.connect();
    expect(await client.ask({ type: "subscribe", channel: "price" })).toMatchObject({ type: "subscribed" });
    await world.clock.advance(2000);
    await hub.publish("price", 3);
    expect(client.texts()).toEqual(["1", "2", "3"]);
    expect(client.of("error")).toEqual([]);
  });
});
