import type { Packet, PacketOf } from "@zuruf/protocol";
import { describe, expect, test } from "vitest";
import { type Client, createClient } from "../src/core.ts";
import { ScriptedServer, settled } from "./scripted-server.ts";

/** A promise's outcome so far. */
function outcome<T>(promise: Promise<T>): { value?: T; code?: string; error?: unknown } {
  const seen: { value?: T; code?: string; error?: unknown } = {};
  promise.then(
    (value) => (seen.value = value),
    (error: unknown) => {
      seen.error = error;
      seen.code = (error as { code: string }).code;
    },
  );
  return seen;
}

function setUp(options: Parameters<typeof createClient>[1] = {}): {
  server: ScriptedServer;
  client: Client;
  publish: (data: unknown, more?: { key?: string; deadline?: number }) => ReturnType<typeof outcome<unknown>>;
  sent: () => unknown[];
} {
  const server = new ScriptedServer();
  const client = createClient("ws://host/ws", { ...server.options, ...options });
  return {
    server,
    client,
    publish: (data, more) => outcome(client.channel("c").publish(data, more)),
    sent: () =>
      server.line.of("publish").map(({ payload, again }) => [textOf(payload), again].filter((v) => v !== undefined)),
  };
}

function textOf(payload: PacketOf<"publish">["payload"]): unknown {
  return payload.format === "json" ? (JSON.parse(payload.text) as unknown) : payload.bytes;
}

function refuse(packet: Packet, code: string, retryAfter = 0, retryable = true): Packet {
  return { type: "error", id: (packet as { id: number }).id, error: [code, "no", retryable, retryAfter] };
}

describe("publishing", () => {
  test("resolves with the position; without history without", async () => {
    const { server, client } = setUp();
    expect(await client.channel("c").publish({ a: 1 })).toEqual({ position: { epoch: "e", offset: 1 } });
    server.script = (packet) => (packet.type === "publish" ? { type: "published", id: packet.id } : undefined);
    expect(await client.channel("c").publish(null)).toEqual({ position: undefined });
    expect(server.line.of("publish").map(({ payload }) => textOf(payload))).toEqual([{ a: 1 }, null]);
  });

  test("bytes are bytes", async () => {
    const { server, client } = setUp();
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 256);
    await client.channel("c").publish(bytes);
    await client.channel("c").publish(bytes.buffer);
    expect(server.line.of("publish").map(({ payload }) => textOf(payload))).toEqual([bytes, bytes]);
  });

  test("data is taken as it is at the call", async () => {
    const { server, client } = setUp();
    const data = { text: "before" };
    const done = client.channel("c").publish(data);
    data.text = "after";
    await done;
    expect(textOf((server.line.of("publish")[0] as PacketOf<"publish">).payload)).toEqual({ text: "before" });
    await expect(client.channel("c").publish(undefined)).rejects.toMatchObject({ code: "badRequest" });
  });

  test("while offline it waits, in call order, and is sent after the subscriptions are back", async () => {
    const { server, client, publish, sent } = setUp();
    void client.channel("c").subscribe();
    await settled();
    server.line.end();
    const outcomes = [publish(1), publish(2), publish(3)];
    await settled();
    expect(outcomes).toEqual([{}, {}, {}]);
    await server.clock.advance(500);
    expect(server.line.received.map(({ type }) => type)).toEqual([
      "connect",
      "subscribe",
      "publish",
      "publish",
      "publish",
    ]);
    expect(sent()).toEqual([[1], [2], [3]]);
    expect(outcomes.map(({ value }) => value)).toMatchObject([1, 2, 3].map((offset) => ({ position: { offset } })));
  });

  test("what has no answer when the connection ends is sent again with the same key", async () => {
    const { server, publish, sent } = setUp();
    server.script = (packet) => (packet.type === "publish" ? null : undefined);
    const outcomes = [publish(1), publish(2, { key: "mine" })];
    await settled();
    const keys = server.line.of("publish").map(({ key }) => key);
    expect(keys[0]).toMatch(/^[0-9a-z]{3,}$/);
    expect(keys[1]).toBe("mine");
    server.script = () => undefined;
    server.line.end();
    await server.clock.advance(500);
    expect(server.line.of("publish").map(({ key }) => key)).toEqual(keys);
    expect(sent()).toEqual([[1], [2]]);
    expect(outcomes.every(({ value }) => value !== undefined)).toBe(true);
  });

  test("its deadline: notStored where it was never sent, unknown where no answer came, and then it is not sent again", async () => {
    const { server, publish, sent } = setUp();
    server.script = (packet) => (packet.type === "publish" ? null : undefined);
    const flying = publish(1, { deadline: 2000 });
    await settled();
    await server.clock.advance(1999);
    expect(flying).toEqual({});
    await server.clock.advance(1);
    expect(flying.code).toBe("unknown");
    server.opens = false;
    server.line.end();
    const waiting = publish(2, { deadline: 100 });
    const patient = publish(3, { deadline: Number.POSITIVE_INFINITY });
    await server.clock.advance(100);
    expect(waiting.code).toBe("notStored");
    await server.clock.advance(3_600_000);
    server.opens = true;
    server.script = () => undefined;
    await server.clock.advance(60_000);
    expect(patient.value).toBeDefined();
    expect(sent()).toEqual([[3]]);
  });

  test("the default deadline is the client's", async () => {
    const { server, publish } = setUp({ deadline: 700 });
    server.opens = false;
    const waiting = publish(1);
    await server.clock.advance(700);
    expect(waiting.code).toBe("notStored");
  });

  test.each([
    ["publications", { publications: 3, bytes: 1000 }, [1, 2, 3]],
    ["bytes", { publications: 100, bytes: 9 }, ["a", "b", "c"]],
  ])("the queue is bounded: %s", async (_, queue, data) => {
    const { server, publish } = setUp({ queue });
    server.opens = false;
    const kept = data.map((value) => publish(value));
    const beyond = publish(4);
    await settled();
    expect(kept).toEqual([{}, {}, {}]);
    expect(beyond.code).toBe("tooMany");
    server.opens = true;
    await server.clock.advance(20_000);
    expect(kept.every(({ value }) => value !== undefined)).toBe(true);
    const again = publish(4);
    await settled();
    expect(again.value).toBeDefined();
  });
});

