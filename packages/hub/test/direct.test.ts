import { ZurufError, type Packet, type PacketOf } from "@zuruf/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeControl, encodeControl } from "../src/control-message.ts";
import { memoryBackplane, type Hub } from "../src/index.ts";
import { json, settle, TestClient, World } from "./harness.ts";

let world: World;
let one: Hub;
let two: Hub;
beforeEach(async () => {
  world = new World();
  one = await world.hub();
  two = await world.hub();
  for (const hub of [one, two]) hub.onConnect(({ token }) => (token === undefined ? {} : { user: token }));
  await world.clock.advance(1000);
});
afterEach(async () => {
  await world.close();
  expect(world.logs).toEqual([]);
});

async function client(hub: Hub, token: string | undefined = "user"): Promise<TestClient & { id: string }> {
  const made = new TestClient(hub);
  const { client: id } = await made.connect(token === undefined ? {} : { token });
  return Object.assign(made, { id });
}
/** Confirms all direct messages and answers calls. */
function lively(target: TestClient): void {
  const send = target.send.bind(target);
  target.send = (message) => {
    const taken = send(message);
    const packet = target.packets.at(-1) as Packet;
    if (packet.type === "direct") queueMicrotask(() => target.say({ type: "received", id: packet.id }));
    if (packet.type === "call")
      queueMicrotask(() =>
        packet.method === "fail"
          ? target.say({ type: "error", id: packet.id, error: ["busy", "not now", true, 50] })
          : target.say({ type: "result", id: packet.id, payload: packet.payload }),
      );
    return taken;
  };
}
const receipt = (packet: Packet): unknown => (packet.type === "receipt" ? packet.receipt : packet);

describe("direct messages", () => {
  test("client 1 on one instance reaches client 5 on another, and only a confirmation is a receipt", async () => {
    const [a, b] = [await client(one, "ada"), await client(two, "bob")];
    lively(b);
    expect(receipt(await a.ask({ type: "send", to: b.id, payload: json({ text: "psst" }) }))).toBe("delivered");
    expect(b.of("direct")).toMatchObject([
      { from: a.id, user: "ada", time: world.clock.now(), payload: json({ text: "psst" }) },
    ]);
    const here = await client(one, "cy");
    lively(here);
    expect(
      receipt(await a.ask({ type: "send", to: here.id, payload: { format: "binary", bytes: Uint8Array.of(1, 2) } })),
    ).toBe("delivered");
    expect(here.of("direct")[0]?.payload).toEqual({ format: "binary", bytes: Uint8Array.of(1, 2) });
  });

  test("a user gets it on all connections, wherever they are", async () => {
    const tabs = [await client(one, "bob"), await client(two, "bob"), await client(two, "bob")];
    for (const tab of tabs) lively(tab);
    expect(await one.send("user:bob", "hi")).toBe("delivered");
    for (const tab of tabs) expect(tab.of("direct")).toHaveLength(1);
    expect(await two.broadcast(["bob", "nobody"], 1)).toEqual(
      new Map([
        ["bob", "delivered"],
        ["nobody", "offline"],
      ]),
    );
  });

  test("offline only when every live instance said no; silence is unknown", async () => {
    const a = await client(one, "ada");
    expect(receipt(await a.ask({ type: "send", to: "nobody", payload: json(1) }))).toBe("offline");
    const silent = await client(two, "bob");
    a.say({ type: "send", id: 50, to: silent.id, timeout: 1000, payload: json(1) });
    await world.clock.advance(900);
    expect(a.answer(50)).toBeUndefined();
    await world.clock.advance(200);
    expect(a.answer(50)).toMatchObject({ receipt: "unknown" });
    // An instance that does not answer leaves it open.
    world.broker.members.delete(two.instance);
    a.say({ type: "send", id: 51, to: "nobody", payload: json(1) });
    await world.clock.advance(2100);
    expect(a.answer(51)).toMatchObject({ receipt: "unknown" });
  });

  test("messages of one sender to one receiver keep their order", async () => {
    const [a, b] = [await client(one, "ada"), await client(two, "bob")];
    lively(b);
    for (let i = 0; i < 50; i++) a.say({ type: "send", id: 1000 + i, to: b.id, payload: json(i) });
    for (let i = 0; i < 60; i++) await settle();
    expect(b.of("direct").map(({ payload }) => payload.format === "json" && Number(payload.text))).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    expect(receipt(a.answer(1049) as Packet)).toBe("delivered");
  });

  test("who may send: users, unless an option or the hook says otherwise", async () => {
    const nobody = new TestClient(one);
    await nobody.connect();
    expect(await nobody.ask({ type: "send", to: "x", payload: json(1) })).toMatchObject({
      error: ["unauthorized", expect.anything(), false, 0],
    });
    one.onDirect(({ to, data }) => {
      if (to === "no") throw new ZurufError("forbidden", "not to them");
      return { wrapped: data };
    });
    const b = await client(two, "bob");
    lively(b);
    expect(await nobody.ask({ type: "send", to: "no", payload: json(1) })).toMatchObject({
      error: ["forbidden", "not to them", false, 0],
    });
    expect(receipt(await nobody.ask({ type: "send", to: b.id, payload: json(1) }))).toBe("delivered");
    expect(b.of("direct")[0]?.payload).toMatchObject(json({ wrapped: 1 }));
  });

  test("limits: time, size and messages that wait", async () => {
    const a = await client(one, "ada");
    for (const timeout of [1, 30_000])
      expect(receipt(await a.ask({ type: "send", to: "nobody", timeout, payload: json(1) }))).toBe("offline");
    for (const timeout of [0, 30_001])
      expect(await a.ask({ type: "send", to: a.id, timeout, payload: json(1) })).toMatchObject({
        error: ["badRequest", expect.anything(), false, 0],
      });
    expect(await a.ask({ type: "send", to: a.id, payload: json("x".repeat(65_535)) })).toMatchObject({
      error: ["tooLarge", expect.anything(), false, 0],
    });
    const silent = await client(one, "bob");
    for (let i = 0; i < 256; i++) void one.send(silent.id, i);
    expect(await one.send(silent.id, "one too many")).toBe("unknown");
    expect(silent.of("direct")).toHaveLength(256);
    silent.cut();
    await settle();
  });
});

