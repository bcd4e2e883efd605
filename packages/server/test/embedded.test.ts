import { once } from "node:events";
import { createServer as createHttpServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { fastify } from "fastify";
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import { type Backplane, BackplaneError, memoryBackplane } from "@zuruf/hub";
import { redis as openRedis } from "@zuruf/redis";
import { PacketClient, upgradeStatus } from "../../../test/service/packet-client.ts";
import { createServer } from "../src/create-server.ts";
import type { Zuruf } from "../src/zuruf.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function listen(server: Server): Promise<string> {
  if (!server.listening) await once(server.listen(0, "127.0.0.1"), "listening");
  ends.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The tests' Redis, under names of its own; in memory where there is none. */
const broker = process.env["ZURUF_TEST_REDIS_URL"];
const redis = (_url: string): Backplane =>
  broker === undefined ? memoryBackplane() : openRedis(broker, { prefix: `embedded-${process.pid}` });
const verify = async (token: string | undefined): Promise<string> => Promise.resolve(`user of ${token}`);
const chatMessage = z.object({ text: z.string().trim().max(100) });

/** The guide's example, as printed. */
async function example(httpServer: Server): Promise<Zuruf> {
  const zuruf = createServer({
    backplane: redis("redis://localhost"),
    channels: { "chat:*": { history: { size: 1000, ttl: "1h" }, presence: true } },
  });
  zuruf.onConnect(async ({ token }) => ({ user: await verify(token) }));
  zuruf.onPublish(({ data }) => chatMessage.parse(data));
  zuruf.attach(httpServer);
  await zuruf.publish("chat:lobby", { text: "the server says hi" });
  return zuruf;
}

/** What answers "mine" at `/` and 404 elsewhere, on each kind of server that an application may have. */
const hosts: Record<string, () => Promise<Server>> = {
  async "node:http"() {
    const server = createHttpServer((request, response) => {
      response.statusCode = request.url === "/" ? 200 : 404;
      response.end("mine\n");
    });
    return Promise.resolve(server);
  },
  async Express() {
    const app = express();
    app.get("/", (_request, response) => void response.send("mine\n"));
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  },
  async Fastify() {
    const app = fastify();
    app.get("/", () => "mine\n");
    await app.listen({ port: 0, host: "127.0.0.1" });
    ends.push(() => app.close());
    return app.server;
  },
};

test.each(Object.keys(hosts))("the example works on %s", async (host) => {
  const server = await (hosts[host] as () => Promise<Server>)();
  const url = await listen(server);
  const zuruf = await example(server);
  ends.push(() => zuruf.close({ within: 0 }));
  const client = await PacketClient.open(url, { token: "t" });
  expect(await client.answer(1)).toMatchObject(["connected", 1, { user: "user of t" }]);
  await client.ask("subscribe", 2, "chat:lobby", {});
  const page = await client.ask("history", 3, "chat:lobby", { limit: 1 });
  expect(page.at(-1)).toMatchObject([[expect.any(Number), {}, { text: "the server says hi" }]]);
  expect((await client.ask("publish", 4, "chat:lobby", {}, { text: "  hi  ", more: 1 }))[0]).toBe("published");
  expect((await client.next(([word]) => word === "msg")).at(-1)).toEqual({ text: "hi" });
  expect((await client.ask("publish", 5, "chat:lobby", {}, { text: 5 }))[2]).toContain("rejected");
  expect(await (await fetch(url)).text()).toBe("mine\n");
  expect((await fetch(`${url}/nobody`)).status).toBe(404);
  expect(await upgradeStatus(url, { path: "/nobody" })).toBe(404);
});

test("two servers share one http.Server, and other paths get 404", async () => {
  const server = createHttpServer();
  const url = await listen(server);
  for (const path of ["/a", "/b"]) {
    const zuruf = createServer({ path, instance: `at${path.replace("/", "-")}` });
    zuruf.attach(server);
    ends.push(() => zuruf.close({ within: 0 }));
  }
  for (const [path, instance] of [
    ["/a", "at-a"],
    ["/b", "at-b"],
  ] as const) {
    const client = await PacketClient.open(url, { path });
    expect((await client.answer(1))[2]).toMatchObject({ instance });
  }
  expect(await upgradeStatus(url, { path: "/c" })).toBe(404);
});

test("a backplane that cannot be used: start and publish say so, attach logs it, upgrades get 503", async () => {
  const broken = Object.assign(memoryBackplane(), {
    start: () => Promise.reject(new BackplaneError("unavailable", "nothing listens there")),
  });
  const logged: string[] = [];
  const log = (_fields: object, message: string): void => void logged.push(message);
  const server = createHttpServer();
  const url = await listen(server);
  const zuruf = createServer({
    backplane: broken,
    channels: { a: {} },
    logger: { debug: log, info: log, warn: log, error: log },
  });
  zuruf.attach(server);
  await expect(zuruf.start()).rejects.toMatchObject({ code: "backplaneFailed", message: "nothing listens there" });
  await expect(zuruf.publish("a", 1)).rejects.toMatchObject({ code: "backplaneFailed" });
  expect(logged).toContain("zuruf cannot start: nothing listens there");
  expect(await upgradeStatus(url)).toBe(503);
  await zuruf.close();
});

test("closing runs every onClose, the last first, and tells what failed", async () => {
  const order: number[] = [];
  const zuruf = createServer({ channels: { a: { history: { size: 1, ttl: "1h" } } } });
  zuruf.onClose(() => void order.push(1));
  zuruf.onClose(() => {
    throw new Error("two is stuck");
  });
  zuruf.onClose(() => void order.push(3));
  await zuruf.start();
  await expect(zuruf.close()).rejects.toThrow("two is stuck");
  expect(order).toEqual([3, 1]);
  await expect(zuruf.start()).resolves.toBeUndefined();
  const late = zuruf.position("a");
  await expect(late).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("is closed") });
});

