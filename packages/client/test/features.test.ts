import type { Packet, PacketOf } from "@zuruf/protocol";
import { describe, expect, test } from "vitest";
import { calls } from "../src/calls.ts";
import { createClient as createCore } from "../src/core.ts";
import { direct } from "../src/direct.ts";
import { type Client, createClient, type Member, type PresenceEvents, publications, ZurufError } from "../src/index.ts";
import { presence } from "../src/presence/index.ts";
import { ScriptedServer, settled } from "./scripted-server.ts";

async function setUp(): Promise<{ server: ScriptedServer; client: Client }> {
  const server = new ScriptedServer();
  const client = createClient("ws://host/ws", server.options);
  client.connect();
  await settled();
  return { server, client };
}

const json = (value: unknown): PacketOf<"call">["payload"] => ({ format: "json", text: JSON.stringify(value) });
const ids = (members: readonly Member[]): string[] => members.map(({ id }) => id);

describe("presence", () => {
  const snapshot: Packet = {
    type: "members",
    channel: "room",
    snapshot: true,
    changes: [
      ["user:ada", [["c1"], ["c2"]]],
      ["c3", [["c3"]]],
    ],
  };

  test("a view that is kept, through an interruption without flicker", async () => {
    const { server, client } = await setUp();
    const room = client.channel("room");
    const changes: PresenceEvents["change"][] = [];
    room.presence.on("change", (change) => void changes.push(change));
    expect([room.presence.members, room.presence.stale]).toEqual([[], true]);
    await room.subscribe({ info: { name: "me" } });
    expect(server.line.of("subscribe")).toMatchObject([{ presence: true, info: { name: "me" } }]);
    server.line.say(snapshot);
    expect([ids(room.presence.members), room.presence.stale]).toEqual([["user:ada", "c3"], false]);
    expect(room.presence.members[0]).toMatchObject({ user: "ada", connections: [{ client: "c1" }, { client: "c2" }] });
    server.line.say({ type: "members", channel: "room", stale: true, changes: [] });
    server.line.say({ type: "members", channel: "room", changes: [] });
    server.line.say({ type: "members", channel: "room", changes: [] });
    server.line.end();
    server.line.say(snapshot);
    await server.clock.advance(500);
    server.line.say(snapshot);
    expect(changes.map(({ joined, left, updated, stale }) => [ids(joined), ids(left), ids(updated), stale])).toEqual([
      [["user:ada", "c3"], [], [], false],
      [[], [], [], true],
      [[], [], [], false],
      [[], [], [], true],
      [[], [], [], false],
    ]);
    expect(room.presence).toBe(room.presence);
  });

  test("asked for late, the subscription is renewed without a gap", async () => {
    const { server, client } = await setUp();
    const room = client.channel("room");
    await room.subscribe();
    server.line.msg("room", 5, "five");
    expect(ids(room.presence.members)).toEqual([]);
    expect(room.state).toBe("subscribed");
    expect(server.line.received.slice(-2)).toMatchObject([
      { type: "unsubscribe", channel: "room" },
      { type: "subscribe", channel: "room", presence: true, position: ["e", 5] },
    ]);
  });

  test("asked of the server, without subscribing", async () => {
    const { server, client } = await setUp();
    server.script = (packet) =>
      packet.type === "presence"
        ? {
            type: "presencePage",
            id: packet.id,
            members: 1,
            connections: 2,
            list: packet.count === true ? [] : [["user:ada", [["c1"], ["c2", 7]]]],
          }
        : undefined;
    const room = client.channel("room");
    expect(await room.presence.count()).toEqual({ members: 1, connections: 2, stale: false });
    expect((await room.presence.get()).list[0]?.connections[1]).toEqual({ client: "c2", info: 7 });
    expect(server.line.of("subscribe")).toEqual([]);
  });
});

