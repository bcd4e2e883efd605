import type { Packet } from "@zuruf/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultLimits, type Hub, type HubOptions, type Limits } from "../src/index.ts";
import { json, settle, TestClient, World, type WithoutId } from "./harness.ts";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  await world.close();
});

const code = (packet: Packet | undefined): unknown => (packet?.type === "error" ? packet.error[0] : packet?.type);
const bytes = (count: number): { format: "json"; text: string } => ({
  format: "json",
  text: `"${"x".repeat(count - 2)}"`,
});

async function hubWith(limits: Partial<Limits>, options: Partial<HubOptions> = {}): Promise<Hub> {
  const history = { size: 100, ttl: "1h" } as const;
  return world.hub({
    channels: { "log:*": { history, publish: "anyone", presence: true } },
    direct: "anyone",
    limits,
    ...options,
  });
}
async function connected(hub: Hub, heartbeat?: number): Promise<TestClient> {
  const client = new TestClient(hub);
  await client.connect(heartbeat === undefined ? {} : { heartbeat });
  return client;
}
/** What a client is answered to each of these, in turn. */
async function answers(client: TestClient, packets: readonly WithoutId[]): Promise<unknown[]> {
  const codes: unknown[] = [];
  for (const packet of packets) codes.push(code(await client.ask(packet)));
  return codes;
}

