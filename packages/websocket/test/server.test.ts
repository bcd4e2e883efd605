import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket as NetSocket } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket as Client, WebSocketServer as OtherServer } from "ws";
import { createWebSocketServer, WebSocketError } from "../src/index.ts";
import type {
  Accept,
  Handlers,
  Message,
  Refuse,
  ServerOptions,
  Socket,
  UpgradeRequest,
  WebSocketServer,
} from "../src/index.ts";
import { encodeFrame } from "../src/core/frame.ts";
import { Opcode } from "../src/core/opcode.ts";
import { integerOptions } from "../src/node/options.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

let internals = true;
afterEach(() => {
  internals = true;
});

function engine<Data = undefined>(handlers: Handlers<Data>, options: ServerOptions = {}): WebSocketServer<Data> {
  const server = createWebSocketServer(handlers, { internals, ...options });
  cleanups.push(() => server.close({ within: 0 }));
  return server;
}

async function http(): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => void response.end("plain"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

async function open(port: number, path = "/", protocols: string[] = []): Promise<Client> {
  const client = new Client(`ws://127.0.0.1:${port}${path}`, protocols, { perMessageDeflate: false });
  cleanups.push(() => client.terminate());
  await once(client, "open");
  return client;
}

/** The status that an upgrade is refused with. */
async function refusal(port: number, path = "/", headers: Record<string, string> = {}): Promise<number> {
  const client = new Client(`ws://127.0.0.1:${port}${path}`, { headers });
  client.on("error", () => client.terminate());
  const [, response] = (await once(client, "unexpected-response")) as [unknown, { statusCode: number; resume(): void }];
  response.resume();
  return response.statusCode;
}

const upgradeText =
  "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** A peer that speaks bytes. `trailing` is sent in the same segment as the handshake. */
async function raw(port: number, trailing: Uint8Array = new Uint8Array(0)): Promise<NetSocket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => socket.destroy());
  cleanups.push(() => socket.destroy());
  await once(socket, "connect");
  socket.write(Buffer.concat([Buffer.from(upgradeText), trailing]));
  return socket;
}

const text = (content: string): Uint8Array =>
  encodeFrame(Opcode.text, new Uint8Array(Buffer.from(content)), { key: 1 });

