import type { Packet, PacketOf } from "@zuruf/protocol";
import { describe, expect, test } from "vitest";
import {
  type Channel,
  type ChannelEvents,
  type Client,
  createClient,
  type Publication,
  ZurufError,
} from "../src/core.ts";
import { ScriptedServer, settled } from "./scripted-server.ts";

type Happening = {
  [Name in keyof ChannelEvents<unknown>]: [Name, ChannelEvents<unknown>[Name]];
}[keyof ChannelEvents<unknown>];

function setUp(): {
  server: ScriptedServer;
  client: Client;
  room: Channel;
  events: Happening[];
  data: () => unknown[];
} {
  const server = new ScriptedServer();
  const client = createClient("ws://host/ws", server.options);
  const room = client.channel("chat:lobby");
  const events: Happening[] = [];
  for (const name of ["publication", "state", "subscribed", "restarted", "error"] as const)
    room.on(name, (event) => void events.push([name, event] as Happening));
  const data = (): unknown[] => events.flatMap(([name, event]) => (name === "publication" ? [event.data] : []));
  return { server, client, room, events, data };
}

function connectedAs(client: string, id: number): PacketOf<"connected"> {
  return { type: "connected", id, client, secret: "s", resumed: false, instance: "i", heartbeat: 0, limits: {} };
}

