import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Backplane, BackplaneSink, Hub } from "../src/index.ts";
import { decodeControl, type ControlMessage } from "../src/control-message.ts";
import { TestClient, World } from "./harness.ts";

let world: World;
let events: string[];
beforeEach(() => {
  world = new World();
  events = [];
});
afterEach(async () => {
  await world.close();
  expect(world.logs).toEqual([]);
});

interface Instance {
  readonly hub: Hub;
  /** Types of control messages that do not reach it. */
  readonly misses: Set<ControlMessage["type"]>;
  /** What others say reaches it after this many milliseconds. */
  late(ms: number): void;
  /** Stops within 500 ms. */
  stop(): Promise<void>;
  /** Dies without a word. */
  die(): Promise<void>;
  down(): void;
  up(): void;
}

/** An instance that writes down its hooks' calls as "name+channel" and "name-channel". */
async function instanceOf(name: string): Promise<Instance> {
  let dead = false;
  let cut = false;
  let lag = 0;
  const misses = new Set<ControlMessage["type"]>();
  const heard = (message: Uint8Array): boolean => !misses.has(decodeControl(message)?.message.type ?? "beat");
  let sink: BackplaneSink | undefined;
  let leave: () => Promise<void> = async () => undefined;
  const wrap = (backplane: Backplane): Backplane => {
    leave = () => backplane.close();
    return {
      can: backplane.can,
      start: (instance, given) => {
        sink = given;
        return backplane.start(instance, {
          publication: (channel, item) => given.publication(channel, item),
          control: (from, message) => {
            if (dead || cut || !heard(message)) return;
            if (lag === 0) given.control(from, message);
            else world.clock.setTimeout(() => given.control(from, message), lag);
          },
          up: () => given.up(),
          down: (reason) => given.down(reason),
          suspect: (channels) => given.suspect(channels),
        });
      },
      subscribe: (channels) => backplane.subscribe(channels),
      unsubscribe: (channels) => backplane.unsubscribe(channels),
      publish: (...publication) => backplane.publish(...publication),
      heads: (channels) => backplane.heads(channels),
      history: (...range) => backplane.history(...range),
      control: async (...message) => {
        if (!dead && !cut) await backplane.control(...message);
      },
      close: () => backplane.close(),
    };
  };
  const hub = await world.hub({ instance: name, channels: { "room:*": { presence: true } }, wrap });
  hub.onOccupied((channel) => void (!dead && events.push(`${name}+${channel}`)));
  hub.onVacated((channel) => void (!dead && events.push(`${name}-${channel}`)));
  return {
    hub,
    misses,
    late(ms) {
      lag = ms;
    },
    async stop() {
      const closed = hub.close();
      await world.clock.advance(500);
      await closed;
    },
    async die() {
      dead = true;
      void hub.close();
      await leave();
    },
    down() {
      cut = true;
      sink?.down("cut");
    },
    up() {
      cut = false;
      sink?.up();
    },
  };
}

async function enter({ hub }: Instance, channel: string): Promise<TestClient> {
  const client = new TestClient(hub);
  await client.connect();
  await client.ask({ type: "subscribe", channel });
  await world.clock.advance(50);
  return client;
}
/** What was called since the last time, by instance and channel. */
const called = (): string[] => events.splice(0).toSorted();
/** Longer than a lease and a beat, so that everybody is known to have heard everybody. */
const settleDown = (): Promise<void> => world.clock.advance(25_000);