describe("calls", () => {
  test("of a client: results, typed errors, unknown methods and deadlines", async () => {
    one.handle("add", ({ data, user }) => ({ sum: (data as number[]).reduce((a, b) => a + b, 0), user }));
    one.handle("no", () => {
      throw new ZurufError("outOfStock", "none left", { retryable: true, retryAfter: 5 });
    });
    let aborted = false;
    one.handle("slow", ({ signal }) => new Promise(() => signal.addEventListener("abort", () => (aborted = true))));
    const a = await client(one, "ada");
    const call = (method: string, timeout?: number): Promise<Packet> =>
      a.ask({ type: "call", method, ...(timeout !== undefined && { timeout }), payload: json([1, 2, 3]) });
    expect(await call("add")).toMatchObject({ type: "result", payload: { text: `{"sum":6,"user":"ada"}` } });
    expect(await call("no")).toMatchObject({ error: ["outOfStock", "none left", true, 5] });
    expect(await call("nope")).toMatchObject({ error: ["notFound", expect.anything(), false, 0] });
    for (const timeout of [1, 60_000]) expect(await call("add", timeout)).toMatchObject({ type: "result" });
    for (const timeout of [0, 60_001])
      expect(await call("add", timeout)).toMatchObject({ error: ["badRequest", expect.anything(), false, 0] });
    a.say({ type: "call", id: 70, method: "slow", timeout: 100, payload: json(1) });
    await world.clock.advance(150);
    expect(a.answer(70)).toMatchObject({ error: ["timeout", expect.anything(), true, 0] });
    expect(aborted).toBe(true);
  });

  test("of the server, to a client on any instance", async () => {
    const b = await client(two, "bob");
    lively(b);
    for (const hub of [one, two]) {
      expect(await hub.call(b.id, "echo", { a: 1 })).toEqual({ a: 1 });
      expect(await hub.call(b.id, "echo", Uint8Array.of(9))).toEqual(Uint8Array.of(9));
      await expect(hub.call(b.id, "fail", 1)).rejects.toMatchObject({ code: "busy", retryable: true, retryAfter: 50 });
      await expect(hub.call("nobody", "echo", 1)).rejects.toMatchObject({ code: "notFound" });
    }
    const silent = await client(two, "cy");
    const late = one.call(silent.id, "echo", 1, { timeout: 100 }).catch((error: unknown) => error);
    await settle();
    await world.clock.advance(200);
    expect(await late).toMatchObject({ code: "timeout" });
  });

  test("of the server, to an instance that answers with anything else", async () => {
    const answers: unknown[] = [null, 5, {}, { error: null }, { error: 5 }, { error: ["busy", "", true] }];
    for (const value of answers) {
      const stranger = memoryBackplane(world.broker);
      await stranger.start("stranger", {
        publication: () => undefined,
        control: (from, bytes) => {
          const message = decodeControl(bytes)?.message;
          if (message?.type !== "ask") return;
          const reply = { type: "reply", id: message.id, value: message.kind === "where" || value } as const;
          void stranger.control(encodeControl(reply), from);
        },
        up: () => undefined,
        down: () => undefined,
        suspect: () => undefined,
      });
      await stranger.control(encodeControl({ type: "beat", incarnation: "1" }));
      await settle();
      await expect(one.call("nobody", "echo", 1), JSON.stringify(value)).rejects.toMatchObject({ code: "internal" });
      await stranger.control(encodeControl({ type: "bye" }));
      await stranger.close();
    }
  });

  test("and direct messages with what is no data are refused like any others", async () => {
    await expect(one.call("nobody", "echo", 1n)).rejects.toMatchObject({ code: "badRequest" });
    await expect(one.send("nobody", 1n)).rejects.toMatchObject({ code: "badRequest" });
  });
});