describe("subscribing", () => {
  test("connects, subscribes, delivers", async () => {
    const { server, client, room, events } = setUp();
    server.head = 7;
    await room.subscribe();
    expect(client.state).toBe("connected");
    expect(server.line.of("subscribe")).toEqual([{ type: "subscribe", id: 2, channel: "chat:lobby" }]);
    expect([room.state, room.position]).toEqual(["subscribed", { epoch: "e", offset: 7 }]);
    server.line.msg("chat:lobby", 8, { text: "hi" }, { client: "c9", user: "ada", time: 123, key: "k" });
    expect(events).toEqual([
      ["state", { state: "subscribing", previous: "unsubscribed", reason: "requested" }],
      ["state", { state: "subscribed", previous: "subscribing", reason: "answered" }],
      ["subscribed", { recovered: false, position: { epoch: "e", offset: 7 }, reason: undefined, delivery: "stream" }],
      [
        "publication",
        {
          channel: "chat:lobby",
          data: { text: "hi" },
          offset: 8,
          position: { epoch: "e", offset: 8 },
          publisher: { client: "c9", user: "ada" },
          own: false,
          time: 123,
          key: "k",
        } satisfies Publication,
      ],
    ]);
    expect(room.position).toEqual({ epoch: "e", offset: 8 });
    await room.subscribe();
    expect(server.line.of("subscribe").length).toBe(1);
    expect(client.channel("chat:lobby")).toBe(room);
  });

  test("from a position that the application gives", async () => {
    const { server, room, events } = setUp();
    await room.subscribe({ position: { epoch: "e", offset: 3 } });
    expect(server.line.of("subscribe")[0]?.position).toEqual(["e", 3]);
    expect(events.at(-1)).toMatchObject(["subscribed", { recovered: true, position: { epoch: "e", offset: 3 } }]);
  });

  test("a position that is lost already says so", async () => {
    const { server, room, events } = setUp();
    server.script = (packet) =>
      packet.type === "subscribe"
        ? {
            type: "subscribed",
            id: packet.id,
            position: ["f", 9],
            recovered: false,
            reason: "epoch",
            delivery: "stream",
          }
        : undefined;
    await room.subscribe({ position: { epoch: "e", offset: 3 } });
    expect(events.slice(-2)).toEqual([
      ["restarted", { position: { epoch: "f", offset: 9 }, reason: "epoch" }],
      ["subscribed", { recovered: false, position: { epoch: "f", offset: 9 }, reason: "epoch", delivery: "stream" }],
    ]);
  });

  test("after a lost connection it continues from the last publication delivered, and drops doubles", async () => {
    const { server, room, events, data } = setUp();
    await room.subscribe();
    server.line.msg("chat:lobby", 1, "a");
    server.line.msg("chat:lobby", 2, "b");
    server.line.msg("chat:lobby", 2, "b");
    server.line.msg("chat:lobby", 1, "a");
    server.line.end();
    expect([room.state, events.at(-1)?.[1]]).toEqual([
      "subscribing",
      { state: "subscribing", previous: "subscribed", reason: "connection" },
    ]);
    await server.clock.advance(500);
    expect(server.line.of("subscribe")[0]?.position).toEqual(["e", 2]);
    expect(events.at(-1)).toMatchObject(["subscribed", { recovered: true }]);
    server.line.msg("chat:lobby", 2, "b");
    server.line.msg("chat:lobby", 3, "c");
    expect(data()).toEqual(["a", "b", "c"]);
  });

  test("without history nothing is a double", async () => {
    const { server, room, data } = setUp();
    server.script = (packet) =>
      packet.type === "subscribe" ? { type: "subscribed", id: packet.id, delivery: "volatile" } : undefined;
    await room.subscribe();
    server.line.msg("chat:lobby", 0, 1);
    server.line.msg("chat:lobby", 0, 1);
    expect(data()).toEqual([1, 1]);
    expect(room.position).toBeUndefined();
    server.line.end();
    await server.clock.advance(500);
    expect(server.line.of("subscribe")[0]).not.toHaveProperty("position");
  });

  test("pushes before the answer to the newest subscribe are of the past", async () => {
    const { server, room, data } = setUp();
    await room.subscribe();
    room.unsubscribe();
    server.line.msg("chat:lobby", 1, "after unsubscribe");
    const held: number[] = [];
    server.script = (packet) => (packet.type === "subscribe" ? (held.push(packet.id), null) : undefined);
    const first = room.subscribe().catch((error: unknown) => error);
    room.unsubscribe();
    const again = room.subscribe();
    await settled();
    server.line.say({ type: "subscribed", id: held[0] ?? 0, position: ["e", 1], delivery: "stream" });
    server.line.msg("chat:lobby", 2, "of the first");
    server.line.say({ type: "subscribed", id: held[1] ?? 0, position: ["e", 2], delivery: "stream" });
    server.line.msg("chat:lobby", 3, "of the second");
    await again;
    expect(await first).toMatchObject({ code: "notSubscribed" });
    expect(data()).toEqual(["of the second"]);
  });

  test("a msg in the same turn as the answer is not lost", async () => {
    const { server, room, data } = setUp();
    server.script = (packet, line) => {
      if (packet.type !== "subscribe") return undefined;
      line.say({ type: "subscribed", id: packet.id, position: ["e", 0], delivery: "stream" });
      line.msg("chat:lobby", 1, "at once");
      return null;
    };
    await room.subscribe();
    expect(data()).toEqual(["at once"]);
  });

  test("position, restarted and ended", async () => {
    const { server, room, events, data } = setUp();
    await room.subscribe();
    server.line.msg("chat:lobby", 4, 4);
    server.line.say({ type: "position", channel: "chat:lobby", position: ["e2", 6] });
    expect(room.position).toEqual({ epoch: "e2", offset: 6 });
    server.line.msg("chat:lobby", 6, "known already");
    server.line.say({ type: "restarted", channel: "chat:lobby", position: ["e3", 2], reason: "rollback" });
    expect(events.slice(-2)).toMatchObject([
      ["restarted", { position: { epoch: "e3", offset: 2 }, reason: "rollback" }],
      ["subscribed", { recovered: false, reason: "rollback" }],
    ]);
    server.line.msg("chat:lobby", 3, "after the restart");
    expect(data()).toEqual([4, "after the restart"]);
    server.line.say({ type: "ended", channel: "chat:lobby", error: ["forbidden", "you were banned", false, 0] });
    expect(room.state).toBe("unsubscribed");
    expect(events.slice(-2)).toMatchObject([
      ["error", { code: "forbidden", message: "you were banned" }],
      ["state", { state: "unsubscribed", previous: "subscribing", reason: "forbidden" }],
    ]);
    server.line.end();
    await server.clock.advance(500);
    expect(server.line.of("subscribe")).toEqual([]);
  });

  test("a subscription that the server still has, because it refused to end it, is renewed", async () => {
    const { server, room } = setUp();
    await room.subscribe();
    let left = false;
    server.script = (packet) => {
      if (packet.type === "unsubscribe") {
        if (left) return undefined;
        left = true;
        return { type: "error", id: packet.id, error: ["rateLimited", "too many packets", true, 0] };
      }
      if (packet.type !== "subscribe" || server.line.of("unsubscribe").length > 1) return undefined;
      return { type: "error", id: packet.id, error: ["alreadySubscribed", "already subscribed", false, 0] };
    };
    room.unsubscribe();
    const again = room.subscribe();
    await settled();
    await server.clock.advance(1000);
    await again;
    expect(room.state).toBe("subscribed");
  });

  test("a subscription ended for a while comes back, from where it was", async () => {
    const { server, room } = setUp();
    await room.subscribe();
    server.line.msg("chat:lobby", 4, 4);
    server.line.say({ type: "ended", channel: "chat:lobby", error: ["unavailable", "later", true, 3000] });
    expect(room.state).toBe("subscribing");
    await server.clock.advance(3499);
    expect(server.line.of("subscribe").length).toBe(1);
    await server.clock.advance(1);
    expect(server.line.of("subscribe")[1]?.position).toEqual(["e", 4]);
    expect(room.state).toBe("subscribed");
  });

  test("refused for good: rejects; refused for now: tries again", async () => {
    const { server, room, events } = setUp();
    const errors = [["unavailable", "wait", true, 0] as const, ["forbidden", "no", false, 0] as const];
    server.script = (packet) => {
      const error = packet.type === "subscribe" ? errors.shift() : undefined;
      return error && packet.type === "subscribe" ? { type: "error", id: packet.id, error } : undefined;
    };
    const subscribed = room.subscribe().catch((error: unknown) => error);
    await settled();
    expect(room.state).toBe("subscribing");
    await server.clock.advance(500);
    expect(await subscribed).toBeInstanceOf(ZurufError);
    expect(await subscribed).toMatchObject({ code: "forbidden" });
    expect(events.at(-1)).toEqual(["state", { state: "unsubscribed", previous: "subscribing", reason: "forbidden" }]);
  });

  test("never answered by a server that lives: asked again, with what was asked before taken back; what is published does not wait for it", async () => {
    const { server, client, room, events } = setUp();
    let asked: Packet | undefined;
    server.script = (packet) => {
      if (packet.type !== "subscribe") return undefined;
      asked ??= packet;
      return asked === packet ? null : undefined;
    };
    const subscribed = room.subscribe();
    const published = room.publish("now");
    await server.clock.advance(9_999);
    expect([events.length, server.line.of("publish").length]).toEqual([1, 0]);
    await server.clock.advance(1);
    expect(events.at(-1)).toMatchObject(["error", { code: "timeout", retryable: true }]);
    await published;
    // Too late: what it says is of the past.
    server.line.say({ type: "subscribed", id: 2, position: ["e", 9], delivery: "stream" });
    expect(room.state).toBe("subscribing");
    await server.clock.advance(500);
    await subscribed;
    const about = server.line.received.filter((packet) => "channel" in packet).map(({ type }) => type);
    expect(about).toEqual(["subscribe", "publish", "unsubscribe", "subscribe"]);
    expect([room.state, client.state, server.lines.length]).toEqual(["subscribed", "connected", 1]);
    await server.clock.advance(60_000);
    expect(events.at(-1)?.[0]).toBe("subscribed");
  });

  test("an answer that comes in time, or a lost connection, leaves no deadline behind", async () => {
    const { server, room, events } = setUp();
    await room.subscribe();
    server.script = (packet) => (packet.type === "subscribe" ? null : undefined);
    server.line.end();
    await server.clock.advance(500);
    server.line.end();
    server.script = () => undefined;
    await server.clock.advance(60_000);
    expect(events.filter(([name]) => name === "error")).toEqual([]);
    expect(server.clock.timers).toBe(0);
  });

  test("an unsubscribe that is never answered keeps no place among the requests", async () => {
    const { server, client, room } = setUp();
    server.script = (packet) => {
      if (packet.type === "connect") return { ...connectedAs("c1", packet.id), limits: { requests: 1 } };
      return packet.type === "unsubscribe" ? null : undefined;
    };
    await room.subscribe();
    room.unsubscribe();
    const other = client.channel("other").subscribe();
    expect(server.line.of("subscribe").length).toBe(1);
    await server.clock.advance(10_000);
    await other;
    expect(client.channel("other").state).toBe("subscribed");
  });

  test("disconnect() rejects who waits, and keeps the wish", async () => {
    const { server, client, room } = setUp();
    server.script = (packet) => (packet.type === "subscribe" ? null : undefined);
    const subscribed = room.subscribe().catch((error: unknown) => error);
    await settled();
    client.disconnect();
    expect(await subscribed).toMatchObject({ code: "disconnected" });
    expect(room.state).toBe("subscribing");
    await expect(client.channel("other").subscribe()).rejects.toMatchObject({ code: "disconnected" });
    server.script = () => undefined;
    client.connect();
    await settled();
    expect([room.state, client.channel("other").state]).toEqual(["subscribed", "subscribed"]);
  });
});

