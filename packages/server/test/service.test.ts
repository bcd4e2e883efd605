import { once } from "node:events";
import { createServer as createTcpServer, connect, type AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { binaryCodec, type Packet } from "@zuruf/protocol";
import { WebSocket } from "ws";
import { freePort } from "../../../test/services/process.ts";
import { PacketClient, upgradeStatus } from "../../../test/service/packet-client.ts";
import { ServerError } from "../src/errors.ts";
import { startService, type Service, type ServiceConfig } from "../src/service.ts";

const services: Service[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});

async function start(config: ServiceConfig = {}): Promise<Service> {
  const service = await startService({ port: 0, logLevel: "silent", drainWindow: 100, ...config });
  services.push(service);
  return service;
}
const channels = { "chat:*": { history: { size: 100, ttl: "1h" }, publish: "anyone" } } as const;

describe("/ws", () => {
  test("clients of one instance reach each other, in order, with positions", async () => {
    const { url } = await start({ channels });
    const [ada, bob] = await Promise.all([PacketClient.open(url), PacketClient.open(url)]);
    const connected = await ada.answer(1);
    expect(connected[0]).toBe("connected");
    await bob.answer(1);
    const [word, , { position }] = (await bob.ask("subscribe", 2, "chat:lobby", {})) as [
      "subscribed",
      2,
      { position: [string, number] },
    ];
    expect(word).toBe("subscribed");
    expect(position[1]).toBe(0);
    for (let i = 1; i <= 3; i++)
      expect((await ada.ask("publish", 1 + i, "chat:lobby", {}, { n: i }))[0]).toBe("published");
    for (let i = 1; i <= 3; i++) {
      const message = await bob.next(([name]) => name === "msg");
      expect(message.slice(0, 3)).toEqual(["msg", "chat:lobby", i]);
      expect(message.at(-1)).toEqual({ n: i });
    }
    ada.close();
    bob.close();
  });

  test.each([[[]], [["zuruf.v9.json"]], [["chat", "zuruf.v0.json"]]])(
    "a client that offers %j is accepted and told 4003",
    async (protocols) => {
      const { url } = await start();
      const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, protocols);
      const [code, reason] = (await once(socket, "close")) as [number, Buffer];
      expect([code, reason.toString()]).toEqual([4003, "unsupported"]);
    },
  );

  test("the client's first choice among what the server speaks wins", async () => {
    const { url } = await start();
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, ["other", "zuruf.v1.json"]);
    await once(socket, "open");
    expect(socket.protocol).toBe("zuruf.v1.json");
    socket.terminate();
  });

  test("a client of the binary codec and one of JSON reach each other", async () => {
    const { url } = await start({ channels });
    const json = await PacketClient.open(url);
    await json.answer(1);
    await json.ask("subscribe", 2, "chat:lobby", {});
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, ["zuruf.v1.bin", "zuruf.v1.json"]);
    await once(socket, "open");
    expect(socket.protocol).toBe("zuruf.v1.bin");
    const ask = async (packet: Packet): Promise<Packet> => {
      socket.send(binaryCodec.encode(packet));
      const [answer, isBinary] = (await once(socket, "message")) as [Buffer, boolean];
      expect(isBinary).toBe(true);
      return binaryCodec.decode(answer);
    };
    expect(await ask({ type: "connect", id: 1 })).toMatchObject({ type: "connected", id: 1 });
    const payload = { format: "json", text: '{"n":1}' } as const;
    expect(await ask({ type: "publish", id: 2, channel: "chat:lobby", payload })).toMatchObject({ type: "published" });
    expect((await json.next(([word]) => word === "msg")).at(-1)).toEqual({ n: 1 });
    socket.terminate();
    json.close();
  });

  test("another path can be chosen, and then /ws is nobody's", async () => {
    const { url } = await start({ path: "/live" });
    expect(await upgradeStatus(url, { path: "/live" })).toBe(101);
    expect(await upgradeStatus(url, { path: "/ws" })).toBe(404);
  });

  test("onConnect sees the upgrade's headers and the client's address", async () => {
    const seen: unknown[] = [];
    const { url } = await start({
      trustedProxies: ["127.0.0.1"],
      app: (zuruf) => {
        zuruf.onConnect(({ token, headers, address }) => {
          seen.push(token, headers["user-agent"] ?? null, address);
          return { user: "ada" };
        });
      },
    });
    const client = await PacketClient.open(url, {
      token: "secret",
      headers: { "x-forwarded-for": "198.51.100.7", "user-agent": "test" },
    });
    const [, , session] = await client.answer(1);
    expect(session).toMatchObject({ user: "ada" });
    expect(seen).toEqual(["secret", "test", "198.51.100.7"]);
    client.close();
  });
});

