import { describe, expect, test } from "vitest";
import type { RedisOptions } from "../src/options.ts";
import { BackplaneError } from "@zuruf/hub";
import { Member } from "../../../../test/brokers/member.ts";
import { Proxy } from "../../../../test/brokers/proxy.ts";
import { redis as redisBackplane } from "../src/index.ts";
import { RedisProcess, redisServer, type Persistence } from "../../../../test/services/redis.ts";

/** What a test started ends with it; the tests of this file run side by side, because they mostly wait. */
type Ends = (end: () => Promise<void>) => void;
async function start(kept: Persistence, ends: Ends): Promise<RedisProcess> {
  const redis = await RedisProcess.start(kept);
  ends(() => redis.dispose());
  return redis;
}
async function join(url: string, name: string, ends: Ends, options?: RedisOptions): Promise<Member> {
  const member = await Member.start(redisBackplane(url, options), name);
  ends(() => member.backplane.close());
  return member;
}
async function proxyTo(redis: RedisProcess, ends: Ends): Promise<Proxy> {
  const proxy = await Proxy.start(redis.port);
  ends(() => proxy.close());
  return proxy;
}
async function publishAll(member: Member, channel: string, from: number, to: number): Promise<string> {
  let epoch = "";
  for (let i = from; i <= to; i++) epoch = (await member.publish(channel, `${i}`))?.epoch ?? "";
  return epoch;
}
/** Milliseconds within which a connection that delivers nothing is found, as docs/backplanes.md promises. */
const foundWithin = 5000;
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);