/** Each limit at its value and just beyond it. */
const atAndOver: { readonly [Name in keyof Limits]: () => Promise<void> } = {
  async connectTimeout() {
    const hub = await hubWith({ connectTimeout: 3000 });
    const mute = new TestClient(hub);
    await world.clock.advance(3000);
    expect(mute.closedWith).toBeUndefined();
    await world.clock.advance(1000);
    expect(mute.closedWith?.code).toBe(4402);
  },
  async heartbeat() {
    const client = await connected(await hubWith({ heartbeat: 5000 }));
    expect(client.of("connected")[0]?.heartbeat).toBe(5000);
    await world.clock.advance(15_000);
    expect(client.closedWith).toBeUndefined();
    await world.clock.advance(1000);
    expect(client.closedWith?.code).toBe(4701);
  },
  async heartbeatMin() {
    const hub = await hubWith({ heartbeatMin: 2000 });
    for (const [wish, given] of [
      [2000, 2000],
      [1999, 2000],
      [0, 2000],
    ] as const)
      expect((await connected(hub, wish)).of("connected")[0]?.heartbeat).toBe(given);
  },
  async heartbeatMax() {
    const hub = await hubWith({ heartbeatMax: 30_000 });
    for (const [wish, given] of [
      [30_000, 30_000],
      [30_001, 30_000],
      [Number.MAX_SAFE_INTEGER, 30_000],
    ] as const)
      expect((await connected(hub, wish)).of("connected")[0]?.heartbeat).toBe(given);
  },
  async queueBytes() {
    const client = await connected(await hubWith({ queueBytes: 1000 }));
    client.full = true;
    // `["pong",100]` has 12 bytes.
    client.bufferedBytes = 988;
    client.say({ type: "ping", id: 100 });
    expect([client.bufferedBytes, client.closedWith]).toEqual([1000, undefined]);
    client.say({ type: "ping", id: 101 });
    expect(client.closedWith?.code).toBe(4700);
  },
  async subscriptions() {
    const client = await connected(await hubWith({ subscriptions: 2 }));
    const names = ["log:1", "log:2", "log:3"];
    expect(
      await answers(
        client,
        names.map((channel) => ({ type: "subscribe", channel })),
      ),
    ).toEqual(["subscribed", "subscribed", "tooMany"]);
    // Publications that wait for a hook keep their channel's place.
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => void (go = resolve));
    const hub = await hubWith({ subscriptions: 2 });
    hub.onPublish(() => gate);
    const publisher = await connected(hub);
    for (const [i, channel] of names.entries())
      publisher.say({ type: "publish", id: 101 + i, channel, payload: json(1) });
    await settle();
    expect([101, 102, 103].map((id) => code(publisher.answer(id)))).toEqual([undefined, undefined, "tooMany"]);
    go();
    await settle();
    expect([101, 102].map((id) => code(publisher.answer(id)))).toEqual(["published", "published"]);
    expect(await answers(publisher, [{ type: "publish", channel: "log:3", payload: json(1) }])).toEqual(["published"]);
  },
  async requests() {
    const hub = await hubWith({ requests: 2 });
    hub.handle("wait", () => new Promise(() => undefined));
    const client = await connected(hub);
    for (const id of [101, 102, 103]) client.say({ type: "call", id, method: "wait", payload: json(1) });
    await settle();
    expect([101, 102, 103].map((id) => code(client.answer(id)))).toEqual([undefined, undefined, "rateLimited"]);
    // What comes before the session is there waits for it.
    let letIn = (): void => undefined;
    const gate = new Promise<void>((resolve) => void (letIn = resolve));
    hub.onConnect(() => gate);
    const [early, hasty] = [new TestClient(hub), new TestClient(hub)];
    for (const [it, packets] of [
      [early, 2],
      [hasty, 3],
    ] as const) {
      it.say({ type: "connect", id: 1 });
      for (let id = 101; id < 101 + packets; id++) it.say({ type: "ping", id });
    }
    letIn();
    await settle();
    expect([early.of("pong").length, early.closedWith]).toEqual([2, undefined]);
    expect(hasty.closedWith?.code).toBe(4000);
  },
  async packetsPerSecond() {
    const client = await connected(await hubWith({ packetsPerSecond: 10, packetBurst: 1 }));
    await world.clock.advance(100);
    client.say({ type: "ping", id: 101 });
    await world.clock.advance(99);
    client.say({ type: "ping", id: 102 });
    await world.clock.advance(1);
    client.say({ type: "ping", id: 103 });
    expect([101, 102, 103].map((id) => code(client.answer(id)))).toEqual(["pong", "rateLimited", "pong"]);
    const unlimited = await connected(await hubWith({ packetsPerSecond: 0, packetBurst: 1 }));
    for (let id = 1000; id < 1100; id++) unlimited.say({ type: "ping", id });
    expect(unlimited.of("pong")).toHaveLength(100);
  },
  async packetBurst() {
    const client = await connected(await hubWith({ packetsPerSecond: 1, packetBurst: 3 }));
    await world.clock.advance(5000);
    for (let id = 101; id <= 133; id++) client.say({ type: "ping", id });
    expect([client.of("pong").length, client.of("error").length, client.closedWith]).toEqual([3, 30, undefined]);
    client.say({ type: "ping", id: 134 });
    expect(client.closedWith?.code).toBe(4403);
  },
  async dataBytes() {
    const hub = await hubWith({ dataBytes: 10 });
    hub.handle("echo", ({ data }) => data);
    const client = await connected(hub);
    const to = client.of("connected")[0]?.client ?? "";
    expect(
      await answers(client, [
        { type: "publish", channel: "log:x", payload: bytes(10) },
        { type: "publish", channel: "log:x", payload: bytes(11) },
        { type: "call", method: "echo", payload: bytes(10) },
        { type: "call", method: "echo", payload: bytes(11) },
        { type: "send", to: "nobody", payload: bytes(10) },
        { type: "send", to, payload: bytes(11) },
      ]),
    ).toEqual(["published", "tooLarge", "result", "tooLarge", "receipt", "tooLarge"]);
  },
  async infoBytes() {
    const client = await connected(await hubWith({ infoBytes: 10 }));
    expect(
      await answers(client, [
        { type: "subscribe", channel: "log:1", info: "x".repeat(8) },
        { type: "subscribe", channel: "log:2", info: "x".repeat(9) },
      ]),
    ).toEqual(["subscribed", "tooLarge"]);
  },
  async historyPage() {
    const client = await connected(await hubWith({ historyPage: 5 }));
    expect(
      await answers(client, [
        { type: "subscribe", channel: "log:1" },
        { type: "history", channel: "log:1", limit: 5 },
        { type: "history", channel: "log:1", limit: 6 },
      ]),
    ).toEqual(["subscribed", "historyPage", "badRequest"]);
  },
  async badPackets() {
    const hub = await hubWith({ badPackets: 2 });
    const client = await connected(hub);
    client.connection.receive("{}");
    expect(client.closedWith).toBeUndefined();
    client.connection.receive("{}");
    expect(client.closedWith?.code).toBe(4000);
    // Words of a later version can be read: they do not count.
    const newer = await connected(hub);
    for (let id = 101; id <= 110; id++) newer.connection.receive(`["rename",${id},"log:1",{}]`);
    expect(newer.of("error").map(({ id, error }) => [id, error[0]])).toEqual(
      Array.from({ length: 10 }, (_, i) => [101 + i, "badRequest"]),
    );
    expect(newer.closedWith).toBeUndefined();
  },
  async pendingPushes() {
    const hub = await hubWith({ pendingPushes: 2 });
    const client = await connected(hub);
    const to = client.of("connected")[0]?.client ?? "";
    void hub.send(to, 1);
    const call = hub.call(to, "m", 1);
    await settle();
    expect([client.of("direct").length, client.of("call").length]).toEqual([1, 1]);
    expect(await hub.send(to, 1)).toBe("unknown");
    await expect(hub.call(to, "m", 1)).rejects.toMatchObject({ code: "rateLimited", retryable: true });
    client.say({ type: "result", id: client.of("call")[0]?.id ?? 0, payload: json("done") });
    expect(await call).toBe("done");
    void hub.send(to, 2);
    await settle();
    expect(client.of("direct")).toHaveLength(2);
  },
  async presenceMembers() {
    const hub = await hubWith({ presenceMembers: 2 });
    // What others have is known a moment after the start.
    await world.clock.advance(1000);
    for (const listed of [1, 2, 2]) {
      const client = await connected(hub);
      await client.ask({ type: "subscribe", channel: "log:x" });
      const { members, list } = await hub.presence("log:x");
      expect([list.length, members]).toEqual([listed, hub.status().connections]);
    }
  },
  async hookTimeout() {
    for (const [hookTimeout, answer] of [
      [3000, "timeout"],
      [0, undefined],
    ] as const) {
      const never = (): Promise<never> => new Promise(() => undefined);
      const hub = await hubWith(
        { hookTimeout, requests: 10 },
        {
          channels: {
            asked: { subscribe: never, publish: never },
            seen: { presence: true },
            checked: { publish: "anyone", validate: never },
          },
        },
      );
      const client = await connected(hub);
      hub.onConnect(never);
      hub.onSubscribe(never);
      hub.onDirect(never);
      const payload = bytes(3);
      const requests: readonly WithoutId[] = [
        { type: "subscribe", channel: "asked" },
        { type: "subscribe", channel: "seen" },
        { type: "presence", channel: "seen" },
        { type: "publish", channel: "asked", payload },
        { type: "publish", channel: "checked", payload },
        { type: "send", to: "x", payload },
        { type: "refresh", token: "t" },
      ];
      for (const [i, request] of requests.entries()) client.say({ ...request, id: 50 + i });
      await world.clock.advance(2999);
      expect(client.answer(50)).toBeUndefined();
      // The presence of a channel is asked for after the subscription before it.
      await world.clock.advance(3001);
      const codes = requests.map((_, i) => client.answer(50 + i)).map((packet) => packet && code(packet));
      expect(codes).toEqual(requests.map(() => answer));
      // Their places are free again, or not.
      for (let id = 100; id < 104; id++) client.say({ type: "presence", id, channel: "seen", count: true });
      expect(code(client.answer(103))).toBe(answer === undefined ? "rateLimited" : undefined);
      client.cut();
    }
  },
  async connections() {
    const hub = await hubWith({ connections: 1 });
    expect(new TestClient(hub).closedWith).toBeUndefined();
    expect(new TestClient(hub).closedWith?.code).toBe(4401);
  },
};

describe("at the limit and over it", () => {
  test.each(Object.entries(atAndOver))("%s", async (_name, check) => {
    expect.hasAssertions();
    await check();
  });
  test("none is missing", () => {
    expect(Object.keys(atAndOver).toSorted()).toEqual(Object.keys(defaultLimits).toSorted());
  });
});

test("answers to the server are never too fast, and no request of the client's is refused in their place", async () => {
  const hub = await hubWith({ packetsPerSecond: 1, packetBurst: 2 });
  const client = await connected(hub);
  const to = client.of("connected")[0]?.client ?? "";
  const receipts = Array.from({ length: 20 }, (_, i) => hub.send(to, i));
  await settle();
  for (const { id } of client.of("direct")) client.say({ type: "received", id });
  expect(new Set(await Promise.all(receipts))).toEqual(new Set(["delivered"]));
  client.say({ type: "ping", id: 50 });
  expect(code(client.answer(50))).toBe("pong");
  // Nobody waits for these: they count, and are dropped in silence.
  for (let id = 900; id < 902; id++) client.say({ type: "received", id });
  expect([client.of("error"), client.closedWith]).toEqual([[], undefined]);
});
