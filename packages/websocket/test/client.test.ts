/* oxlint-disable unicorn/prefer-add-event-listener -- event handler attributes are part of what is tested */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocketServer as WsServer } from "ws";
import type { Message, Socket, WebSocketOptions } from "../src/index.ts";
import { CloseEvent, createWebSocketServer, ErrorEvent, MessageEvent, WebSocket } from "../src/index.ts";
import { frame, rawServer, switching } from "./raw-peer.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A server of ours that echoes, and closes as the path says: `/close/4000/reason`. */
async function echoServer(): Promise<{ url: string; closes: [number, string][]; sockets: ReadonlySet<Socket> }> {
  const closes: [number, string][] = [];
  const server = createWebSocketServer({
    upgrade: ({ path, protocols }) => ({
      data: path,
      ...(protocols[0] !== undefined && { protocol: protocols[0] }),
    }),
    open: (socket) => {
      const [, verb, code, reason] = socket.data.split("/");
      if (verb === "close") socket.close(Number(code), reason);
    },
    message: (socket, message) => void socket.send(message),
    close: (_socket, code, reason) => void closes.push([code, reason]),
  });
  const { port } = await server.listen(0);
  cleanups.push(() => server.close({ within: 0 }));
  return { url: `ws://127.0.0.1:${port}`, closes, sockets: server.sockets };
}

function event<T extends Event = Event>(target: EventTarget, type: string): Promise<T> {
  return new Promise((resolve) => {
    target.addEventListener(type, (event) => resolve(event as T), { once: true });
  });
}

async function opened(url: string, protocols?: string | string[], options?: WebSocketOptions): Promise<WebSocket> {
  const socket = new WebSocket(url, protocols, options);
  cleanups.push(() => socket.terminate());
  await event(socket, "open");
  return socket;
}

/** Why a connection attempt failed. */
async function failure(url: string, options?: WebSocketOptions, protocols?: string[]): Promise<string> {
  const socket = new WebSocket(url, protocols, options);
  const seen: string[] = [];
  for (const type of ["open", "error", "close"]) socket.addEventListener(type, () => seen.push(type));
  const error = event<ErrorEvent>(socket, "error");
  const close = event<CloseEvent>(socket, "close");
  const { code, wasClean } = await close;
  expect({ code, wasClean, seen }).toEqual({ code: 1006, wasClean: false, seen: ["error", "close"] });
  expect(socket.readyState).toBe(WebSocket.CLOSED);
  return (await error).error.code;
}