describe.skipIf(redisServer === undefined).concurrent("redis, when it fails", () => {
  test("a clean restart loses nothing: down and up are said, subscriptions come back, positions stay good", async ({
    onTestFinished: ends,
  }) => {
    const redis = await start("log", ends);
    const [a, b] = [await join(redis.url, "a", ends), await join(redis.url, "b", ends)];
    await b.backplane.subscribe(["chat:lobby"]);
    const epoch = await publishAll(a, "chat:lobby", 1, 20);
    await redis.stop();
    await a.until("down", () => !a.isUp);
    await b.until("down", () => !b.isUp);
    await expect(a.publish("chat:lobby", "lost")).rejects.toMatchObject({ name: "BackplaneError", code: "notStored" });
    await expect(a.backplane.heads(["chat:lobby"])).rejects.toMatchObject({ code: "unavailable" });
    await redis.start();
    await Promise.all([a.until("up", () => a.isUp), b.until("up", () => b.isUp)]);
    expect(await b.after("chat:lobby", epoch, 15)).toEqual(numbers(16, 20));
    await a.publish("chat:lobby", "21");
    await b.until("delivery", () => b.texts("chat:lobby").includes("21"));
    expect(await b.after("chat:lobby", epoch, 15)).toEqual(numbers(16, 21));
  });

  test("kill -9 with an append-only file: all that was acknowledged is there", async ({ onTestFinished: ends }) => {
    const redis = await start("log", ends);
    const a = await join(redis.url, "a", ends);
    const epoch = await publishAll(a, "c", 1, 105);
    await redis.stop("SIGKILL");
    await redis.start();
    await a.until("up again", () => a.states.length === 3 && a.isUp);
    expect(await a.after("c", epoch, 100)).toEqual(numbers(101, 105));
  });

  test("kill -9 with snapshots: the offsets that Redis forgot and gives out again are told apart", async ({
    onTestFinished: ends,
  }) => {
    const redis = await start("snapshots", ends);
    const a = await join(redis.url, "a", ends);
    const epoch = await publishAll(a, "c", 1, 100);
    await redis.command("SAVE", "+OK");
    await publishAll(a, "c", 101, 105);
    await redis.stop("SIGKILL");
    await redis.start();
    await a.until("up again", () => a.states.length === 3 && a.isUp);
    expect((await a.backplane.heads(["c"])).get("c")).toEqual({ epoch, offset: 100 });
    expect(await a.after("c", epoch, 105)).toBe("rollback");
    const again = await a.publish("c", "another 101");
    expect(again?.offset).toBe(101);
    expect(again?.epoch).not.toBe(epoch);
    expect(await a.after("c", epoch, 101)).toBe("rollback");
    // What lies before the rollback is the same history for everybody.
    expect(await a.after("c", epoch, 98)).toEqual(["99", "100", "another 101"]);
    const page = await a.backplane.history("c", { after: { epoch, offset: 99 }, limit: 10 });
    expect(page.items.map((item) => item.epoch)).toEqual([epoch, again?.epoch]);
  });

  test("kill -9 without persistence: another epoch, and old positions say so", async ({ onTestFinished: ends }) => {
    const redis = await start("none", ends);
    const a = await join(redis.url, "a", ends);
    const epoch = await publishAll(a, "c", 1, 5);
    await redis.stop("SIGKILL");
    await redis.start();
    await a.until("up again", () => a.states.length === 3 && a.isUp);
    expect(await a.after("c", epoch, 3)).toBe("epoch");
    expect(await a.publish("c", "1")).toMatchObject({ offset: 1 });
  });

  test("frozen for longer than the deadline: calls end in time, down within 5 s, and a retry makes no double", async ({
    onTestFinished: ends,
  }) => {
    const redis = await start("none", ends);
    const a = await join(redis.url, "a", ends, { deadline: 1000 });
    await a.backplane.subscribe(["c"]);
    await a.publish("c", "before");
    redis.signal("SIGSTOP");
    const frozen = performance.now();
    const error = await a.publish("c", "while frozen", "key").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(BackplaneError);
    expect(error).toMatchObject({ code: "unknown" });
    expect(performance.now() - frozen).toBeLessThan(3000);
    await expect(a.backplane.history("c", { limit: 1 })).rejects.toMatchObject({ code: "unavailable" });
    await a.until("down", () => !a.isUp, foundWithin);
    expect(performance.now() - frozen).toBeLessThan(foundWithin);
    redis.signal("SIGCONT");
    await a.until("up", () => a.isUp);
    const head = await a.publish("c", "while frozen", "key");
    expect(await a.after("c", head?.epoch ?? "", 0)).toEqual(["before", "while frozen"]);
  });

  test("black-holed: found within 5 s, and healed when bytes pass again", async ({ onTestFinished: ends }) => {
    const redis = await start("none", ends);
    const proxy = await proxyTo(redis, ends);
    const a = await join(`redis://127.0.0.1:${proxy.port}`, "a", ends);
    await a.backplane.subscribe(["c"]);
    proxy.swallow = () => true;
    await a.until("down", () => !a.isUp, foundWithin);
    proxy.swallow = () => false;
    await a.until("up", () => a.isUp);
    await a.publish("c", "after");
    await a.until("delivery", () => a.texts("c").includes("after"));
    expect(a.states).toHaveLength(3);
  });

  test("connected but deaf: found within 5 s although commands are answered", async ({ onTestFinished: ends }) => {
    const redis = await start("none", ends);
    const proxy = await proxyTo(redis, ends);
    const [a, b] = [await join(`redis://127.0.0.1:${proxy.port}`, "a", ends), await join(redis.url, "b", ends)];
    await a.backplane.subscribe(["c"]);
    proxy.swallow = (direction, greeting) => direction === "down" && greeting.includes(":subscriptions");
    await b.publish("c", "unheard");
    await a.until("down", () => !a.isUp, foundWithin);
    expect(a.states.at(-1)).toMatch(/delivered nothing/);
    proxy.swallow = () => false;
    await a.until("up", () => a.isUp);
    await b.publish("c", "heard");
    await a.until("delivery", () => a.texts("c").includes("heard"));
  });

  test("subscriptions dropped on the server's side come back, and their channels are suspect", async ({
    onTestFinished: ends,
  }) => {
    const redis = await start("none", ends);
    const proxy = await proxyTo(redis, ends);
    const [a, b] = [await join(`redis://127.0.0.1:${proxy.port}`, "a", ends), await join(redis.url, "b", ends)];
    await a.backplane.subscribe(["c", "d"]);
    proxy.inject(":subscriptions", "SUNSUBSCRIBE\r\n");
    await a.until("healed", () => ["c", "d"].every((channel) => a.suspects.flat().includes(channel)), foundWithin);
    await b.publish("c", "c1");
    await b.publish("d", "d1");
    await b.backplane.control(Buffer.from("hi"), "a");
    await a.until("delivery", () => a.items.length === 2 && a.messages.length === 1);
    expect(a.states).toEqual(["up"]);
  });

  test("its connections closed by an operator: made again at once", async ({ onTestFinished: ends }) => {
    const redis = await start("none", ends);
    const a = await join(redis.url, "a", ends);
    await a.backplane.subscribe(["c"]);
    for (const type of ["pubsub", "normal"]) {
      const before = a.states.length;
      await redis.command(`CLIENT KILL TYPE ${type}`, ":1");
      await a.until("down and up", () => a.states.length === before + 2 && a.isUp);
    }
    await a.publish("c", "still here");
    await a.until("delivery", () => a.texts("c").includes("still here"));
    expect(a.texts("c")).toEqual(["still here"]);
  });

  test("nothing that the broker delivers gets through unchecked", async ({ onTestFinished: ends }) => {
    const redis = await start("none", ends);
    const a = await join(redis.url, "a", ends);
    await a.backplane.subscribe(["c"]);
    for (const junk of ["junk", "1", "-1 x y", "99999999999999999999 e d"])
      await redis.command(`SPUBLISH zuruf:{c} "${junk}"`, ":1");
    await redis.command(`SPUBLISH zuruf:{$control}:all "999 x"`, ":1");
    await a.publish("c", "good");
    await a.until("delivery", () => a.texts("c").length === 1);
    expect(a.texts("c")).toEqual(["good"]);
    expect(a.suspects).toEqual([["c"], ["c"], ["c"], ["c"]]);
    expect(a.messages).toEqual([]);
    await redis.command("HSET zuruf:{c}:meta chain nonsense", ":0");
    await expect(a.backplane.history("c", { limit: 1 })).rejects.toMatchObject({ code: "unknown" });
    await redis.command("SET zuruf:{d}:log x", "+OK");
    await redis.command("HSET zuruf:{d}:meta head 1 chain e:0 run x", ":3");
    await expect(a.publish("d", "x")).rejects.toMatchObject({ code: "notStored" });
  });
});