describe("direct messages", () => {
  test.each(["delivered", "offline", "unknown"] as const)("the receipt: %s", async (receipt) => {
    const { server, client } = await setUp();
    server.script = (packet) => (packet.type === "send" ? { type: "receipt", id: packet.id, receipt } : undefined);
    expect(await client.send("user:ada", { text: "psst" }, { timeout: 1000 })).toBe(receipt);
    expect(server.line.of("send")).toMatchObject([{ to: "user:ada", timeout: 1000, payload: json({ text: "psst" }) }]);
  });

  test("unknown where the connection ends or nobody answers; refused where the server refuses", async () => {
    const { server, client } = await setUp();
    server.script = (packet) => (packet.type === "send" ? null : undefined);
    const cut = client.send("c9", 1);
    await settled();
    server.line.end();
    expect(await cut).toBe("unknown");
    await server.clock.advance(500);
    const silent = client.send("c9", 1);
    await server.clock.advance(10_000);
    expect(await silent).toBe("unknown");
    server.script = (packet) =>
      packet.type === "send" ? { type: "error", id: packet.id, error: ["forbidden", "not them", false, 0] } : undefined;
    await expect(client.send("c9", 1)).rejects.toMatchObject({ code: "forbidden" });
    server.opens = false;
    server.line.end();
    const unsent = client.send("c9", 1).catch((error: unknown) => error);
    await server.clock.advance(10_000);
    expect(await unsent).toMatchObject({ code: "unavailable" });
  });

  test("one that arrives is confirmed once a handler was called, not without", async () => {
    const { server, client } = await setUp();
    const message: Packet = { type: "direct", id: 7, from: "c9", user: "ada", time: 5, payload: json("psst") };
    server.line.say(message);
    expect(server.line.of("received")).toEqual([]);
    const heard: unknown[] = [];
    const off = client.on("message", (event) => void heard.push(event));
    server.line.say(message);
    expect(heard).toEqual([{ data: "psst", from: "c9", user: "ada", time: 5 }]);
    expect(server.line.of("received")).toEqual([{ type: "received", id: 7 }]);
    off();
    server.line.say(message);
    expect(server.line.of("received").length).toBe(1);
  });
});

describe("calls", () => {
  test("of the server's methods", async () => {
    const { server, client } = await setUp();
    server.script = (packet) => {
      if (packet.type !== "call") return undefined;
      if (packet.method === "add") return { type: "result", id: packet.id, payload: json(3) };
      return { type: "error", id: packet.id, error: ["soldOut", "come back tomorrow", false, 0] };
    };
    expect(await client.call("add", [1, 2], { timeout: 2000 })).toBe(3);
    expect(server.line.of("call")).toMatchObject([{ method: "add", timeout: 2000, payload: json([1, 2]) }]);
    const refused = client.call("buy", 1);
    await expect(refused).rejects.toBeInstanceOf(ZurufError);
    await expect(refused).rejects.toMatchObject({ code: "soldOut", message: "come back tomorrow" });
    server.script = (packet) => (packet.type === "call" ? null : undefined);
    const silent = client.call("add", 1, { timeout: 100 }).catch((error: unknown) => error);
    await server.clock.advance(5_100);
    expect(await silent).toMatchObject({ code: "timeout" });
  });

  test("of methods that the server calls here", async () => {
    const { server, client } = await setUp();
    const errors: ZurufError[] = [];
    client.on("error", (error) => void errors.push(error));
    client.handle("double", async (data) => (data as number) * 2);
    client.handle("nothing", () => undefined);
    client.handle("refuse", () => {
      throw new ZurufError("busy", "not now", { retryable: true, retryAfter: 50 });
    });
    const off = client.handle("break", () => {
      throw new Error("a bug");
    });
    for (const [id, method] of ["double", "nothing", "refuse", "break", "missing"].entries())
      server.line.say({ type: "call", id: id + 1, method, payload: json(21) });
    await settled();
    expect(server.line.of("result").map(({ payload }) => payload)).toMatchObject([json(42), json(null)]);
    expect(
      server.line
        .of("error")
        .map(({ id, error }) => [id, error[0], error[2], error[3]])
        .sort(([a], [b]) => Number(a) - Number(b)),
    ).toEqual([
      [3, "busy", true, 50],
      [4, "internal", true, 0],
      [5, "notFound", false, 0],
    ]);
    expect(errors.map(({ cause }) => (cause as Error).message)).toEqual(["a bug"]);
    off();
    server.line.say({ type: "call", id: 9, method: "break", payload: json(1) });
    await settled();
    expect(server.line.of("error").at(-1)?.error[0]).toBe("notFound");
  });

  test("ids of the server's calls and of this side's requests are unrelated", async () => {
    const { server, client } = await setUp();
    client.handle("echo", (data) => data);
    server.script = (packet) => (packet.type === "call" ? null : undefined);
    const call = client.call("slow", 1);
    await settled();
    const { id } = server.line.of("call")[0] as PacketOf<"call">;
    server.line.say({ type: "call", id, method: "echo", payload: json("hi") });
    await settled();
    expect(server.line.of("result")).toMatchObject([{ id, payload: json("hi") }]);
    server.line.say({ type: "result", id, payload: json("done") });
    expect(await call).toBe("done");
  });
});

