import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fastify } from "fastify";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { BackplaneError, memoryBackplane } from "@zuruf/hub";
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

/** What Express is to `http`: a function that is a request listener, with `listen`. */
function expressLike(): { (request: IncomingMessage, response: ServerResponse): void; listen(port: number): Server } {
  const app = (_request: IncomingMessage, response: ServerResponse): void => void response.end("mine\n");
  return Object.assign(app, { listen: (port: number) => createHttpServer(app).listen(port, "127.0.0.1") });
}

/** The example of the guide, as printed. */
function example(httpServer: Server): Zuruf {
  const verify = async (token: string | undefined): Promise<string> => Promise.resolve(`user of ${token}`);
  const chatMessage = z.object({ text: z.string().trim().max(100) });

  const zuruf = createServer({
    backplane: memoryBackplane(),
    channels: { "chat:*": { history: { size: 1000, ttl: "1h" }, presence: true } },
  });
  zuruf.onConnect(async ({ token }) => ({ user: await verify(token) }));
  zuruf.onPublish(({ data }) => chatMessage.parse(data));
  zuruf.attach(httpServer);
  ends.push(() => zuruf.close({ within: 0 }));
  return zuruf;
}

describe("the example works on", () => {
  const works = async (httpServer: Server, url: string): Promise<unknown[]> => {
    const zuruf = example(httpServer);
    const client = await PacketClient.open(url, { token: "t" });
    const [, , { user }] = (await client.answer(1)) as ["connected", 1, { user: string }];
    await client.ask("subscribe", 2, "chat:lobby", {});
    await zuruf.publish("chat:lobby", { text: "the server says hi" });
    const [, , offset, , fromServer] = await client.next(([word]) => word === "msg");
    const published = await client.ask("publish", 3, "chat:lobby", {}, { text: "  hi  ", more: 1 });
    const fromClient = (await client.next(([word]) => word === "msg")).at(-1);
    const refused = await client.ask("publish", 4, "chat:lobby", {}, { text: 5 });
    return [user, offset, fromServer, published[0], fromClient, refused[0], await (await fetch(url)).text()];
  };
  const result = ["user of t", 1, { text: "the server says hi" }, "published", { text: "hi" }, "error", "mine\n"];

  test("node:http", async () => {
    const server = createHttpServer((_request, response) => response.end("mine\n"));
    expect(await works(server, await listen(server))).toEqual(result);
  });
  test("what Express's listen returns", async () => {
    const server = expressLike().listen(0);
    await once(server, "listening");
    expect(await works(server, await listen(server))).toEqual(result);
  });
  test("Fastify's server", async () => {
    const app = fastify();
    app.get("/", () => "mine\n");
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    ends.push(() => app.close());
    expect(await works(app.server, url)).toEqual(result);
  });
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
  const zuruf = createServer();
  zuruf.onClose(() => void order.push(1));
  zuruf.onClose(() => {
    throw new Error("two is stuck");
  });
  zuruf.onClose(() => void order.push(3));
  await zuruf.start();
  await expect(zuruf.close()).rejects.toThrow("two is stuck");
  expect(order).toEqual([3, 1]);
  await expect(zuruf.start()).resolves.toBeUndefined();
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
});