describe("onVacated, when the last members die with their instance", () => {
  test("is called once, by the lowest of those left, also where nobody else follows the channel", async () => {
    const [a, b, c] = [await instanceOf("a"), await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    for (const channel of ["room:1", "room:2", "room:3", "room:4"]) await enter(c, channel);
    await enter(b, "room:2");
    const watcher = await enter(b, "room:3");
    const gone = await enter(c, "room:5");
    await gone.ask({ type: "unsubscribe", channel: "room:5" });
    await world.clock.advance(15_000);
    called();
    await watcher.ask({ type: "unsubscribe", channel: "room:3" });
    await c.die();
    await world.clock.advance(14_000);
    expect(called()).toEqual([]);
    await world.clock.advance(4_000);
    // Room 2 still has a member; room 5 was vacated by its own instance.
    expect(called()).toEqual(["a-room:1", "a-room:3", "a-room:4"]);
    await settleDown();
    expect(called()).toEqual([]);
    expect(a.hub.instances()).toHaveLength(2);
  });

  test("is called by the next one when the lowest is gone too before it could", async () => {
    const [a, , c] = [await instanceOf("a"), await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    await enter(c, "room:1");
    called();
    await c.die();
    await world.clock.advance(7_000);
    await a.die();
    await world.clock.advance(10_000);
    expect(called()).toEqual([]);
    await world.clock.advance(10_000);
    expect(called()).toEqual(["b-room:1"]);
  });

  test("is followed by onOccupied of an instance that the one that called it had not heard of in time", async () => {
    const [a, b, c] = [await instanceOf("a"), await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    await enter(c, "room:1");
    await enter(c, "room:2");
    await c.die();
    await world.clock.advance(12_000);
    called();
    for (const type of ["want", "digest"] as const) a.misses.add(type);
    await enter(b, "room:1");
    await world.clock.advance(5_000);
    expect(events.splice(0)).toEqual(["b+room:1", "a-room:1", "a-room:2", "b+room:1"]);
  });

  test("is not left to one that came too late to know of it", async () => {
    const [, c] = [await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    await enter(c, "room:1");
    called();
    await c.die();
    await instanceOf("a");
    await world.clock.advance(18_000);
    expect(called()).toEqual(["b-room:1"]);
  });

  test("is called by an instance whose question about the channel was never answered", async () => {
    const [b, c] = [await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    await enter(c, "room:1");
    await c.die();
    called();
    for (let second = 0; second < 20; second++) {
      await world.clock.advance(1_000);
      void b.hub.presence("room:1");
    }
    expect(called()).toEqual(["b-room:1"]);
  });

  test("is called when an instance stops, unless its members came back elsewhere within 5 s", async () => {
    const [b, c] = [await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    await enter(c, "room:1");
    await enter(c, "room:2");
    called();
    await c.stop();
    await world.clock.advance(3_000);
    await enter(b, "room:2");
    await world.clock.advance(4_000);
    expect(called()).toEqual(["b+room:2", "b-room:1"]);
  });
});

describe("onVacated is not called while somebody may be there:", () => {
  test("two instances that leave one after the other each leave their members 5 s", async () => {
    const [a, b, c] = [await instanceOf("a"), await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    for (const instance of [b, c]) await enter(instance, "room:1");
    called();
    await b.stop();
    await world.clock.advance(3_000);
    await c.stop();
    await world.clock.advance(4_000);
    expect(called()).toEqual([]);
    await world.clock.advance(2_000);
    expect(called()).toEqual(["a-room:1"]);
    await settleDown();
    expect(called()).toEqual([]);
    expect(a.hub.instances()).toEqual(["a"]);
  });

  test("the answer of an instance that has somebody is awaited, also when it is lost", async () => {
    const [a, b] = [await instanceOf("a"), await instanceOf("b")];
    await settleDown();
    await enter(b, "room:1");
    a.misses.add("state");
    const client = await enter(a, "room:1");
    await client.ask({ type: "unsubscribe", channel: "room:1" });
    await world.clock.advance(3_000);
    a.misses.clear();
    await world.clock.advance(10_000);
    expect(called()).toEqual(["a+room:1", "b+room:1"]);
  });

  test("nobody who cannot be heard has left", async () => {
    const [a, b] = [await instanceOf("a"), await instanceOf("b")];
    await settleDown();
    const client = await enter(a, "room:1");
    a.down();
    const other = await enter(b, "room:1");
    await client.ask({ type: "unsubscribe", channel: "room:1" });
    await world.clock.advance(9_000);
    a.up();
    await settleDown();
    expect(called()).toEqual(["a+room:1", "b+room:1"]);
    await other.ask({ type: "unsubscribe", channel: "room:1" });
    await world.clock.advance(1_000);
    expect(called()).toEqual(["b-room:1"]);
  });

  test("who left while the line was down is found missing when it is back", async () => {
    const [a, b] = [await instanceOf("a"), await instanceOf("b")];
    await settleDown();
    const clients = [await enter(a, "room:1"), await enter(b, "room:1")];
    called();
    for (const instance of [a, b]) instance.down();
    for (const client of clients) await client.ask({ type: "unsubscribe", channel: "room:1" });
    await world.clock.advance(10_000);
    expect(called()).toEqual([]);
    for (const instance of [a, b]) instance.up();
    await world.clock.advance(10_000);
    expect(called()).toEqual(["a-room:1", "b-room:1"]);
  });

  test("an instance that is back under its name leaves its members their 5 s", async () => {
    const [a, b] = [await instanceOf("a"), await instanceOf("b")];
    await settleDown();
    const watcher = await enter(a, "room:1");
    for (const room of ["room:1", "room:2", "room:3"]) await enter(b, room);
    await watcher.ask({ type: "unsubscribe", channel: "room:1" });
    called();
    await b.die();
    const again = await instanceOf("b");
    await world.clock.advance(2_000);
    await again.hub.close();
    await world.clock.advance(500);
    const third = await instanceOf("b");
    await world.clock.advance(1_000);
    expect(called()).toEqual([]);
    await enter(third, "room:2");
    await world.clock.advance(10_000);
    expect(called()).toEqual(["a-room:1", "a-room:3", "b+room:2"]);
  });
});

describe("the last instance that stops", () => {
  test("says what it leaves empty, also of one that left just before it, and waits for the application", async () => {
    const [a, b] = [await instanceOf("a"), await instanceOf("b")];
    await settleDown();
    await enter(a, "room:1");
    await enter(b, "room:1");
    await enter(b, "room:2");
    called();
    await b.stop();
    let finish = (): void => undefined;
    const working = new Promise<void>((resolve) => (finish = resolve));
    a.hub.onVacated(async (channel) => {
      await working;
      events.push(`a-${channel}`);
    });
    let closed = false;
    const closing = a.hub.close().then(() => (closed = true));
    await world.clock.advance(1_000);
    expect(closed).toBe(false);
    finish();
    await closing;
    expect(called()).toEqual(["a-room:1", "a-room:2"]);
  });

  test("may be several that stop at the same moment: nothing is left unsaid, and nothing said later", async () => {
    const [a, b] = [await instanceOf("a"), await instanceOf("b")];
    await settleDown();
    await enter(a, "room:1");
    await enter(b, "room:2");
    called();
    for (const instance of [a, b]) instance.late(100);
    await Promise.all([a.stop(), b.stop()]);
    const vacated = called().map((event) => event.slice(1));
    expect([...new Set(vacated)]).toEqual(["-room:1", "-room:2"]);
    await settleDown();
    expect(called()).toEqual([]);
  });

  test("is gone for those that come while its application still closes", async () => {
    const [a] = [await instanceOf("a")];
    let finish = (): void => undefined;
    const between = (): Promise<void> => new Promise((resolve) => (finish = resolve));
    const closed = a.hub.close({ between });
    await world.clock.advance(100);
    const b = await instanceOf("b");
    a.up();
    await world.clock.advance(100);
    expect(b.hub.instances()).toEqual(["b"]);
    finish();
    await closed;
  });

  test("is not one of those that stop while another goes on", async () => {
    const [a, b, c] = [await instanceOf("a"), await instanceOf("b"), await instanceOf("c")];
    await settleDown();
    await enter(a, "room:1");
    await enter(b, "room:2");
    called();
    await Promise.all([a.stop(), b.stop()]);
    expect(called()).toEqual([]);
    await world.clock.advance(5_000);
    expect(called()).toEqual(["c-room:1", "c-room:2"]);
    expect(c.hub.instances()).toEqual(["c"]);
  });
});

test("who could not be heard for longer than a lease says again what is occupied when it is back", async () => {
  const [, c] = [await instanceOf("b"), await instanceOf("c")];
  await settleDown();
  await enter(c, "room:1");
  c.down();
  await world.clock.advance(10_000);
  c.up();
  await world.clock.advance(100);
  expect(called()).toEqual(["c+room:1"]);
  c.down();
  await world.clock.advance(20_000);
  expect(called()).toEqual(["b-room:1"]);
  c.up();
  await world.clock.advance(100);
  expect(called()).toEqual(["c+room:1"]);
});