describe("for await", () => {
  test("subscribes, gives publications in order, ends at unsubscribe", async () => {
    const { server, client } = await setUp();
    const room = client.channel<number>("room");
    const seen: number[] = [];
    const loop = (async () => {
      for await (const { data } of room) seen.push(data);
    })();
    await settled();
    expect(room.state).toBe("subscribed");
    for (const n of [1, 2, 3]) server.line.msg("room", n, n);
    await settled();
    server.line.msg("room", 4, 4);
    room.unsubscribe();
    await loop;
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test("leaving the loop leaves the subscription", async () => {
    const { server, client } = await setUp();
    const room = client.channel<number>("room");
    const first = (async () => {
      for await (const { data } of room) return data;
      return undefined;
    })();
    await settled();
    server.line.msg("room", 1, 11);
    expect(await first).toBe(11);
    expect(room.state).toBe("subscribed");
  });

  test("throws where the server ends the subscription, and where the loop is too slow", async () => {
    const { server, client } = await setUp();
    const drain = async (name: string): Promise<void> => {
      for await (const _ of client.channel(name)) await new Promise<void>((resolve) => void (release = resolve));
    };
    let release = (): void => undefined;
    const banned = drain("room").catch((error: unknown) => error);
    const slow = drain("flood").catch((error: unknown) => error);
    await settled();
    server.line.say({ type: "ended", channel: "room", error: ["forbidden", "banned", false, 0] });
    for (let offset = 1; offset <= 1002; offset++) server.line.msg("flood", offset, offset);
    expect(await banned).toMatchObject({ code: "forbidden" });
    const drained = setInterval(() => release());
    expect(await slow).toMatchObject({ code: "tooMany" });
    clearInterval(drained);
  });

  test.each([
    [2, "ended"],
    [3, "tooMany"],
  ])("may be two behind where two is the bound: %i behind is %s", async (behind, outcome) => {
    const { server, client } = await setUp();
    const room = client.channel("room");
    const heard: number[] = [];
    const loop = (async () => {
      for await (const { offset } of publications(room, { limit: 2 })) heard.push(offset);
      return "ended";
    })().catch((error: ZurufError) => error.code);
    await settled();
    // All before the loop has a turn.
    for (let offset = 1; offset <= behind; offset++) server.line.msg("room", offset, offset);
    room.unsubscribe();
    expect(await loop).toBe(outcome);
    expect(heard).toEqual([1, 2]);
  });
});

test("the public names", async () => {
  const names = async (module: Promise<object>): Promise<string[]> => Object.keys(await module).sort();
  expect(await names(import("../src/index.ts"))).toEqual(["ZurufError", "createClient", "publications"]);
  expect(await names(import("../src/core.ts"))).toEqual(["ZurufError", "createClient"]);
  expect(await names(import("../src/presence/index.ts"))).toEqual(["presence", "reduceMembers"]);
  expect(await names(import("../src/direct.ts"))).toEqual(["direct"]);
  expect(await names(import("../src/calls.ts"))).toEqual(["calls"]);
  expect(await names(import("../src/iterate.ts"))).toEqual(["publications"]);
  expect(await names(import("../src/binary.ts"))).toEqual(["binaryCodec"]);
});

describe("the core, with parts taken singly", () => {
  test("is the same", async () => {
    const server = new ScriptedServer();
    const client = createCore("ws://host/ws", server.options);
    const room = client.channel("room");
    expect(presence(room)).toBe(presence(room));
    expect(direct(client)).toBe(direct(client));
    await room.subscribe();
    expect(server.line.of("subscribe")[0]?.presence).toBe(true);
    server.script = (packet) =>
      packet.type === "call" ? { type: "result", id: packet.id, payload: json(1) } : undefined;
    expect(await calls(client).call("one", null)).toBe(1);
    expect(() => direct({ ...client })).toThrow(TypeError);
  });
});