describe("own publications", () => {
  test("are marked, also those of an earlier client id, also in replay", async () => {
    const { server, room, events } = setUp();
    await room.subscribe();
    server.line.msg("chat:lobby", 1, 1, { client: "c1", time: 1 });
    server.line.end();
    server.script = (packet) => (packet.type === "connect" ? connectedAs("new", packet.id) : undefined);
    await server.clock.advance(500);
    server.line.msg("chat:lobby", 2, 2, { client: "c1", time: 1 });
    server.line.msg("chat:lobby", 3, 3, { client: "new", time: 1 });
    server.line.msg("chat:lobby", 4, 4, { client: "c2", time: 1 });
    server.line.msg("chat:lobby", 5, 5);
    expect(events.flatMap(([name, event]) => (name === "publication" ? [event.own] : []))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test("echo: false hides them, from earlier client ids too, and their offsets count", async () => {
    const { server, room, data } = setUp();
    await room.subscribe({ echo: false });
    expect(server.line.of("subscribe")[0]?.echo).toBe(false);
    server.line.msg("chat:lobby", 1, "own", { client: "c1", time: 1 });
    server.line.msg("chat:lobby", 2, "another's", { client: "c2", time: 1 });
    expect(data()).toEqual(["another's"]);
    server.line.msg("chat:lobby", 3, "own", { client: "c1", time: 1 });
    expect(room.position?.offset).toBe(3);
  });
});

describe("history", () => {
  test("a page, with own publications marked and bytes as bytes", async () => {
    const { server, client, room } = setUp();
    client.connect();
    await settled();
    const payload = { format: "binary", bytes: Uint8Array.of(0, 255) } as const;
    server.script = (packet) =>
      packet.type === "history"
        ? {
            type: "historyPage",
            id: packet.id,
            position: ["e", 9],
            complete: true,
            items: [{ offset: 9, info: { client: "c1", time: 5 }, payload }],
          }
        : undefined;
    const page = await room.history({ before: { epoch: "e", offset: 10 }, limit: 1 });
    expect(server.line.of("history")).toEqual([
      { type: "history", id: 2, channel: "chat:lobby", before: ["e", 10], limit: 1 },
    ]);
    expect(page).toMatchObject({ complete: true, reason: undefined, position: { epoch: "e", offset: 9 } });
    expect(page.publications).toMatchObject([{ data: Uint8Array.of(0, 255), own: true, offset: 9, time: 5 }]);
  });

  test("waits for a connection, and no longer than its time", async () => {
    const { server, room } = setUp();
    server.opens = false;
    const page = room.history().catch((error: unknown) => error);
    await server.clock.advance(10_000);
    expect(await page).toMatchObject({ code: "unavailable" });
    server.opens = true;
    server.script = (packet) => (packet.type === "history" ? null : undefined);
    const late = room.history().catch((error: unknown) => error);
    await server.clock.advance(10_000);
    expect(await late).toMatchObject({ code: "timeout" });
    const cut = room.history().catch((error: unknown) => error);
    await settled();
    server.line.end();
    expect(await cut).toMatchObject({ code: "unknown" });
  });
});

describe("many channels", () => {
  test("no more unanswered requests than the server allows", async () => {
    const { server, client } = setUp();
    const held: (() => void)[] = [];
    server.script = (packet, line) => {
      if (packet.type === "connect") return { ...connectedAs("c", packet.id), limits: { requests: 2 } };
      if (packet.type !== "subscribe") return undefined;
      held.push(() => line.say({ type: "subscribed", id: packet.id, delivery: "stream" }));
      return null;
    };
    const all = Array.from({ length: 5 }, (_, i) => client.channel(`c${i}`).subscribe());
    await settled();
    expect(server.line.of("subscribe").length).toBe(2);
    held[0]?.();
    expect(server.line.of("subscribe").length).toBe(3);
    for (let i = 1; i < 5; i++) held[i]?.();
    await Promise.all(all);
    expect(server.line.of("subscribe").map(({ channel }) => channel)).toEqual(["c0", "c1", "c2", "c3", "c4"]);
  });
});
