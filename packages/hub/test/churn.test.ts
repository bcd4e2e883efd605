import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Hub } from "../src/index.ts";
import { json, settle, TestClient, World } from "./harness.ts";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  await world.close();
  expect(world.logs).toEqual([]);
});

const channels = {
  "room:*": { presence: true, publish: "anyone" },
  "log:*": { history: { size: 10, ttl: "1m" }, publish: "anyone" },
} as const;

test("what waited for its turn when its client went is not begun: no ghost in presence, no subscription of nobody", async () => {
  const hub = await world.hub({ channels });
  const asked: string[] = [];
  let allow = (): void => undefined;
  const allowed = new Promise<void>((resolve) => (allow = resolve));
  hub.onSubscribe(async ({ channel }) => {
    asked.push(channel);
    await allowed;
  });
  await world.clock.advance(1000);
  const client = new TestClient(hub);
  await client.connect();
  for (const id of [11, 12]) client.say({ type: "subscribe", id, channel: "room:1" });
  client.say({ type: "presence", id: 13, channel: "room:2" });
  client.say({ type: "subscribe", id: 14, channel: "room:2" });
  await settle();
  client.cut();
  allow();
  await world.clock.advance(20_000);
  expect(asked).toEqual(["room:1", "room:2"]);
  expect(await hub.presence("room:1")).toMatchObject({ members: 0 });
  expect(await hub.presence("room:2")).toMatchObject({ members: 0 });
  expect(hub.status()).toMatchObject({ connections: 0, sessions: 0, channels: 0 });
});

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** A client comes, does what clients do in channels that nobody else ever uses, and goes without a word. */
async function visit(hub: Hub, name: number): Promise<void> {
  const client = new TestClient(hub);
  client.say({ type: "connect", id: 1, token: `${name}` });
  await settle();
  let id = 1;
  for (const channel of [`room:${name}`, `log:${name}`, "room:all", "log:all"]) {
    client.say({ type: "subscribe", id: ++id, channel, ...(channel.startsWith("room") && { presence: true }) });
    client.say({ type: "publish", id: ++id, channel, payload: json(name), key: `${name}` });
    if (name % 2 === 0) client.say({ type: "unsubscribe", id: ++id, channel });
  }
  client.say({ type: "send", id: ++id, to: "user:nobody", payload: json(1) });
  client.say({ type: "call", id: ++id, method: "none", payload: json(1) });
  await settle();
  client.cut();
}

test("thousands of clients that come and go leave nothing behind but their logs", async () => {
  const hub = await world.hub({ channels });
  hub.onConnect(({ token }) => ({ user: `user${token}` }));
  hub.onVacated(() => undefined);
  let names = 0;
  const round = async (): Promise<number> => {
    for (let i = 0; i < 20; i++) {
      await Promise.all(Array.from({ length: 50 }, () => visit(hub, names++)));
      await world.clock.advance(1000);
    }
    // Lingers, idle channels, keys.
    await world.clock.advance(310_000);
    expect(hub.status()).toMatchObject({ connections: 0, sessions: 0, channels: 0 });
    return heapInUse();
  };
  await round();
  const before = await round();
  const after = await round();
  // A log's head outlives its entries.
  expect((after - before) / 1000).toBeLessThan(2_000);
}, 60_000);