test("after subscribe() a publication waits for the subscription, so that it is heard", async () => {
  const { server, client, publish, sent } = setUp();
  client.connect();
  await settled();
  const held: PacketOf<"subscribe">[] = [];
  server.script = (packet) => (packet.type === "subscribe" ? (held.push(packet), null) : undefined);
  const answer = (at: number, with_: Packet): void => server.line.say({ ...with_, id: held[at]?.id ?? 0 } as Packet);
  void client.channel("c").subscribe();
  publish(1);
  const elsewhere = outcome(client.channel("d").publish("d"));
  await settled();
  expect([sent(), elsewhere.value !== undefined]).toEqual([[["d"]], true]);
  answer(0, { type: "error", id: 0, error: ["unavailable", "later", true, 0] });
  expect(sent()).toEqual([["d"], [1]]);
  await server.clock.advance(500);
  publish(2);
  expect(sent()).toEqual([["d"], [1]]);
  answer(1, { type: "subscribed", id: 0, delivery: "stream" });
  publish(3);
  client.channel("c").unsubscribe();
  client
    .channel("c")
    .subscribe()
    .catch(() => undefined);
  publish(4);
  client.channel("c").unsubscribe();
  expect(sent()).toEqual([["d"], [1], [2], [3], [4]]);
});

