import { binaryCodec } from "@zuruf/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Hub } from "../src/index.ts";
import { settle, TestClient, World } from "./harness.ts";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const channels = {
  "live:*": {},
  "log:*": { history: { size: 1000, ttl: "1h" } },
  "tick:*": { delivery: "volatile" },
} as const;

async function subscribed(hub: Hub, channel: string, count: number): Promise<TestClient[]> {
  return Promise.all(Array.from({ length: count }, () => subscriber(hub, channel)));
}
async function subscriber(hub: Hub, channel: string): Promise<TestClient> {
  const client = new TestClient(hub);
  await client.connect();
  await client.ask({ type: "subscribe", channel });
  return client;
}

describe.each(["live:x", "log:x"])("publications of one tick on %s", (channel) => {
  test("reach each subscriber together, encoded once for all", async () => {
    const hub = await world.hub({ channels });
    const [a, b] = (await subscribed(hub, channel, 2)) as [TestClient, TestClient];
    const c = new TestClient(hub, binaryCodec);
    await c.connect();
    await c.ask({ type: "subscribe", channel });
    await Promise.all([1, 2, 3].map((value) => hub.publish(channel, value)));
    for (const client of [a, b, c]) expect(client.texts()).toEqual(["1", "2", "3"]);
    expect(a.shared).toHaveLength(1);
    expect(a.shared[0]).toBe(b.shared[0]);
    expect(hub.counters.delivered).toBe(9);
  });

  test("come before the answer to an unsubscribe that follows them", async () => {
    const hub = await world.hub({ channels });
    const [client, other] = (await subscribed(hub, channel, 2)) as [TestClient, TestClient];
    void hub.publish(channel, 1);
    client.say({ type: "unsubscribe", id: 9, channel });
    void hub.publish(channel, 2);
    await settle();
    expect(client.packets.slice(-2).map(({ type }) => type)).toEqual(["msg", "unsubscribed"]);
    expect(client.texts()).toEqual(["1"]);
    expect(other.texts()).toEqual(["1", "2"]);
  });

  test("are sent in parts where they are large", async () => {
    const hub = await world.hub({ channels });
    const [client] = (await subscribed(hub, channel, 1)) as [TestClient];
    const data = "x".repeat(20_000);
    await Promise.all(Array.from({ length: 10 }, () => hub.publish(channel, data)));
    expect(client.texts()).toHaveLength(10);
    expect(client.shared.map(({ messages }) => messages.length)).toEqual([3, 3, 3, 1]);
  });

  test("leave out the own ones of who wants no echo, and nobody else's", async () => {
    const hub = await world.hub({ channels: { "*": { ...channels["log:*"], publish: "anyone" } } });
    const client = new TestClient(hub);
    await client.connect();
    await client.ask({ type: "subscribe", channel, echo: false });
    const say = (id: number): void =>
      client.say({ type: "publish", id, channel, payload: { format: "json", text: String(id) } });
    say(101);
    void hub.publish(channel, 1);
    say(102);
    void hub.publish(channel, 2);
    await settle();
    expect(client.texts()).toEqual(["1", "2"]);
  });
});

test("a subscriber that cannot take them is treated by its channel's policy", async () => {
  const hub = await world.hub({ channels });
  const [slow, fast] = (await subscribed(hub, "tick:x", 2)) as [TestClient, TestClient];
  slow.full = true;
  await hub.publish("tick:x", 0);
  await Promise.all([1, 2, 3].map((value) => hub.publish("tick:x", value)));
  expect(slow.texts()).toEqual(["0"]);
  expect(fast.texts()).toEqual(["0", "1", "2", "3"]);
  expect(hub.counters.dropped).toBe(3);
});