describe("attach", () => {
  test("several engines serve several paths of one server, and a path that nobody serves gets 404", async () => {
    const { server, port } = await http();
    const echo = (name: string): Handlers => ({
      message: (socket, message) => void socket.send(`${name} ${String(message)}`),
    });
    engine(echo("one")).attach(server, { path: "/one" });
    engine(echo("two")).attach(server, { path: ["/two", "/zwei"] });
    for (const [path, name] of [
      ["/one", "one"],
      ["/two?x=/one", "two"],
      ["/zwei", "two"],
    ] as const) {
      const client = await open(port, path);
      client.send("hi");
      expect(String((await once(client, "message"))[0])).toBe(`${name} hi`);
    }
    expect(await refusal(port, "/three")).toBe(404);
    expect(await refusal(port, "/one/more")).toBe(404);
  });

  test("plain requests and other users of the upgrade event are left alone", async () => {
    const { server, port } = await http();
    const other = new OtherServer({ noServer: true });
    server.on("upgrade", (request, stream, head) => {
      if (request.url === "/other") other.handleUpgrade(request, stream, head, (socket) => socket.send("other"));
    });
    engine({ open: (socket) => void socket.send("ours") }, { handshakeTimeout: 200 }).attach(server, { path: "/ours" });
    const first = async (path: string): Promise<string> => {
      const client = new Client(`ws://127.0.0.1:${port}${path}`);
      cleanups.push(() => client.terminate());
      return String((await once(client, "message"))[0]);
    };
    expect(await first("/ours")).toBe("ours");
    expect(await first("/other")).toBe("other");
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("plain");
    expect(await refusal(port, "/nobody")).toBe(404); // only once the others had their time
  });

  test("a request for another upgrade is a plain request, RFC 9110 §7.8", async () => {
    const { server, port } = await http();
    engine({}).attach(server, { path: "/ws" });
    const answer = async (method: string, body: string): Promise<string> => {
      const peer = connect(port, "127.0.0.1");
      cleanups.push(() => peer.destroy());
      peer.write(
        `${method} / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
          `HTTP2-Settings: AAEAAEAAAAIAAAAA\r\n${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`,
      );
      const chunks: Buffer[] = [];
      peer.on("data", (chunk: Buffer) => void chunks.push(chunk));
      await once(peer, "end");
      return Buffer.concat(chunks).toString();
    };
    expect(await answer("GET", "")).toMatch(/^HTTP\/1.1 200 OK[^]*Connection: close[^]*plain/);
    expect(await answer("POST", "body")).toMatch(/^HTTP\/1.1 501 /);
  });

  test("a path can be taken once, until its engine closes", async () => {
    const { server, port } = await http();
    const one = engine({});
    one.attach(server, { path: "/a" });
    const two = engine({});
    expect(() => two.attach(server, { path: ["/b", "/a"] })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
    expect(() => two.attach(server, { path: "a" })).toThrow(WebSocketError);
    await one.close();
    two.attach(server, { path: "/a" });
    await open(port, "/a");
  });
});

describe("upgrade", () => {
  test("sees the request and gives data, subprotocol and headers", async () => {
    const { server, port } = await http();
    const opened: Socket<{ user: string }>[] = [];
    engine<{ user: string }>({
      upgrade: ({ path, query, origin, protocols, remoteAddress, secure, headers }) => {
        expect({ path, query, origin, protocols, remoteAddress, secure }).toEqual({
          path: "/p",
          query: "q=1",
          origin: undefined,
          protocols: ["a", "b"],
          remoteAddress: "127.0.0.1",
          secure: false,
        });
        return { data: { user: headers.host ?? "" }, protocol: "b", headers: { "Set-Cookie": "c=d" } };
      },
      open: (socket) => void opened.push(socket),
    }).attach(server);
    const client = new Client(`ws://127.0.0.1:${port}/p?q=1`, ["a", "b"]);
    cleanups.push(() => client.terminate());
    const [[response]] = (await Promise.all([once(client, "upgrade"), once(client, "open")])) as [
      [{ headers: Record<string, unknown> }],
      unknown,
    ];
    expect(response.headers["set-cookie"]).toEqual(["c=d"]);
    expect(client.protocol).toBe("b");
    expect(opened[0]).toMatchObject({
      data: { user: `127.0.0.1:${port}` },
      protocol: "b",
      state: "open",
      remoteAddress: "127.0.0.1",
    });
  });

  test("may refuse, at once or later", async () => {
    const { server, port } = await http();
    engine({ upgrade: () => ({ status: 401 }) }).attach(server, { path: "/now" });
    engine({ upgrade: () => Promise.resolve({ status: 403, body: "no" }) }).attach(server, { path: "/later" });
    expect(await refusal(port, "/now")).toBe(401);
    expect(await refusal(port, "/later")).toBe(403);
  });

  test("may break the connection itself, at once or later", async () => {
    let refuses = false;
    const breakOff = ({ raw: { socket } }: UpgradeRequest): Accept<undefined> | Refuse => {
      socket.destroy(new Error("an error that nobody else listens to"));
      return refuses ? { status: 403 } : { data: undefined };
    };
    const { server, port } = await http();
    engine({ upgrade: breakOff }).attach(server, { path: "/at-once" });
    engine({ upgrade: async (request) => breakOff(request) }).attach(server, { path: "/later" });
    for (const path of ["/at-once", "/later", "/at-once", "/later"]) {
      await expect(open(port, path)).rejects.toThrow("socket hang up");
      refuses = path === "/later";
    }
  });

  test("the answer leaves with what the open handler sends", async () => {
    const { port } = await engine({ open: (socket) => void socket.send("welcome") }).listen(0);
    const [first] = (await once(await raw(port), "data")) as [Buffer];
    const frame = Buffer.from(encodeFrame(Opcode.text, Buffer.from("welcome"))).toString("latin1");
    expect(first.toString("latin1").split("\r\n\r\n")).toEqual([expect.stringMatching(/^HTTP\/1.1 101 /), frame]);
  });

  test("that throws, rejects, or gives what cannot be sent, answers 500 and warns", async () => {
    const warnings = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    cleanups.push(() => warnings.mockRestore());
    const { server, port } = await http();
    const fail = (): never => {
      throw new Error("on purpose");
    };
    engine({ upgrade: fail }).attach(server, { path: "/throws" });
    engine({ upgrade: () => Promise.reject(new Error("on purpose")) }).attach(server, { path: "/rejects" });
    engine({ upgrade: () => ({ data: undefined, protocol: "unasked" }) }).attach(server, { path: "/protocol" });
    engine({ upgrade: () => ({ data: undefined, headers: { "x-a": "b\r\nc: d" } }) }).attach(server, {
      path: "/header",
    });
    for (const path of ["/throws", "/rejects", "/protocol", "/header"]) expect(await refusal(port, path)).toBe(500);
    expect(warnings).toHaveBeenCalledTimes(4);
  });

  test("that does not answer is cut short by handshakeTimeout, and headers beyond maxHeader get 431", async () => {
    const { server, port } = await http();
    engine({ upgrade: () => new Promise<never>(() => undefined) }, { handshakeTimeout: 50 }).attach(server, {
      path: "/never",
    });
    engine({}, { maxHeader: 1000 }).attach(server, { path: "/small" });
    expect(await refusal(port, "/never")).toBe(503);
    expect(await refusal(port, "/small", { "x-large": "x".repeat(1000) })).toBe(431);
  });

  test("a peer that leaves while `upgrade` decides opens nothing", async () => {
    const { server, port } = await http();
    const opened = vi.fn<() => void>();
    let decide = (): void => undefined;
    const asked = new Promise<void>((resolve) => {
      engine({
        upgrade: () => {
          resolve();
          return new Promise<Accept<undefined>>((answer) => {
            decide = () => answer({ data: undefined });
          });
        },
        open: opened,
      }).attach(server);
    });
    const peer = await raw(port);
    await asked;
    const gone = new Promise((resolve) => void server.once("connection", resolve));
    peer.resetAndDestroy();
    connect(port, "127.0.0.1").end();
    await gone; // by then the reset has arrived too
    decide();
    await (await fetch(`http://127.0.0.1:${port}/`)).text();
    expect(opened).not.toHaveBeenCalled();
  });
});

describe.each([true, false])("messages, with internals: %s", (allowed) => {
  beforeEach(() => {
    internals = allowed;
  });

  test("frames in the handshake's own segment are read", async () => {
    const received: Message[] = [];
    const { port } = await engine({ message: (_socket, message) => void received.push(message) }).listen(0);
    await raw(port, Buffer.concat([text("one"), text("two")]));
    await expect.poll(() => received).toEqual(["one", "two"]);
  });

  test("bytes stay valid after the handler, whatever arrives next", async () => {
    const kept: Uint8Array[] = [];
    const server = engine({ message: (_socket, message) => void kept.push(message as Uint8Array) });
    const { port } = await server.listen(0);
    const client = await open(port);
    const sizes = [0, 1, 40, 100, 5000, 70_000];
    for (let round = 0; round < 20; round++)
      for (const [i, size] of sizes.entries()) client.send(Buffer.alloc(size, i + round));
    await expect.poll(() => kept.length).toBe(120);
    for (const [n, bytes] of kept.entries()) {
      const i = n % 6;
      expect(Buffer.from(bytes).equals(Buffer.alloc(sizes[i]!, i + Math.floor(n / 6)))).toBe(true);
    }
  });

  test("bytes are taken when they are sent: the caller may reuse them", async () => {
    const bytes = Buffer.alloc(100_000, 1);
    const { port } = await engine({
      open(socket) {
        socket.send(bytes.subarray(0, 10));
        socket.send(bytes);
        bytes.fill(2);
      },
    }).listen(0);
    const client = new Client(`ws://127.0.0.1:${port}`);
    cleanups.push(() => client.terminate());
    expect((await once(client, "message"))[0]).toEqual(Buffer.alloc(10, 1));
    expect((await once(client, "message"))[0]).toEqual(Buffer.alloc(100_000, 1));
  });

  test("what is sent in one tick arrives in the order of the calls, however it is mixed", async () => {
    const sockets: Socket[] = [];
    const server = engine({ open: (socket) => void sockets.push(socket) });
    const { port } = await server.listen(0);
    const clients = [await open(port), await open(port), await open(port)];
    const received = clients.map((client) => {
      const messages: string[] = [];
      client.on("message", (message: Buffer) => void messages.push(message.toString().slice(0, 20)));
      return messages;
    });
    const wanted: string[][] = [[], [], []];
    const large = "large".repeat(30_000);
    for (let n = 0; n < 300; n++) {
      const texts = n % 4 === 0 ? [`all ${n}`] : [`all ${n}`, `grüße an alle ${n}`, "large".repeat(n)];
      const all = server.prepare(...texts);
      expect(all.messages).toEqual(texts);
      for (const [i, socket] of sockets.entries()) {
        socket.send(all);
        wanted[i]!.push(...texts.map((text) => text.slice(0, 20)));
        if (n % (i + 2) !== 0) continue;
        const own = n % 60 === 0 ? large : n % 3 === 0 ? `grüße ${n}` : `own ${n}`;
        socket.send(n % 2 === 0 ? own : Buffer.from(own));
        wanted[i]!.push(own.slice(0, 20));
      }
    }
    await expect.poll(() => received).toEqual(wanted);
  });

  test("what one socket sends never reaches another, in whatever order several send within one tick", async () => {
    const sockets: Socket[] = [];
    const { port } = await engine({ open: (socket) => void sockets.push(socket) }).listen(0);
    const clients = [await open(port), await open(port), await open(port)];
    const received = clients.map((client) => {
      const messages: string[] = [];
      client.on("message", (message: Buffer) => void messages.push(message.toString()));
      return messages;
    });
    const wanted: string[][] = [[], [], []];
    // Every order in which three sockets can send up to five times: each in a tick of its own.
    for (let order = 3; order < 3 ** 6; order++) {
      for (const digit of order.toString(3).slice(1)) {
        const i = Number(digit);
        const message = `${order} to ${i}, ${wanted[i]!.length}`;
        sockets[i]!.send(message);
        wanted[i]!.push(message);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(() => received.map(({ length }) => length)).toEqual(wanted.map(({ length }) => length));
    expect(received).toEqual(wanted);
  });

  test("what sockets send of their own and what they share arrive in the order of the calls, whatever that is", async () => {
    const sockets: Socket[] = [];
    const server = engine({ open: (socket) => void sockets.push(socket) });
    const { port } = await server.listen(0);
    const clients = [await open(port), await open(port)];
    const received = clients.map((client) => {
      const messages: string[] = [];
      client.on("message", (message: Buffer) => void messages.push(message.toString()));
      return messages;
    });
    const wanted: string[][] = [[], []];
    const texts = ["one for all", "another"];
    const shared = texts.map((text) => server.prepare(text));
    // Two sockets, each with two shared messages and one of its own: every order of up to four, each in a tick of its own.
    for (let order = 6; order < 2 * 6 ** 4; order++) {
      for (const digit of order.toString(6).slice(1)) {
        const i = Number(digit) & 1;
        const which = Number(digit) >> 1;
        const own = `${order} to ${i}, ${wanted[i]!.length}`;
        sockets[i]!.send(shared[which] ?? own);
        wanted[i]!.push(texts[which] ?? own);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(() => received.map(({ length }) => length)).toEqual(wanted.map(({ length }) => length));
    expect(received).toEqual(wanted);
  });

  test("text of every length around the header sizes arrives as it was", async () => {
    const { port } = await engine({ message: (socket, message) => void socket.send(message) }).listen(0);
    const client = await open(port);
    for (const unit of ["a", "é", "€", "😀", "\ud800"]) {
      for (const count of [
        0, 1, 31, 32, 41, 42, 43, 62, 63, 124, 125, 126, 127, 8191, 8193, 21_845, 21_846, 65_535, 65_536,
      ]) {
        const content = unit.repeat(count);
        client.send(Buffer.from(content), { binary: false });
        const [message] = (await once(client, "message")) as [Buffer];
        expect(message.equals(Buffer.from(content))).toBe(true);
      }
    }
  });

  test.each([1, 0.5, null, {}, [1, 2], undefined])("%o is no message", async (wrong) => {
    const errors: Error[] = [];
    const { port } = await engine({
      open: (socket) => void socket.send(wrong as string),
      error: (_socket, error) => void errors.push(error),
    }).listen(0);
    const client = new Client(`ws://127.0.0.1:${port}`);
    expect((await once(client, "close"))[0]).toBe(1011);
    expect(errors[0]).toMatchObject({ code: "HANDLER_FAILED", cause: { code: "INVALID_ARGUMENT" } });
  });
});

describe("the end", () => {
  interface Life {
    readonly port: number;
    readonly server: WebSocketServer;
    readonly log: unknown[];
    readonly sockets: Socket[];
  }

  async function life(options: ServerOptions = {}, handlers: Handlers = {}): Promise<Life> {
    const log: unknown[] = [];
    const sockets: Socket[] = [];
    const server = engine(
      {
        open: (socket) => void sockets.push(socket),
        close: (socket, code, reason) => void log.push([code, reason, socket.state, socket.remoteAddress]),
        error: (_socket, error) => void log.push((error as WebSocketError).code),
        ...handlers,
      },
      options,
    );
    const { port } = await server.listen(0);
    return { port, server, log, sockets };
  }

  test("a peer's close is answered and reported", async () => {
    const { port, log, server } = await life();
    const client = await open(port);
    client.close(3001, "bye");
    expect((await once(client, "close"))[0]).toBe(3001);
    await expect.poll(() => log).toEqual([[3001, "bye", "closed", "127.0.0.1"]]);
    expect(server.sockets.size).toBe(0);
  });

  test("our close is sent once, and nothing after it", async () => {
    const { port, log, sockets } = await life();
    const client = await open(port);
    sockets[0]!.send("last");
    sockets[0]!.close(4001, "enough");
    expect(sockets[0]!.state).toBe("closing");
    expect(sockets[0]!.send("too late")).toBe(false);
    sockets[0]!.close(4002);
    const messages: string[] = [];
    client.on("message", (message: Buffer) => void messages.push(message.toString()));
    const [code, reason] = (await once(client, "close")) as [number, Buffer];
    expect([code, String(reason), messages]).toEqual([4001, "enough", ["last"]]);
    await expect.poll(() => log).toEqual([[4001, "enough", "closed", "127.0.0.1"]]);
  });

  test("a peer that vanishes in the middle of a message is 1006", async () => {
    const { port, log } = await life();
    const peer = await raw(port, text("half a message").subarray(0, 8));
    await once(peer, "data");
    peer.end();
    await expect.poll(() => log).toEqual([[1006, "", "closed", "127.0.0.1"]]);
  });

  test("a reset is reported, with its cause", async () => {
    const { port, log } = await life();
    const peer = await raw(port);
    await once(peer, "data");
    peer.resetAndDestroy();
    await expect.poll(() => log).toEqual(["RESET", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("a peer that does not answer our close is cut off after closeTimeout", async () => {
    const { port, log, sockets } = await life({ closeTimeout: 50 });
    const peer = await raw(port);
    await once(peer, "data");
    sockets[0]!.close();
    await expect.poll(() => log).toEqual(["CLOSE_TIMEOUT", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("a peer that closed but does not end its stream is cut off too", async () => {
    const { port, server } = await life({ closeTimeout: 50 });
    const peer = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    cleanups.push(() => peer.destroy());
    peer.on("error", () => peer.destroy());
    peer.write(Buffer.concat([Buffer.from(upgradeText), encodeFrame(Opcode.close, Uint8Array.of(3, 232), { key: 5 })]));
    await once(peer, "data");
    await expect.poll(() => server.sockets.size).toBe(0);
  });

  test("a violation is told, and reported as 1006 with its error", async () => {
    const { port, log } = await life();
    const peer = await raw(port, encodeFrame(Opcode.text, Uint8Array.of(65)));
    const bytes: Buffer[] = [];
    peer.on("data", (chunk: Buffer) => void bytes.push(chunk));
    await once(peer, "end");
    expect(Buffer.concat(bytes).subarray(-4).toString("hex")).toBe("880203ea");
    await expect.poll(() => log).toEqual(["NOT_MASKED", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("a handler that throws closes its socket with 1011, and no other", async () => {
    const { port, log } = await life(
      {},
      {
        message: () => {
          throw new Error("on purpose");
        },
      },
    );
    const [one, other] = [await open(port), await open(port)];
    one.send("x");
    expect((await once(one, "close"))[0]).toBe(1011);
    expect(other.readyState).toBe(Client.OPEN);
    await expect.poll(() => log).toEqual(["HANDLER_FAILED", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("so does one that rejects", async () => {
    const { port, log } = await life(
      {},
      { message: () => Promise.reject(new Error("on purpose")) as unknown as undefined },
    );
    const client = await open(port);
    client.send("x");
    expect((await once(client, "close"))[0]).toBe(1011);
    await expect.poll(() => log).toEqual(["HANDLER_FAILED", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("terminate cuts at once", async () => {
    const { port, log, sockets } = await life();
    const client = await open(port);
    client.on("error", () => undefined);
    sockets[0]!.terminate();
    expect((await once(client, "close"))[0]).toBe(1006);
    await expect.poll(() => log).toEqual([[1006, "", "closed", "127.0.0.1"]]);
  });

  test("a silent peer is pinged, and cut off when it does not answer", async () => {
    const { port, log } = await life({ pingInterval: 100, pingTimeout: 100 });
    const answering = await open(port);
    let pings = 0;
    answering.on("ping", () => pings++);
    const silent = await raw(port); // never answers
    await expect.poll(() => log, { timeout: 5000 }).toEqual(["PEER_SILENT", [1006, "", "closed", "127.0.0.1"]]);
    await expect.poll(() => pings).toBeGreaterThan(3);
    expect(answering.readyState).toBe(Client.OPEN);
    expect(silent.destroyed || silent.readableEnded || silent.readable).toBe(true);
  });

  test("the server's close says goodbye to all, and ends when all have left", async () => {
    const { port, server } = await life();
    const clients = [await open(port), await open(port)];
    const closed = Promise.all(clients.map(async (client) => (await once(client, "close"))[0] as number));
    await server.close({ code: 1012, reason: "restart" });
    expect(await closed).toEqual([1012, 1012]);
    await expect(open(port)).rejects.toThrow("ECONNREFUSED");
  });

  test("the server's close cuts off who does not leave within its time", async () => {
    const { port, server } = await life();
    const peer = await raw(port);
    await once(peer, "data");
    const started = performance.now();
    await server.close({ within: 100 });
    expect(performance.now() - started).toBeLessThan(2000);
    expect(server.sockets.size).toBe(0);
  });
});

describe.each([true, false])("a slow reader, with internals: %s", (allowed) => {
  beforeEach(() => {
    internals = allowed;
  });

  test("is told by send and drain, and loses nothing", async () => {
    let drains = 0;
    const sockets: Socket[] = [];
    const server = engine(
      { open: (socket) => void sockets.push(socket), drain: () => drains++ },
      { maxBuffered: 2 ** 30 },
    );
    const { port } = await server.listen(0);
    const client = await open(port);
    client.pause();
    let count = 0;
    const message = "x".repeat(10_000);
    while (sockets[0]!.send(message)) {
      count++;
      if (count % 100 === 0) await new Promise((resolve) => void setImmediate(resolve));
    }
    expect(sockets[0]!.bufferedBytes).toBeGreaterThan(64 * 1024);
    expect(drains).toBe(0);
    let received = 0;
    client.on("message", () => received++);
    client.resume();
    await expect.poll(() => received).toBe(count + 1);
    await expect.poll(() => drains).toBe(1);
    expect(sockets[0]!.bufferedBytes).toBe(0);
  });

  test("that has drained within the tick is told too", async () => {
    let drains = 0;
    const sent: boolean[] = [];
    const { port } = await engine(
      { open: (socket) => void sent.push(socket.send("x".repeat(2000))), drain: () => drains++ },
      { highWaterMark: 1000 },
    ).listen(0);
    await open(port);
    expect(sent).toEqual([false]);
    await expect.poll(() => drains).toBe(1);
  });

  test.each(["close", "drop"] as const)("holds no more than maxBuffered, policy %s", async (overflow) => {
    const errors: unknown[] = [];
    const sockets: Socket[] = [];
    const server = engine(
      {
        open: (socket) => void sockets.push(socket),
        error: (_socket, error) => void errors.push((error as WebSocketError).code),
      },
      { maxBuffered: 100_000, overflow },
    );
    const { port } = await server.listen(0);
    const client = await open(port);
    client.pause();
    const message = "x".repeat(10_000);
    for (let i = 0; i < 3000 && sockets[0]!.state === "open"; i++) {
      sockets[0]!.send(message);
      if (i % 50 === 0) await new Promise((resolve) => void setImmediate(resolve));
      expect(sockets[0]!.bufferedBytes).toBeLessThan(120_000);
    }
    expect(errors).toEqual(overflow === "close" ? ["SLOW_CONSUMER"] : []);
    expect(sockets[0]!.state).toBe(overflow === "close" ? "closing" : "open");
  });
});

describe("options", () => {
  test.each(Object.entries(integerOptions))("%s has a range", (name, { least, most }) => {
    for (const value of [least, most]) expect(() => createWebSocketServer({}, { [name]: value })).not.toThrow();
    for (const value of [least - 1, most + 1, 1.5, Number.NaN, Infinity, "1", null]) {
      expect(() => createWebSocketServer({}, { [name]: value })).toThrow(
        expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) as string }),
      );
    }
  });

  test.each([
    { maxMesage: 1 },
    { overflow: "wait" },
    { internals: 1 },
    { compression: 1 },
    { compression: { level: 0 } },
    { compression: { windows: 9 } },
    { compression: { contextTakeover: "yes" } },
    { constructor: 1 },
  ] as unknown as ServerOptions[])("%o is refused by name", (options) => {
    expect(() => createWebSocketServer({}, options)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});