describe("retrying", () => {
  test("a refusal that may pass: all behind it wait, then go in order, the first with again", async () => {
    const { server, client, publish, sent } = setUp();
    client.connect();
    await settled();
    const held: PacketOf<"publish">[] = [];
    server.script = (packet) => (packet.type === "publish" ? (held.push(packet), null) : undefined);
    const outcomes = [publish(1), publish(2)];
    const [first, second] = held as [PacketOf<"publish">, PacketOf<"publish">];
    server.line.say(refuse(first, "unavailable", 1000));
    outcomes.push(publish(3));
    await server.clock.advance(5000);
    expect(sent()).toEqual([[1], [2]]);
    server.line.say(refuse(second, "notStored"));
    server.script = () => undefined;
    await server.clock.advance(1499);
    expect(sent()).toEqual([[1], [2]]);
    await server.clock.advance(1);
    expect(sent()).toEqual([[1], [2], [1, true], [2], [3]]);
    expect(outcomes.map(({ value }) => value)).toMatchObject([1, 2, 3].map((offset) => ({ position: { offset } })));
    const after = publish(4);
    await settled();
    expect(sent().at(-1)).toEqual([4]);
    expect(after.value).toBeDefined();
  });

  test("other channels do not wait", async () => {
    const { server, client, publish } = setUp();
    server.script = (packet) =>
      packet.type === "publish" && packet.channel === "c" ? refuse(packet, "unavailable", 9000) : undefined;
    const stuck = publish(1);
    const free = outcome(client.channel("d").publish(1));
    await server.clock.advance(1000);
    expect(stuck).toEqual({});
    expect(free.value).toBeDefined();
  });

  test("too fast is told at once, and what follows lifts the bar", async () => {
    const { server, client, publish, sent } = setUp();
    client.connect();
    await settled();
    let refusals = 1;
    server.script = (packet) =>
      packet.type === "publish" && refusals-- > 0 ? refuse(packet, "rateLimited", 2000) : undefined;
    const fast = publish(1);
    await settled();
    expect(fast).toMatchObject({ code: "rateLimited", error: { retryAfter: 2000, retryable: true } });
    const next = publish(2);
    await settled();
    expect(next.value).toBeDefined();
    expect(sent()).toEqual([[1], [2, true]]);
  });

  test("a queue that goes out too fast after an interruption is slowed down, not refused", async () => {
    const { server, client, publish, sent } = setUp();
    client.connect();
    await settled();
    server.line.end();
    const outcomes = [1, 2, 3, 4, 5].map((n) => publish(n));
    let barred = false;
    let room = 2;
    server.script = (packet) => {
      if (packet.type !== "publish") return undefined;
      if (packet.again === true) [barred, room] = [false, 2];
      if (barred) return refuse(packet, "notStored");
      if (room-- > 0) return undefined;
      barred = true;
      return refuse(packet, "rateLimited", 3000);
    };
    await server.clock.advance(4500);
    expect(outcomes.map(({ value }) => value !== undefined)).toEqual([true, true, true, true, false]);
    await server.clock.advance(20_000);
    expect(outcomes.map(({ code }) => code)).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect(sent().at(-1)).toEqual([5, true]);
  });

  test("what the server refuses for good, or beyond the deadline, is told at once", async () => {
    const { server, publish, sent } = setUp();
    const codes: [code: string, retryAfter: number, retryable: boolean][] = [
      ["rejected", 0, false],
      ["unavailable", 31_000, true],
    ];
    server.script = (packet) => {
      const next = packet.type === "publish" ? codes.shift() : undefined;
      return next && refuse(packet, ...next);
    };
    const outcomes = [publish(1), publish(2), publish(3)];
    await settled();
    expect(outcomes.map(({ code }) => code)).toEqual(["rejected", "unavailable", undefined]);
    expect(outcomes[2]?.value).toBeDefined();
    expect(sent()[1]).toEqual([2]);
  });

  test("at its deadline it says what the server said last", async () => {
    const { server, publish } = setUp();
    server.script = (packet) => (packet.type === "publish" ? refuse(packet, "notStored") : undefined);
    const stuck = publish(1, { deadline: 20_000 });
    await server.clock.advance(20_000);
    expect(stuck.code).toBe("notStored");
    expect(server.line.of("publish").length).toBeGreaterThan(3);
    expect(server.line.of("publish").length).toBeLessThan(10);
    expect(new Set(server.line.of("publish").map(({ key }) => key)).size).toBe(1);
  });

  test("what may be stored by an earlier attempt is never said not to be", async () => {
    const { server, publish } = setUp();
    server.script = (packet) => (packet.type === "publish" ? null : undefined);
    const [refused, fast] = [publish(1), publish(2)];
    await settled();
    const answers = ["forbidden", "rateLimited"];
    server.script = (packet) => {
      const code = packet.type === "publish" ? answers.shift() : undefined;
      return code === undefined ? undefined : refuse(packet, code, 0, code === "rateLimited");
    };
    server.line.end();
    await server.clock.advance(2000);
    expect(refused.code).toBe("unknown");
    expect(fast.value).toBeDefined();
  });

  test("disconnect() rejects all: unknown what was sent, notStored what was not", async () => {
    const { server, client, publish } = setUp();
    server.script = (packet) => (packet.type === "publish" ? null : undefined);
    const sentOne = publish(1);
    await settled();
    client.disconnect();
    await settled();
    expect(sentOne.code).toBe("unknown");
    client.connect();
    const unsent = publish(2);
    client.disconnect();
    await settled();
    expect(unsent.code).toBe("notStored");
    expect(server.clock.timers).toBe(0);
  });

  test("a publication too large for any message does not bring every connection down", async () => {
    const { server, publish, sent } = setUp();
    server.script = (packet, line) => {
      if (packet.type !== "publish") return undefined;
      if (packet.payload.format === "json" && packet.payload.text.length > 100) {
        queueMicrotask(() => {
          server.script = () => undefined;
          line.end(1009, "message too big");
        });
      }
      return null;
    };
    const outcomes = [publish("small"), publish("x".repeat(200)), publish("also small")];
    await server.clock.advance(500);
    expect(outcomes.map(({ code }) => code)).toEqual([undefined, "tooLarge", undefined]);
    expect(sent()).toEqual([["small"], ["also small"]]);
  });
});