describe("messages", () => {
  test("text and binary come back, binary as what binaryType says when it arrives", async () => {
    const { url } = await echoServer();
    const socket = await opened(url);
    const echo = async (data: string | Uint8Array | ArrayBuffer): Promise<unknown> => {
      const message = event<MessageEvent>(socket, "message");
      socket.send(data);
      return (await message).data as unknown;
    };
    expect(await echo("grüß Gott 🐝")).toBe("grüß Gott 🐝");
    expect(await echo("")).toBe("");
    expect(await echo("\ud800 alone")).toBe("\ufffd alone"); // Web IDL, USVString
    expect(socket.binaryType).toBe("blob");
    const blob = await echo(Uint8Array.of(1, 2, 3));
    expect(blob).toBeInstanceOf(Blob);
    expect(new Uint8Array(await (blob as Blob).arrayBuffer())).toEqual(Uint8Array.of(1, 2, 3));
    socket.binaryType = "arraybuffer";
    socket.binaryType = "nonsense" as "blob";
    expect(socket.binaryType).toBe("arraybuffer");
    const large = new Uint8Array(200_000).map((_, i) => i * 7);
    for (const sent of [Uint8Array.of(4, 5), new Uint8Array(0), large, large.buffer]) {
      const received = await echo(sent);
      expect(received).toBeInstanceOf(ArrayBuffer);
      expect(Buffer.from(received as ArrayBuffer).equals(Buffer.from(sent as ArrayBuffer))).toBe(true);
    }
  });

  test("views, Blobs and their neighbours arrive in the order of send", async () => {
    const received: string[] = [];
    const closes: unknown[] = [];
    const server = createWebSocketServer({
      message: (_socket, message) =>
        void received.push(typeof message === "string" ? message : `<${Buffer.from(message).toString()}>`),
      close: (_socket, code, reason) => void closes.push([code, reason]),
    });
    const { port } = await server.listen(0);
    cleanups.push(() => server.close({ within: 0 }));
    const socket = await opened(`ws://127.0.0.1:${port}`);
    const view = Buffer.from("..view..").subarray(2, 6);
    socket.send("1");
    socket.send(new Blob(["blob one"]));
    socket.send(view);
    view.fill("x"); // what send was given is the sender's again
    socket.send(new Blob(["blob two"]));
    socket.send("5");
    socket.send(new DataView(Uint8Array.from([33, 34, 35]).buffer, 1, 1));
    socket.send(7 as unknown as string);
    expect(socket.bufferedAmount).toBe(1 + 8 + 4 + 8 + 1 + 1 + 1);
    socket.close(3000, "after all of them");
    await event(socket, "close");
    await expect.poll(() => closes).toEqual([[3000, "after all of them"]]);
    expect(received).toEqual(["1", "<blob one>", "<view>", "<blob two>", "5", '<">', "7"]);
  });

  test("each message is a turn of its own: what a listener awaits is settled before the next", async () => {
    const peer = await rawServer((socket, head) => {
      const frames = ["a", "b", "c"].map((text) => frame(0x81, text));
      socket.end(Buffer.concat([Buffer.from(switching(head)), ...frames, frame(0x88, Uint8Array.of(3, 0xe8))]));
    });
    cleanups.push(peer.close);
    const socket = new WebSocket(`ws://127.0.0.1:${peer.port}`);
    const log: unknown[] = [];
    await event(socket, "open");
    for (const expected of ["a", "b", "c"]) {
      // The listener is added only once the one before has been through several promises.
      const { data } = await event<MessageEvent>(socket, "message");
      for (let i = 0; i < 5; i++) await Promise.resolve();
      expect(data).toBe(expected);
      expect(socket.readyState).toBe(expected === "c" ? WebSocket.CLOSING : WebSocket.OPEN);
      log.push(data);
    }
    await event(socket, "close");
    expect(log).toEqual(["a", "b", "c"]);
  });

  test("what arrives after close was called is not shown", async () => {
    const peer = await rawServer((socket, head) => {
      socket.write(Buffer.concat([Buffer.from(switching(head)), frame(0x81, "a"), frame(0x81, "b")]));
      socket.on("data", () => socket.end(frame(0x88, Uint8Array.of(3, 0xe8))));
    });
    cleanups.push(peer.close);
    const socket = new WebSocket(`ws://127.0.0.1:${peer.port}`);
    const seen: unknown[] = [];
    socket.onmessage = ({ data }) => {
      seen.push(data);
      socket.close();
      expect(socket.readyState).toBe(WebSocket.CLOSING);
    };
    await event(socket, "close");
    expect(seen).toEqual(["a"]);
  });

  test("bufferedAmount counts payload bytes, and after closing it only grows", async () => {
    const { url } = await echoServer();
    const socket = new WebSocket(url);
    expect(() => socket.send("early")).toThrow(expect.objectContaining({ name: "InvalidStateError" }));
    await event(socket, "open");
    expect(socket.bufferedAmount).toBe(0);
    socket.send("é");
    socket.send(new Uint8Array(10));
    expect(socket.bufferedAmount).toBe(12);
    await event(socket, "message");
    expect(socket.bufferedAmount).toBe(0);
    socket.close();
    socket.send("12345");
    socket.send(new Blob(["123"]));
    expect(socket.bufferedAmount).toBe(8);
    await event(socket, "close");
    socket.send(new ArrayBuffer(2));
    expect(socket.bufferedAmount).toBe(10);
  });
});