describe("sessions", () => {
  test("a session resumed elsewhere closes the older connection, and only its bearer can", async () => {
    const a = await client(one, "ada");
    const { secret } = a.of("connected")[0] as PacketOf<"connected">;
    const thief = new TestClient(two);
    expect(await thief.connect({ token: "eve", resume: [a.id, secret] })).toMatchObject({ resumed: false });
    const guess = new TestClient(two);
    expect(await guess.connect({ token: "ada", resume: [a.id, "A".repeat(22) + ".0"] })).toMatchObject({
      resumed: false,
    });
    expect(a.closedWith).toBeUndefined();
    const again = new TestClient(two);
    expect(await again.connect({ token: "ada", resume: [a.id, secret] })).toMatchObject({
      resumed: true,
      client: a.id,
    });
    await settle();
    expect(a.closedWith).toMatchObject({ code: 4005 });
    expect(again.closedWith).toBeUndefined();
    expect([one.status().sessions, two.status().sessions]).toEqual([0, 3]);
  });

  test("expiry, refresh by the client, and a new end by the server", async () => {
    const ends = new Map([
      ["t1", 10_000],
      ["t2", 60_000],
      ["other", 60_000],
    ]);
    const start = world.clock.now();
    one.onConnect(({ token = "" }) => ({
      user: token === "other" ? "other" : "ada",
      expires: start + (ends.get(token) ?? 0),
    }));
    const a = new TestClient(one);
    expect(await a.connect({ token: "t1" })).toMatchObject({ expires: 10_000 });
    await world.clock.advance(8000);
    expect(await a.ask({ type: "refresh", token: "other" })).toMatchObject({
      error: ["forbidden", expect.anything(), false, 0],
    });
    expect(await a.ask({ type: "refresh", token: "old" })).toMatchObject({
      error: ["unauthorized", expect.anything(), false, 0],
    });
    expect(await a.ask({ type: "refresh", token: "t2" })).toMatchObject({ type: "refreshed", expires: 52_000 });
    await world.clock.advance(5000);
    expect(a.closedWith).toBeUndefined();
    const { client: id } = a.of("connected")[0] as PacketOf<"connected">;
    expect(await two.refresh(id, world.clock.now() + 1000)).toEqual({ connections: 1, missing: [] });
    await world.clock.advance(2100);
    expect(a.closedWith).toMatchObject({ code: 4702 });
    const late = new TestClient(one);
    expect(await late.ask({ type: "connect", token: "old" })).toMatchObject({
      error: ["unauthorized", expect.anything(), false, 0],
    });
    expect(late.closedWith?.code).toBe(4001);
  });

  test("the server lists and ends connections on any instance", async () => {
    const [a, b, c] = [await client(one, "ada"), await client(two, "ada"), await client(two, "bob")];
    const page = await one.connections({ instance: two.instance, limit: 1 });
    expect(page).toMatchObject({ items: [{ client: b.id, user: "ada", instance: "i2" }], next: expect.anything() });
    const next = { instance: two.instance, after: page?.next as string };
    expect(await one.connections(next)).toEqual({ items: [expect.objectContaining({ client: c.id })] });
    expect(one.instances()).toEqual(["i1", "i2"]);
    two.channel("room", {});
    for (const user of [b, c]) await user.ask({ type: "subscribe", channel: "room" });
    expect(await one.channels({ instance: two.instance })).toEqual({ items: [{ channel: "room", subscriptions: 2 }] });
    expect(await one.unsubscribe({ user: "ada" }, "room")).toEqual({ connections: 1, missing: [] });
    expect(b.of("ended")).toMatchObject([{ channel: "room", error: ["forbidden", expect.anything(), false, 0] }]);
    await two.publish("room", 1);
    expect([b.texts(), c.texts()]).toEqual([[], ["1"]]);
    expect(await one.disconnect({ user: "ada" })).toEqual({ connections: 2, missing: [] });
    expect([a.closedWith?.code, b.closedWith?.code, c.closedWith]).toEqual([4004, 4004, undefined]);
    expect(await one.revoke({ client: c.id })).toEqual({ connections: 1, missing: [] });
    expect(c.closedWith?.code).toBe(4001);
    const late = one.connections({ instance: "gone" });
    await settle();
    await world.clock.advance(2100);
    expect(await late).toBeUndefined();
  });

  test("a list goes on where its last page ended, though who was last there has gone", async () => {
    const clients = [await client(two), await client(two), await client(two)];
    const first = await one.connections({ instance: two.instance, limit: 2 });
    expect(first?.items.map((item) => item.client)).toEqual([clients[0]?.id, clients[1]?.id]);
    clients[1]?.cut();
    const second = await one.connections({ instance: two.instance, limit: 2, after: first?.next as string });
    expect(second?.items.map((item) => item.client)).toEqual([clients[2]?.id]);
    expect(second?.next).toBeUndefined();
  });
});