describe("the session", () => {
  test("is refreshed with a new token before it expires; a failure is retried", async () => {
    let token = 0;
    const { server, client } = setUp({ token: () => `t${++token}` });
    const expiring = (packet: Packet): Packet | undefined =>
      packet.type === "connect"
        ? {
            type: "connected",
            id: packet.id,
            client: "c",
            secret: "s",
            resumed: false,
            instance: "i",
            heartbeat: 0,
            limits: {},
            expires: 600_000,
          }
        : undefined;
    const answers: ((id: number) => Packet)[] = [
      (id) => ({ type: "error", id, error: ["unavailable", "later", true, 0] }),
      (id) => ({ type: "refreshed", id, expires: 20_000 }),
      (id) => ({ type: "refreshed", id }),
    ];
    server.script = (packet) => (packet.type === "refresh" ? answers.shift()?.(packet.id) : expiring(packet));
    const errors: string[] = [];
    client.on("error", ({ code }) => void errors.push(code));
    client.connect();
    await server.clock.advance(569_999);
    expect(server.line.of("refresh")).toEqual([]);
    await server.clock.advance(1);
    expect(server.line.of("refresh").map(({ token }) => token)).toEqual(["t2"]);
    await server.clock.advance(500);
    expect(server.line.of("refresh").map(({ token }) => token)).toEqual(["t2", "t3"]);
    await server.clock.advance(16_000);
    expect(server.line.of("refresh").map(({ token }) => token)).toEqual(["t2", "t3", "t4"]);
    expect(errors).toEqual(["unavailable"]);
    await server.clock.advance(1e7);
    expect(server.line.of("refresh").length).toBe(3);
  });

  test("an expired one comes back at once with a new token", async () => {
    let token = 0;
    const { server, client } = setUp({ token: () => `t${++token}` });
    client.connect();
    await settled();
    server.line.end(4702, "expired");
    await server.clock.advance(500);
    expect(server.line.of("connect")[0]?.token).toBe("t2");
    expect(client.state).toBe("connected");
  });
});