describe("the interface", () => {
  test("constants are on the class and on its instances", async () => {
    const { url } = await echoServer();
    const socket = new WebSocket(url);
    expect([WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED]).toEqual([0, 1, 2, 3]);
    expect([socket.CONNECTING, socket.OPEN, socket.CLOSING, socket.CLOSED]).toEqual([0, 1, 2, 3]);
    expect(socket.readyState).toBe(0);
    expect([socket.protocol, socket.extensions, socket.bufferedAmount]).toEqual(["", "", 0]);
    await event(socket, "open");
    expect(socket.readyState).toBe(1);
    socket.close();
    expect(socket.readyState).toBe(2);
    await event(socket, "close");
    expect(socket.readyState).toBe(3);
  });

  test.each([
    ["http://127.0.0.1:1/a?b", "ws://127.0.0.1:1/a?b"],
    ["https://127.0.0.1:1", "wss://127.0.0.1:1/"],
    ["WS://127.0.0.1:1/ä b", "ws://127.0.0.1:1/%C3%A4%20b"],
  ])("the URL %s is %s", async (given, resolved) => {
    const socket = new WebSocket(given);
    expect(socket.url).toBe(resolved);
    await event(socket, "close");
  });

  test.each(["", "/relative", "ws://", "ftp://a/", "ws://a/#", "ws://a/#x", "javascript:1"])(
    "the URL %j is refused",
    (url) => {
      expect(() => new WebSocket(url)).toThrow(expect.objectContaining({ name: "SyntaxError" }));
    },
  );

  test.each([[["a", "a"]], [[""]], [["a b"]], [["a,b"]], [["ü"]], [["a\r\nb"]]])(
    "subprotocols %j are refused",
    (protocols) => {
      expect(() => new WebSocket("ws://127.0.0.1:1", protocols)).toThrow(
        expect.objectContaining({ name: "SyntaxError" }),
      );
    },
  );

  test("handler attributes are listeners in the place where they were first set", async () => {
    const { url } = await echoServer();
    const socket = await opened(url);
    const log: string[] = [];
    socket.addEventListener("message", () => log.push("before"));
    socket.onmessage = () => log.push("replaced");
    socket.addEventListener("message", { handleEvent: () => log.push("after") });
    const handler = function (this: WebSocket, { target }: MessageEvent): void {
      log.push(String(this === socket && target === socket));
    };
    socket.onmessage = handler;
    expect(socket.onmessage).toBe(handler);
    socket.send("x");
    await event(socket, "message");
    expect(log).toEqual(["before", "true", "after"]);
    socket.onmessage = null;
    expect(socket.onmessage).toBe(null);
    socket.onmessage = 5 as unknown as null;
    expect(socket.onmessage).toBe(null);
    log.length = 0;
    socket.send("x");
    await event(socket, "message");
    expect(log).toEqual(["before", "after"]);
  });

  test("events are what the platform calls them", async () => {
    const { url } = await echoServer();
    const socket = await opened(url);
    socket.send("x");
    const message = await event<MessageEvent>(socket, "message");
    expect(message).toBeInstanceOf(MessageEvent);
    expect(message).toBeInstanceOf(globalThis.MessageEvent);
    expect([message.origin, message.lastEventId, message.source, message.ports]).toEqual([url, "", null, []]);
    socket.close();
    const close = await event(socket, "close");
    expect(close).toBeInstanceOf(CloseEvent);
    expect(close).toBeInstanceOf(Event);
  });
});