test("onVacated has what onClose closes", async () => {
  const server = createHttpServer();
  const url = await listen(server);
  const zuruf = createServer({ channels: { room: { presence: true } } });
  zuruf.attach(server);
  const order: string[] = [];
  zuruf.onVacated(async (channel) => {
    await new Promise((resolve) => setImmediate(resolve));
    order.push(`${channel} is empty`);
  });
  zuruf.onClose(() => void order.push("the database is closed"));
  const client = await PacketClient.open(url);
  await client.ask("subscribe", 2, "room", {});
  await zuruf.close();
  expect(order).toEqual(["room is empty", "the database is closed"]);
});

test("a server that never started closes, and does not start then", async () => {
  const zuruf = createServer();
  await zuruf.close();
  await zuruf.close();
  await expect(zuruf.start()).rejects.toMatchObject({ code: "closed" });
});

test("closes are spread over a window that grows with the connections", async () => {
  const server = createHttpServer();
  const url = await listen(server);
  const zuruf = createServer({});
  zuruf.attach(server);
  const clients = await Promise.all(Array.from({ length: 50 }, () => PacketClient.open(url)));
  await Promise.all(clients.map((client) => client.answer(1)));
  const began = performance.now();
  const closed = Promise.all(
    clients.map((client) => client.closed.then(({ code }) => [code, performance.now() - began] as const)),
  );
  await zuruf.close();
  const times = await closed;
  expect(new Set(times.map(([code]) => code))).toEqual(new Set([4400]));
  const sorted = times.map(([, at]) => at).toSorted((a, b) => a - b);
  expect(sorted[0]).toBeLessThan(300);
  expect(sorted[49]).toBeGreaterThan(700);
  expect((sorted[25] ?? 0) - (sorted[0] ?? 0)).toBeGreaterThan(200);
});

test("options with bad values are refused by name", () => {
  expect(() => createServer({ path: "ws" })).toThrow('path: expected a path such as /ws, got "ws"');
  expect(() => createServer({ origins: ["*"] })).toThrow("origins: expected exact origins");
  expect(() => createServer({ port: 1 } as object)).toThrow("port: unknown option");
  expect(() => createServer({ limits: { nonsense: 1 } as object })).toThrow("nonsense");
  expect(() => createServer({ backplane: "redis://localhost" } as object)).toThrow("redis(url) of @zuruf/redis");
});
