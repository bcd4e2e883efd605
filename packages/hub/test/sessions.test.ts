import { afterEach, beforeEach, expect, test } from "vitest";
import type { ConnectGrant } from "../src/index.ts";
import { settle, TestClient, World } from "./harness.ts";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  await world.close();
});

test("an end that is no time is a failure of the hook, not a session without end", async () => {
  let expires: ConnectGrant["expires"];
  const hub = await world.hub();
  hub.onConnect(() => ({ expires }));
  for (expires of [Number.NaN, new Date("tomorrow"), Number.POSITIVE_INFINITY, -1]) {
    const client = new TestClient(hub);
    expect(await client.ask({ type: "connect" })).toMatchObject({ error: ["internal", "the server failed", true, 0] });
    expect(client.closedWith?.code).toBe(4404);
  }
  await expect(hub.refresh("somebody", Number.NaN)).rejects.toThrow(TypeError);
  expect(world.logs.splice(0)).toHaveLength(4);
  expires = world.clock.now() + 1000.5;
  expect(await new TestClient(hub).connect()).toMatchObject({ expires: 1000 });
  expires = new Date(world.clock.now() + 1000);
  expect(await new TestClient(hub).connect()).toMatchObject({ expires: 1000 });
});

test("a subscription that the server ends before it began is answered, once", async () => {
  const hub = await world.hub({ channels: { room: { history: { size: 1, ttl: "1h" } } } });
  hub.onSubscribe(() => new Promise<void>((resolve) => world.clock.setTimeout(resolve, 1000)));
  const client = new TestClient(hub);
  const { client: id } = await client.connect();
  client.say({ type: "subscribe", id: 7, channel: "room" });
  await settle();
  const ended = hub.unsubscribe({ client: id }, "room");
  await world.clock.advance(2100);
  expect(await ended).toMatchObject({ connections: 1 });
  expect(client.answer(7)).toMatchObject({ error: ["forbidden", expect.anything(), false, 0] });
  expect([client.of("ended"), client.of("subscribed")]).toEqual([[], []]);
  client.say({ type: "subscribe", id: 8, channel: "room" });
  await world.clock.advance(2100);
  expect(client.answer(8)).toMatchObject({ type: "subscribed" });
});