describe("upgrades that are refused", () => {
  test("404 on a path that nobody serves, also /echo while it is off", async () => {
    const { url } = await start();
    expect(await upgradeStatus(url, { path: "/nowhere" })).toBe(404);
    expect(await upgradeStatus(url, { path: "/echo" })).toBe(404);
  });
  test("403 for a page of another origin, on every path", async () => {
    const { url, port } = await start({ echo: true });
    for (const path of ["/ws", "/echo"]) {
      expect(await upgradeStatus(url, { path, origin: url })).toBe(101);
      expect(await upgradeStatus(url, { path, origin: `http://127.0.0.1:${port + 1}` })).toBe(403);
      expect(await upgradeStatus(url, { path, origin: `http://localhost:${port}` })).toBe(403);
      expect(await upgradeStatus(url, { path, origin: "null" })).toBe(403);
      expect(await upgradeStatus(url, { path, origin: url, headers: { "x-forwarded-host": "evil.example" } })).toBe(
        101,
      );
    }
  });
  test("an allow-list is exact", async () => {
    const { url } = await start({ origins: ["https://app.example"] });
    expect(await upgradeStatus(url, { origin: "https://app.example" })).toBe(101);
    expect(await upgradeStatus(url, { origin: url })).toBe(403);
  });
  test("429 for an address that opens too many, on all paths together", async () => {
    const { url } = await start({ echo: true, connectionRate: 1, connectionBurst: 3 });
    const statuses = [];
    for (const path of ["/ws", "/echo", "/ws", "/echo"]) statuses.push(await upgradeStatus(url, { path }));
    expect(statuses).toEqual([101, 101, 101, 429]);
  });
  test("503 beyond maxConnections", async () => {
    const { url } = await start({ maxConnections: 1 });
    const client = await PacketClient.open(url);
    await client.answer(1);
    expect(await upgradeStatus(url)).toBe(503);
    client.close();
  });
});

test("/echo sends text as text and binary as binary", async () => {
  const { url } = await start({ echo: true });
  const socket = new WebSocket(`${url.replace("http", "ws")}/echo`);
  await once(socket, "open");
  for (const message of ["", "Grüß dich 👋", Buffer.from([0, 255, 1]), Buffer.alloc(70_000, 7), "x".repeat(70_000)]) {
    socket.send(message);
    const [data, isBinary] = (await once(socket, "message")) as [Buffer, boolean];
    expect(isBinary).toBe(typeof message !== "string");
    expect(data.equals(Buffer.from(message as string))).toBe(true);
  }
  socket.close();
});

test("compression is offered where it is asked for, and messages have a limit", async () => {
  const { url } = await start({ echo: true, compression: true, maxMessage: 1024 });
  const socket = new WebSocket(`${url.replace("http", "ws")}/echo`);
  await once(socket, "open");
  expect(socket.extensions).toContain("permessage-deflate");
  socket.send("z".repeat(1024));
  const [data] = (await once(socket, "message")) as [Buffer];
  expect(data.toString()).toBe("z".repeat(1024));
  socket.send("z".repeat(1025));
  expect((await once(socket, "close"))[0]).toBe(1009);

  const plain = await start({ echo: true });
  const other = new WebSocket(`${plain.url.replace("http", "ws")}/echo`);
  await once(other, "open");
  expect(other.extensions).toBe("");
  other.terminate();
});

describe("health", () => {
  const ask = async (url: string, path: string): Promise<[number, Record<string, unknown>]> => {
    const response = await fetch(url + path);
    return [response.status, (await response.json()) as Record<string, unknown>];
  };

  test("says ready, and who answers", async () => {
    const { url } = await start({ instance: "web-1" });
    for (const path of ["/healthz", "/readyz", "/readyz?verbose"]) {
      expect(await ask(url, path)).toEqual([
        200,
        {
          status: "ready",
          instance: "web-1",
          instances: [expect.objectContaining({ name: "web-1", state: "ready", backplane: "up" })],
        },
      ]);
    }
    expect((await fetch(`${url}/healthz`, { method: "POST" })).status).toBe(405);
  });

  test("while it starts the port is bound, alive and not ready, and everything else waits", async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    let finish!: () => void;
    const reached = new Promise<void>((resolve) => {
      void start({ port, app: () => new Promise<void>((done) => ((finish = done), resolve())) });
    });
    await reached;
    expect(await ask(url, "/healthz")).toMatchObject([200, { status: "starting" }]);
    expect(await ask(url, "/readyz")).toMatchObject([503, { status: "starting" }]);
    const early = await fetch(url);
    expect([early.status, early.headers.get("retry-after"), await early.text()]).toEqual([503, "1", "starting\n"]);
    expect(await upgradeStatus(url)).toBe(503);
    finish();
    await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(200);
    expect((await fetch(url)).status).toBe(404);
  });

  test("while it drains it is alive and not ready, and new clients still get in until the port closes", async () => {
    const service = await start({ drainDelay: 300 });
    const { url } = service;
    const client = await PacketClient.open(url);
    await client.answer(1);
    const closed = service.close();
    expect(await ask(url, "/readyz")).toMatchObject([503, { status: "draining" }]);
    expect(await ask(url, "/healthz")).toMatchObject([200, { status: "draining" }]);
    const late = await PacketClient.open(url);
    expect((await late.answer(1))[0]).toBe("connected");
    expect(await client.closed).toMatchObject({
      code: 4400,
      reason: expect.stringMatching(/^draining retryAfter=\d+$/),
    });
    expect((await late.closed).code).toBe(4400);
    await closed;
    await expect(fetch(url)).rejects.toThrow("fetch failed");
  });
});