describe("closing", () => {
  test.each([
    [undefined, undefined, [1005, ""]],
    [1000, undefined, [1000, ""]],
    [3000, "r", [3000, "r"]],
    [4999, "é".repeat(61), [4999, "é".repeat(61)]],
    [undefined, "why", [1000, "why"]],
    [2999.6, "", [3000, ""]],
  ] as const)("close(%j, %j)", async (code, reason, told) => {
    const { url, closes } = await echoServer();
    const socket = await opened(url);
    socket.close(code, reason);
    const close = await event<CloseEvent>(socket, "close");
    expect([close.code, close.reason, close.wasClean]).toEqual([told[0], close.reason, true]);
    await expect.poll(() => closes).toEqual([told]);
    socket.close(); // once closed, nothing happens
  });

  test.each([999, 1001, 1005, 1006, 2999, 5000, 70_000, Number.NaN])("the code %d is refused", async (code) => {
    const { url } = await echoServer();
    const socket = await opened(url);
    expect(() => socket.close(code)).toThrow(expect.objectContaining({ name: "InvalidAccessError" }));
    expect(() => socket.close(1000, "é".repeat(62))).toThrow(expect.objectContaining({ name: "SyntaxError" }));
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  test("the server's code and reason are told", async () => {
    const { url } = await echoServer();
    const socket = new WebSocket(`${url}/close/4321/enough`);
    const { code, reason, wasClean } = await event<CloseEvent>(socket, "close");
    expect({ code, reason, wasClean }).toEqual({ code: 4321, reason: "enough", wasClean: true });
  });

  test("closing while connecting fails the connection", async () => {
    const { url } = await echoServer();
    const socket = new WebSocket(url);
    socket.close();
    expect(socket.readyState).toBe(WebSocket.CLOSING);
    const error = event<ErrorEvent>(socket, "error");
    const { code, wasClean } = await event<CloseEvent>(socket, "close");
    expect({ code, wasClean }).toEqual({ code: 1006, wasClean: false });
    expect((await error).error).toMatchObject({ code: "CLOSED_EARLY" });
  });

  test("terminate cuts, before and after open", async () => {
    const { url, closes } = await echoServer();
    const early = new WebSocket(url);
    early.terminate();
    expect((await event<CloseEvent>(early, "close")).code).toBe(1006);
    const socket = await opened(url);
    socket.terminate();
    expect((await event<CloseEvent>(socket, "close")).code).toBe(1006);
    await expect.poll(() => closes).toContainEqual([1006, ""]);
  });

  test("a server that does not answer the closing handshake is cut off", async () => {
    const peer = await rawServer((socket, head) => {
      socket.write(switching(head));
      socket.resume();
    });
    cleanups.push(peer.close);
    const socket = await opened(`ws://127.0.0.1:${peer.port}`, [], { closeTimeout: 50 });
    const error = event<ErrorEvent>(socket, "error");
    socket.close();
    const { code, wasClean } = await event<CloseEvent>(socket, "close");
    expect({ code, wasClean }).toEqual({ code: 1006, wasClean: false });
    expect((await error).error).toMatchObject({ code: "CLOSE_TIMEOUT" });
  });

  test("a server that vanishes is found by the keep-alive ping", async () => {
    const peer = await rawServer((socket, head) => {
      socket.write(switching(head));
      socket.resume();
    });
    cleanups.push(peer.close);
    const socket = await opened(`ws://127.0.0.1:${peer.port}`, [], { pingInterval: 30, pingTimeout: 30 });
    const error = await event<ErrorEvent>(socket, "error");
    expect(error.error).toMatchObject({ code: "PEER_SILENT" });
    expect((await event<CloseEvent>(socket, "close")).code).toBe(1006);
  });
});

describe("a server that breaks the protocol", () => {
  test.each<[string, Buffer, number, string]>([
    ["a masked frame", Buffer.from([0x81, 0x80, 1, 2, 3, 4]), 1002, "MASKED"],
    ["a compressed message nobody agreed to", frame(0xc1, "x"), 1002, "RESERVED_BITS"],
    ["text that is not UTF-8", frame(0x81, Uint8Array.of(0xff)), 1007, "INVALID_UTF8"],
    ["a message beyond maxMessage", frame(0x82, new Uint8Array(1001)), 1009, "FRAME_TOO_LARGE"],
    [
      "a declared length of 2^63-1",
      Buffer.from([0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
      1009,
      "FRAME_TOO_LARGE",
    ],
    ["a close code that must not be sent", frame(0x88, Uint8Array.of(0x03, 0xee)), 1002, "CLOSE_CODE"],
  ])("%s fails the connection", async (_name, bytes, told, code) => {
    let answer = Buffer.alloc(0);
    const peer = await rawServer((socket, head) => {
      socket.write(Buffer.concat([Buffer.from(switching(head)), bytes]));
      socket.on("data", (chunk) => {
        answer = Buffer.concat([answer, chunk]);
      });
      socket.on("end", () => socket.end());
    });
    cleanups.push(peer.close);
    const socket = new WebSocket(`ws://127.0.0.1:${peer.port}`, [], { maxMessage: 1000 });
    const error = event<ErrorEvent>(socket, "error");
    const close = await event<CloseEvent>(socket, "close");
    expect((await error).error).toMatchObject({ code });
    expect([close.code, close.wasClean]).toEqual([1006, false]);
    // RFC 6455 §7.1.7: the server is told why, in a masked close frame.
    expect([answer[0], answer[1]]).toEqual([0x88, 0x82]);
    expect(((answer[6]! ^ answer[2]!) << 8) | (answer[7]! ^ answer[3]!)).toBe(told);
  });

  test.each<[string, (head: string) => string, string]>([
    ["no 101", () => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HANDSHAKE_REFUSED"],
    ["a redirect", () => "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", "HANDSHAKE_REFUSED"],
    ["a 101 without Upgrade", () => "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HANDSHAKE_INVALID"],
    ["an Upgrade to something else", (head) => switching(head).replace("websocket", "h2c"), "HANDSHAKE_INVALID"],
    [
      "no Connection: Upgrade",
      (head) => switching(head).replace("Connection: Upgrade", "Connection: x"),
      "HANDSHAKE_INVALID",
    ],
    ["a wrong Accept", (head) => switching(head).replace("Accept: ", "Accept: x"), "HANDSHAKE_INVALID"],
    ["no Accept", (head) => switching(head).replace("Sec-WebSocket-Accept", "X"), "HANDSHAKE_INVALID"],
    ["a subprotocol not offered", (head) => switching(head, "Sec-WebSocket-Protocol: c"), "HANDSHAKE_INVALID"],
    ["two subprotocols", (head) => switching(head, "Sec-WebSocket-Protocol: a, b"), "HANDSHAKE_INVALID"],
    [
      "an extension not offered",
      (head) => switching(head, "Sec-WebSocket-Extensions: constructor"),
      "HANDSHAKE_INVALID",
    ],
    [
      "compression not offered",
      (head) => switching(head, "Sec-WebSocket-Extensions: permessage-deflate"),
      "HANDSHAKE_INVALID",
    ],
    ["no HTTP", () => "SSH-2.0-x\r\n\r\n", "CONNECT_FAILED"],
    ["headers without end", () => `HTTP/1.1 101 x\r\nA: ${"a".repeat(20_000)}`, "CONNECT_FAILED"],
    ["nothing", () => "", "HANDSHAKE_TIMEOUT"],
  ])("%s in the handshake is refused", async (_name, respond, code) => {
    const peer = await rawServer((socket, head) => void socket.write(respond(head)));
    cleanups.push(peer.close);
    const url = `ws://127.0.0.1:${peer.port}`;
    expect(await failure(url, { handshakeTimeout: code === "HANDSHAKE_TIMEOUT" ? 100 : 10_000 }, ["a", "b"])).toBe(
      code,
    );
  });

  test("a connection that ends or resets in the handshake, or that nobody takes", async () => {
    const peer = await rawServer((socket) => socket.destroy());
    expect(await failure(`ws://127.0.0.1:${peer.port}`)).toBe("CONNECT_FAILED");
    await peer.close();
    expect(await failure(`ws://127.0.0.1:${peer.port}`)).toBe("CONNECT_FAILED");
    const resetting = await rawServer((socket) => void socket.resetAndDestroy());
    cleanups.push(resetting.close);
    expect(await failure(`ws://127.0.0.1:${resetting.port}`)).toBe("CONNECT_FAILED");
  });

  test("a connection that is cut, or reset in the middle of a message", async () => {
    for (const cut of ["destroy", "resetAndDestroy"] as const) {
      const peer = await rawServer((socket, head) => {
        socket.write(
          Buffer.concat([Buffer.from(switching(head)), frame(0x82, new Uint8Array(100)).subarray(0, 50)]),
          () => setImmediate(() => socket[cut]()),
        );
      });
      cleanups.push(peer.close);
      const socket = await opened(`ws://127.0.0.1:${peer.port}`);
      socket.onmessage = () => expect.unreachable();
      const { code, wasClean } = await event<CloseEvent>(socket, "close");
      expect({ code, wasClean }).toEqual({ code: 1006, wasClean: false });
    }
  });
});

describe("with servers of ws", () => {
  async function wsServer(options: object = {}): Promise<string> {
    const server = new WsServer({ port: 0, host: "127.0.0.1", ...options });
    await once(server, "listening");
    server.on("connection", (socket, request) => {
      socket.on("message", (data, binary) => {
        socket.send(data as Buffer, { binary });
      });
      socket.on("close", (code, reason) => closes.push([code, reason.toString()]));
      if (request.url === "/ping")
        socket.ping("are you there", undefined, () => socket.on("pong", (data) => socket.send(data)));
    });
    cleanups.push(() => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    });
    const closes: [number, string][] = [];
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("messages of every size come back", async () => {
    const url = await wsServer({ maxPayload: 4 * 1024 * 1024 });
    const socket = await opened(url);
    socket.binaryType = "arraybuffer";
    const sizes = [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 1_000_000, 2 * 1024 * 1024];
    const received: Message[] = [];
    const all = new Promise<void>((resolve) => {
      socket.onmessage = ({ data }) => {
        received.push(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
        if (received.length === sizes.length * 2) resolve();
      };
    });
    for (const size of sizes) {
      socket.send("ü".repeat(size / 2));
      socket.send(new Uint8Array(size).map((_, i) => i));
    }
    await all;
    for (const [i, size] of sizes.entries()) {
      expect(received[2 * i]).toBe("ü".repeat(size / 2));
      expect(
        Buffer.compare(
          received[2 * i + 1] as Uint8Array,
          new Uint8Array(size).map((_, j) => j),
        ),
      ).toBe(0);
    }
    socket.close(3001, "done");
    const { code, reason, wasClean } = await event<CloseEvent>(socket, "close");
    expect({ code, reason, wasClean }).toEqual({ code: 3001, reason: "done", wasClean: true });
  });

  test("pings are answered with their data", async () => {
    const socket = await opened(`${await wsServer()}/ping`);
    socket.binaryType = "arraybuffer";
    const { data } = await event<MessageEvent>(socket, "message");
    expect(Buffer.from(data as ArrayBuffer).toString()).toBe("are you there");
  });

  test("subprotocols are negotiated", async () => {
    const url = await wsServer({ handleProtocols: (offered: Set<string>) => [...offered].at(-1) });
    expect((await opened(url, ["one", "two"])).protocol).toBe("two");
    expect((await opened(url, "only")).protocol).toBe("only");
  });
});
