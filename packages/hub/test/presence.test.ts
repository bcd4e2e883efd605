import type { Member } from "@zuruf/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackplaneError, type Backplane, type Hub, type HubOptions } from "../src/index.ts";
import { PresenceView } from "../src/presence/view.ts";
import { settle, TestClient, World } from "./harness.ts";

const channels = { "room:*": { presence: true } } as const;
let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  await world.close();
  expect(world.logs).toEqual([]);
});

/** A hub whose tokens are user names. */
async function hubOf(options: Parameters<World["hub"]>[0] = {}): Promise<Hub> {
  const hub = await world.hub({ channels, ...options });
  hub.onConnect(({ token }) => (token === undefined ? {} : { user: token }));
  return hub;
}

/** A backplane whose control messages are lost while it is cut. */
function cuttable(): { cut: boolean; wrap: (backplane: Backplane) => Backplane } {
  const line = {
    cut: false,
    wrap: (backplane: Backplane): Backplane => intercepted(backplane, () => line.cut),
  };
  return line;
}

/** Sees each control message; those of which it returns true are lost. */
function intercepted(backplane: Backplane, lose: (message: Uint8Array) => boolean | void): Backplane {
  return new Proxy(backplane, {
    get(target, name) {
      if (name === "control")
        return async (message: Uint8Array, to?: string) => {
          if (lose(message) !== true) await target.control(message, to);
        };
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
const text = (message: Uint8Array): string => new TextDecoder().decode(message);

async function enter(hub: Hub, token?: string, info?: unknown, watch = true, channel = "room:1"): Promise<TestClient> {
  const client = new TestClient(hub);
  await client.connect(token === undefined ? {} : { token });
  await client.ask({ type: "subscribe", channel, presence: watch, ...(info !== undefined && { info }) });
  await world.clock.advance(50);
  return client;
}

/** What a client's reducer would show: member to client ids. */
function seen(client: TestClient): Map<string, number> {
  const members = new Map<string, number>();
  for (const { snapshot, changes } of client.of("members")) {
    if (snapshot === true) members.clear();
    for (const [member, connections] of changes) {
      if (connections.length === 0) members.delete(member);
      else members.set(member, connections.length);
    }
  }
  return members;
}
const idOf = (client: TestClient): string => client.of("connected")[0]?.client as string;

describe("presence", () => {
  test("a snapshot first, then joins and leaves over all instances; a user's tabs are one member", async () => {
    const [one, two] = [await hubOf(), await hubOf()];
    await world.clock.advance(1000);
    const a = await enter(one, "ada", { color: "red" });
    expect(a.of("members")[0]).toMatchObject({
      snapshot: true,
      changes: [["user:ada", [[idOf(a), { color: "red" }]]]],
    });
    const b = await enter(two, "bob");
    expect(
      b
        .of("members")[0]
        ?.changes.map(([id]) => id)
        .toSorted(),
    ).toEqual(["user:ada", "user:bob"]);
    const tab = await enter(two, "ada");
    const anonymous = await enter(one);
    for (const client of [a, b])
      expect(Object.fromEntries(seen(client))).toEqual({ "user:ada": 2, "user:bob": 1, [idOf(anonymous)]: 1 });
    expect(await one.presence("room:1", { limit: 0 })).toEqual({ members: 3, connections: 4, stale: false, list: [] });
    await a.ask({ type: "unsubscribe", channel: "room:1" });
    await anonymous.ask({ type: "unsubscribe", channel: "room:1" });
    await world.clock.advance(50);
    expect(Object.fromEntries(seen(b))).toEqual({ "user:ada": 1, "user:bob": 1 });
    tab.connection.closed(1000, "");
    await world.clock.advance(50);
    expect(Object.fromEntries(seen(b))).toEqual({ "user:bob": 1 });
  });

  test("an unclean close lingers 5 s, and who comes back meanwhile never left, on any instance", async () => {
    const [one, two] = [await hubOf(), await hubOf()];
    await world.clock.advance(1000);
    const watcher = await enter(one, "watcher");
    const a = await enter(one, "ada");
    const { client, secret } = a.of("connected")[0] as { client: string; secret: string };
    const pushes = watcher.of("members").length;
    a.cut();
    await world.clock.advance(3000);
    const again = new TestClient(two);
    expect(await again.connect({ token: "ada", resume: [client, secret] })).toMatchObject({ resumed: true, client });
    await again.ask({ type: "subscribe", channel: "room:1" });
    await world.clock.advance(4000);
    expect(seen(watcher).get("user:ada")).toBe(1);
    expect(
      watcher
        .of("members")
        .slice(pushes)
        .every(({ changes }) => changes.every(([, list]) => list.length > 0)),
    ).toBe(true);
    again.cut();
    await world.clock.advance(4900);
    expect(seen(watcher).has("user:ada")).toBe(true);
    await world.clock.advance(200);
    expect(seen(watcher).has("user:ada")).toBe(false);
  });

  test("asked without a subscription, on an instance that does not follow the channel", async () => {
    const [one, two] = [await hubOf(), await hubOf()];
    await world.clock.advance(1000);
    await enter(one, "ada");
    const b = new TestClient(two);
    await b.connect();
    const answer = await b.ask({ type: "presence", channel: "room:1" });
    expect(answer).toMatchObject({
      type: "presencePage",
      members: 1,
      connections: 1,
      list: [["user:ada", [expect.anything()]]],
    });
    expect(await b.ask({ type: "presence", channel: "room:1", count: true })).toMatchObject({ members: 1, list: [] });
  });

  test("a change that the control path lost is found by the digest", async () => {
    const line = cuttable();
    const [one, two] = [await hubOf({ wrap: line.wrap }), await hubOf()];
    await world.clock.advance(1000);
    const watcher = await enter(two, "watcher");
    const a = await enter(one, "ada");
    line.cut = true;
    await enter(one, "bob");
    await a.ask({ type: "unsubscribe", channel: "room:1" });
    line.cut = false;
    await world.clock.advance(100);
    expect(Object.fromEntries(seen(watcher))).toEqual({ "user:ada": 1, "user:watcher": 1 });
    await world.clock.advance(6000);
    expect(Object.fromEntries(seen(watcher))).toEqual({ "user:bob": 1, "user:watcher": 1 });
  });

  test("an answer that was lost is asked for again, also when it would have said: nobody", async () => {
    const line = cuttable();
    const [one, two] = [await hubOf({ wrap: line.wrap }), await hubOf()];
    await world.clock.advance(1000);
    expect(one.instances()).toHaveLength(2);
    // It hears the question, and its answer never arrives.
    line.cut = true;
    const watcher = await enter(two, "watcher");
    await world.clock.advance(600);
    expect(watcher.of("members").at(-1)?.stale).toBe(true);
    line.cut = false;
    await world.clock.advance(6000);
    expect(watcher.of("members").at(-1)?.stale).toBeUndefined();
  });

  test("an instance that dies is stale first, and its members leave when its lease is over", async () => {
    const line = cuttable();
    const [one, two] = [await hubOf({ wrap: line.wrap }), await hubOf()];
    await world.clock.advance(1000);
    const watcher = await enter(two, "watcher");
    await enter(one, "ada");
    // Dies without a word.
    line.cut = true;
    await one.close();
    await world.clock.advance(13_000);
    expect(watcher.of("members").at(-1)).toMatchObject({ stale: true, changes: [] });
    expect(seen(watcher).has("user:ada")).toBe(true);
    await world.clock.advance(5000);
    expect(seen(watcher).has("user:ada")).toBe(false);
    expect(watcher.of("members").at(-1)?.stale).toBeUndefined();
    expect(two.instances()).toEqual([two.instance]);
  });

  test("without the backplane the view says stale and nobody leaves; when it is back, the view is whole again", async () => {
    let sink: Parameters<Backplane["start"]>[1] | undefined;
    let cut = false;
    const wrap = (backplane: Backplane): Backplane =>
      new Proxy(backplane, {
        get(target, name) {
          if (name === "start")
            return async (instance: string, given: typeof sink) => {
              sink = given;
              await target.start(instance, {
                ...(given as object),
                control: (from: string, message: Uint8Array) => cut || given?.control(from, message),
              } as never);
            };
          if (name === "control" && cut) return () => Promise.reject(new BackplaneError("unavailable", "cut"));
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
    const [one, two] = [await hubOf(), await hubOf({ wrap })];
    await world.clock.advance(1000);
    const watcher = await enter(two, "watcher");
    await enter(one, "ada");
    cut = true;
    sink?.down("cut");
    await world.clock.advance(30_000);
    expect(watcher.of("members").at(-1)?.stale).toBe(true);
    expect(seen(watcher).has("user:ada")).toBe(true);
    await enter(one, "bob", undefined, false);
    cut = false;
    sink?.up();
    await world.clock.advance(6000);
    expect(Object.fromEntries(seen(watcher))).toEqual({ "user:ada": 1, "user:bob": 1, "user:watcher": 1 });
    expect(watcher.of("members").at(-1)?.stale).toBeUndefined();
  });

  test("an instance that leaves says so: nobody waits for it, and its members have 5 s to come back elsewhere", async () => {
    const [one, two] = [await hubOf(), await hubOf()];
    await world.clock.advance(1000);
    const watcher = await enter(two, "watcher");
    const ada = await enter(one, "ada");
    await enter(one, "bob");
    const closing = one.close();
    await world.clock.advance(100);
    await closing;
    expect(two.instances()).toEqual(["i2"]);
    expect(await two.send("user:nobody", 1)).toBe("offline");
    const { client, secret } = ada.of("connected")[0] as { client: string; secret: string };
    const back = new TestClient(two);
    await back.connect({ token: "ada", resume: [client, secret] });
    await back.ask({ type: "subscribe", channel: "room:1" });
    await world.clock.advance(4500);
    expect(Object.fromEntries(seen(watcher))).toEqual({ "user:ada": 1, "user:bob": 1, "user:watcher": 1 });
    await world.clock.advance(1000);
    expect(Object.fromEntries(seen(watcher))).toEqual({ "user:ada": 1, "user:watcher": 1 });
    expect(watcher.of("members").some(({ stale }) => stale === true)).toBe(false);
  });

  test("many members travel between instances in parts", async () => {
    const [one, two] = [await hubOf(), await hubOf()];
    await world.clock.advance(1000);
    for (let i = 0; i < 450; i++) {
      const client = new TestClient(one);
      await client.connect({ token: `u${i}` });
      await client.ask({ type: "subscribe", channel: "room:1" });
    }
    expect(await two.presence("room:1", { limit: 0 })).toMatchObject({ members: 450, connections: 450, stale: false });
    await enter(one, "one more", undefined, false);
    expect(await two.presence("room:1", { limit: 0 })).toMatchObject({ members: 451 });
  });

  test("onOccupied and onVacated", async () => {
    const events: string[] = [];
    const hub = await hubOf();
    hub.onOccupied((channel) => void events.push(`+${channel}`));
    hub.onVacated((channel) => void events.push(`-${channel}`));
    await world.clock.advance(1000);
    const a = await enter(hub, "ada");
    const b = await enter(hub, "bob");
    await a.ask({ type: "unsubscribe", channel: "room:1" });
    b.cut();
    await settle();
    expect(events).toEqual(["+room:1"]);
    await world.clock.advance(5100);
    expect(events).toEqual(["+room:1", "-room:1"]);
  });

  test("many channels, and large ones, travel in messages that every broker carries", async () => {
    const sizes: number[] = [];
    const wrap = (backplane: Backplane): Backplane =>
      intercepted(backplane, (message) => void sizes.push(message.length));
    const wide = 4000;
    const limits = { subscriptions: wide, requests: wide, packetsPerSecond: 0 };
    const [one, two] = [await hubOf({ wrap, limits }), await hubOf({ wrap, limits })];
    await world.clock.advance(1000);
    const reader = new TestClient(one);
    await reader.connect();
    const channel = (i: number): string => `room:${"long".repeat(40)}:${i}`;
    for (let i = 0; i < wide; i++) reader.say({ type: "subscribe", id: 10 + i, channel: channel(i) });
    for (let i = 0; i < 300; i++) await enter(one, `u${i}`, "ü".repeat(500), false);
    sizes.length = 0;
    // Another life: it must be told of all.
    const three = await hubOf({ wrap, limits });
    await world.clock.advance(1000);
    expect(await two.presence("room:1", { limit: 0 })).toMatchObject({ members: 300, stale: false });
    expect(await three.presence("room:1", { limit: 0 })).toMatchObject({ members: 300, stale: false });
    expect(await three.presence(channel(wide - 1))).toMatchObject({ members: 1, stale: false });
    await world.clock.advance(6000);
    expect(Math.max(...sizes)).toBeGreaterThan(100_000);
    expect(Math.max(...sizes)).toBeLessThan(512 * 1024);
  });

  test("a part that was lost on the way leaves no wrong number behind", async () => {
    let states = 0;
    const wrap = (backplane: Backplane): Backplane =>
      intercepted(backplane, (message) => text(message).includes(`{"type":"state"`) && ++states === 2);
    const [one, two] = [await hubOf({ wrap }), await hubOf()];
    await world.clock.advance(1000);
    for (let i = 0; i < 300; i++) await enter(one, `u${i}`, "x".repeat(1000), false);
    const asked = two.presence("room:1", { limit: 0 });
    await world.clock.advance(1000);
    const early = await asked;
    expect([early.members < 300, early.stale]).toEqual([true, true]);
    await world.clock.advance(6000);
    expect(await two.presence("room:1", { limit: 0 })).toMatchObject({ members: 300, stale: false });
    expect(states).toBeGreaterThan(5);
  });

  test("parts that come one after the other show nobody leave who is in the last", async () => {
    let at = 0;
    let lost = 0;
    const wrap = (backplane: Backplane): Backplane =>
      intercepted(backplane, (message) => {
        if (text(message).includes("gone")) return ++lost === 1;
        if (!text(message).includes(`{"type":"state"`)) return false;
        // Each takes its time on the way.
        at = Math.max(at, world.clock.now()) + 100;
        world.clock.setTimeout(() => void backplane.control(message), at - world.clock.now());
        return true;
      });
    const [one, two] = [await hubOf({ wrap }), await hubOf()];
    await world.clock.advance(1000);
    const members: TestClient[] = [];
    for (let i = 0; i < 300; i++) members.push(await enter(one, `u${i}`, "x".repeat(1000), false));
    const watcher = await enter(two, "watcher");
    await world.clock.advance(10_000);
    watcher.packets.length = 0;
    await members[0]?.ask({ type: "unsubscribe", channel: "room:1" });
    await world.clock.advance(10_000);
    expect(lost).toBe(1);
    const left = watcher
      .of("members")
      .flatMap(({ changes }) => changes.filter(([, connections]) => connections.length === 0))
      .map(([member]) => member);
    expect(left).toEqual(["user:u0"]);
  });

  test("info at its limit and over it; the hook can set it", async () => {
    const hub = await hubOf({ limits: { infoBytes: 10 } satisfies HubOptions["limits"] });
    await world.clock.advance(1000);
    const a = new TestClient(hub);
    await a.connect();
    expect(await a.ask({ type: "subscribe", channel: "room:1", info: "12345678" })).toMatchObject({
      type: "subscribed",
    });
    const b = new TestClient(hub);
    await b.connect();
    expect(await b.ask({ type: "subscribe", channel: "room:1", info: "123456789" })).toMatchObject({
      error: ["tooLarge", expect.anything(), false, 0],
    });
    hub.onSubscribe(() => ({ info: "set" }));
    const c = await enter(hub, "cy", "mine");
    expect(c.of("members")[0]?.changes).toContainEqual(["user:cy", [[idOf(c), "set"]]]);
  });

  test("a channel with more members than the limit gives counts and that many", async () => {
    const hub = await hubOf({ limits: { presenceMembers: 2 } });
    await world.clock.advance(1000);
    for (const user of ["a", "b", "c"]) await enter(hub, user, undefined, false);
    const page = await hub.presence("room:1");
    expect([page.members, page.list.length]).toEqual([3, 2]);
  });
});

describe("the presence view", () => {
  const ids = (members: readonly Member[]): string[] => members.map(([id]) => id);

  test("merges owners, and a connection that moved counts once", () => {
    const view = new PresenceView();
    expect(view.set("i1", { client: "c1", user: "ada", since: 1, info: 1 })).toEqual(["user:ada"]);
    expect(view.set("i2", { client: "c1", user: "ada", since: 2, info: 2 })).toEqual(["user:ada"]);
    view.set("i2", { client: "c2", since: 3 });
    expect(view.member("user:ada")).toEqual(["user:ada", [["c1", 2]]]);
    expect([view.members, view.connections]).toEqual([2, 2]);
    expect(view.remove("i1", "c1")).toEqual(["user:ada"]);
    expect(view.member("user:ada")[1]).toHaveLength(1);
    expect(view.replace("i2", [{ client: "c3", since: 4 }]).toSorted()).toEqual(["c2", "c3", "user:ada"]);
    expect(ids(view.list(10))).toEqual(["c3"]);
    expect(view.member("user:ada")).toEqual(["user:ada", []]);
    expect(view.remove("i9", "c3")).toEqual([]);
  });

  test("a client that changed its user leaves the one member and joins the other", () => {
    const view = new PresenceView();
    view.set("i1", { client: "c1", since: 1 });
    expect(view.set("i1", { client: "c1", user: "ada", since: 2 })).toEqual(["c1", "user:ada"]);
    expect(ids(view.list(10))).toEqual(["user:ada"]);
  });
});