test("a client that never answers does not hold up the stop", async () => {
  const service = await start({ echo: true });
  for (const path of ["/ws", "/echo"]) {
    const socket = connect(service.port, "127.0.0.1");
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: zuruf.v1.json\r\n\r\n",
    );
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 101 /);
    socket.pause();
    socket.on("error", () => undefined);
  }
  const half = connect(service.port, "127.0.0.1"); // and one that never finishes its request
  half.on("error", () => undefined);
  half.write("GET / HTTP/1.1\r\n");
  await once(half, "connect");
  const began = performance.now();
  await service.close();
  expect(performance.now() - began).toBeLessThan(8000);
});

describe("applications", () => {
  test("get the server and fastify, and close after the connections are gone", async () => {
    const order: string[] = [];
    const service = await start({
      channels,
      app: (zuruf, http) => {
        zuruf.onDisconnect(() => void order.push("disconnected"));
        zuruf.onClose(() => void order.push("first added"));
        zuruf.onClose(async () => {
          await Promise.resolve();
          order.push("last added");
        });
        http.get("/hello", () => ({ instance: zuruf.instance }));
        http.post("/say", async () => zuruf.publish("chat:lobby", "hi"));
      },
    });
    const { url, zuruf } = service;
    expect(await (await fetch(`${url}/hello`)).json()).toEqual({ instance: zuruf.instance });
    const client = await PacketClient.open(url);
    await client.answer(1);
    await client.ask("subscribe", 2, "chat:lobby", {});
    expect(await (await fetch(`${url}/say`, { method: "POST" })).json()).toMatchObject({ offset: 1 });
    expect((await client.next(([word]) => word === "msg")).at(-1)).toBe("hi");
    await service.close();
    expect(order).toEqual(["disconnected", "last added", "first added"]);
  });

  test("a request in progress is finished before the application closes", async () => {
    let release!: () => void;
    let closedAt: "before" | "after" | undefined;
    let answered = false;
    const entered = new Promise<void>((resolve) => {
      void start({
        app: (zuruf, http) => {
          zuruf.onClose(() => void (closedAt = answered ? "after" : "before"));
          http.get("/slow", async () => {
            resolve();
            await new Promise<void>((go) => (release = go));
            answered = true;
            return "done";
          });
        },
      }).then(({ url }) => fetch(`${url}/slow`).then(async (response) => expect(await response.text()).toBe("done")));
    });
    await entered;
    const closed = services[0]?.close();
    setTimeout(release, 50);
    await closed;
    expect(closedAt).toBe("after");
  });

  test("that throw stop the start, and leave nothing behind", async () => {
    const port = await freePort();
    const app = (): void => {
      throw new Error("no database\n  at somewhere");
    };
    await expect(startService({ port, logLevel: "silent", app })).rejects.toMatchObject({
      code: "applicationFailed",
      message: "no database",
    });
    await start({ port });
  });
});

describe("files", () => {
  test("of a folder are served at /", async () => {
    const folder = mkdtempSync(join(tmpdir(), "zuruf-static-"));
    writeFileSync(join(folder, "index.html"), "<p>hello</p>");
    const { url } = await start({ static: folder });
    expect(await (await fetch(`${url}/`)).text()).toBe("<p>hello</p>");
    expect((await fetch(`${url}/../package.json`)).status).toBe(404);
    rmSync(folder, { recursive: true });
  });
  test("of no folder are refused", async () => {
    await expect(startService({ port: 0, logLevel: "silent", static: "no-such" })).rejects.toMatchObject({
      message: "--static no-such: no such folder",
    });
  });
});

describe("a start that fails", () => {
  test("a port in use is one line", async () => {
    const other = createTcpServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    await expect(startService({ port, logLevel: "silent" })).rejects.toThrow(
      new ServerError(
        "cannotListen",
        `127.0.0.1:${port} is in use; stop what listens there, or choose another with --port`,
      ),
    );
    other.close();
  });
  test("a bad setting is named", async () => {
    await expect(startService({ port: -1 })).rejects.toThrow("port: expected an integer from 0 to 65535, got -1");
    await expect(startService({ prot: 1 } as ServiceConfig)).rejects.toThrow(
      "prot: unknown option; did you mean port?",
    );
  });
});

test("a client that resets its half-open upgrade harms nobody", async () => {
  const { url, port } = await start();
  for (let i = 0; i < 20; i++) {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    if (i % 2) socket.write("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    socket.resetAndDestroy();
  }
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});
