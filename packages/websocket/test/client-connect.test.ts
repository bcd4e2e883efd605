import { once } from "node:events";
import { Agent, createServer, request } from "node:http";
import type { ClientRequestArgs, IncomingMessage, RequestListener, Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocketServer as WsServer } from "ws";
import type { CloseEvent, ErrorEvent, MessageEvent, WebSocketOptions } from "../src/index.ts";
import { createWebSocketServer, WebSocket, WebSocketError } from "../src/index.ts";
import { selfSigned } from "../../../test/services/certificate.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function event<T extends Event>(target: EventTarget, type: string): Promise<T> {
  return new Promise((resolve) => {
    target.addEventListener(type, (event) => resolve(event as T), { once: true });
  });
}

async function port(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A server that shows the request it was upgraded with, as JSON in its first message. */
async function showing(server: Server = createServer()): Promise<number> {
  const engine = createWebSocketServer<IncomingMessage>({
    upgrade: ({ raw }) => ({ data: raw as IncomingMessage }),
    open: (socket) => void socket.send(JSON.stringify({ url: socket.data.url, ...socket.data.headers })),
  });
  engine.attach(server);
  cleanups.push(() => engine.close({ within: 0 }));
  return port(server);
}

/** What a `showing` server was asked. */
async function shown(url: string, options?: WebSocketOptions, protocols?: string[]): Promise<Record<string, string>> {
  const socket = new WebSocket(url, protocols, options);
  cleanups.push(() => socket.terminate());
  const failed = event<ErrorEvent>(socket, "error").then(({ error }) => Promise.reject(error));
  const { data } = await Promise.race([event<MessageEvent>(socket, "message"), failed]);
  return JSON.parse(String(data)) as Record<string, string>;
}

async function failure(url: string, options?: WebSocketOptions): Promise<WebSocketError> {
  const socket = new WebSocket(url, [], options);
  const close = event<CloseEvent>(socket, "close");
  const { error } = await event<ErrorEvent>(socket, "error");
  expect((await close).code).toBe(1006);
  expect(error).toBeInstanceOf(WebSocketError);
  return error;
}

describe("the request", () => {
  test("has the headers of RFC 6455 §4.1, and those that are asked for", async () => {
    const at = await showing();
    const asked = await shown(
      `ws://ada:p%40ss@127.0.0.1:${at}/path?query=1`,
      { headers: { "X-Mine": "yes", Cookie: "a=1; b=2" }, origin: "https://example.com" },
      ["one", "two"],
    );
    expect(asked).toEqual({
      url: "/path?query=1",
      host: `127.0.0.1:${at}`,
      upgrade: "websocket",
      connection: "Upgrade",
      "sec-websocket-key": expect.stringMatching(/^[A-Za-z0-9+/]{22}==$/),
      "sec-websocket-version": "13",
      "sec-websocket-protocol": "one, two",
      authorization: `Basic ${Buffer.from("ada:p@ss").toString("base64")}`,
      "x-mine": "yes",
      cookie: "a=1; b=2",
      origin: "https://example.com",
    });
  });

  test("has a fresh key each time, no origin, and no extension unless asked for", async () => {
    const url = `ws://127.0.0.1:${await showing()}`;
    const [one, two] = [await shown(url), await shown(url, { compression: true })];
    expect(one["sec-websocket-key"]).not.toBe(two["sec-websocket-key"]);
    expect([one["origin"], one["sec-websocket-extensions"]]).toEqual([undefined, undefined]);
    expect(two["sec-websocket-extensions"]).toContain("permessage-deflate");
  });

  test.each<[WebSocketOptions, string]>([
    [{ headers: { "a b": "c" } }, "a b"],
    [{ headers: { a: "b\r\nc: d" } }, '"a"'],
    [{ headers: { "Sec-WebSocket-Key": "mine" } }, "Sec-WebSocket-Key"],
    [{ origin: "a\nb" }, "origin"],
    [{ followRedirects: 21 }, "followRedirects"],
    [{ followRedirects: -1 }, "followRedirects"],
    [{ maxMessage: 0 }, "maxMessage"],
    [{ handshakeTimeout: Number.POSITIVE_INFINITY }, "handshakeTimeout"],
    [{ timeout: 5 } as object, "timeout"],
  ])("the options %j are refused by name", (options, name) => {
    const attempt = (): WebSocket => new WebSocket("ws://127.0.0.1:1", [], options);
    expect(attempt).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
    );
  });
});

describe("wss", () => {
  test("verifies the certificate and its host", async () => {
    const { key, cert } = await selfSigned();
    const at = await showing(createTlsServer({ key, cert }));
    expect((await shown(`wss://localhost:${at}`, { tls: { ca: cert } }))["host"]).toBe(`localhost:${at}`);
    expect((await shown(`https://127.0.0.1:${at}`, { tls: { ca: cert } }))["upgrade"]).toBe("websocket");
    const unknown = await failure(`wss://localhost:${at}`);
    expect(unknown).toMatchObject({ code: "CONNECT_FAILED", cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" } });
    const other = await failure(`wss://127.0.0.1:${at}`, { tls: { ca: cert, servername: "example.com" } });
    expect(other).toMatchObject({ code: "CONNECT_FAILED", cause: { code: "ERR_TLS_CERT_ALTNAME_INVALID" } });
    expect((await shown(`wss://127.0.0.1:${at}`, { tls: { rejectUnauthorized: false } }))["upgrade"]).toBe("websocket");
  });
});

/** A proxy for `CONNECT`, RFC 9110 §9.3.6, and an agent that uses it. */
async function proxy(): Promise<{ agent: Agent; targets: string[] }> {
  const targets: string[] = [];
  const server = createServer();
  server.on("connect", ({ url }: IncomingMessage, stream: Duplex) => {
    targets.push(String(url));
    const [host, at] = String(url).split(":");
    const onward = connect(Number(at), host, () => {
      stream.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.pipe(stream).pipe(onward);
    });
    onward.on("error", () => stream.destroy());
    stream.on("error", () => onward.destroy());
  });
  const at = await port(server);
  class ProxyAgent extends Agent {
    override createConnection(
      { host, port }: ClientRequestArgs,
      done: (error: Error | null, stream?: Duplex) => void,
    ): undefined {
      request({ port: at, method: "CONNECT", path: `${host}:${port}` })
        .on("connect", (_response, stream) => done(null, stream))
        .on("error", (error) => done(error))
        .end();
    }
  }
  return { agent: new ProxyAgent(), targets };
}

test("an agent makes the connection, through a proxy for example", async () => {
  const at = await showing();
  const { agent, targets } = await proxy();
  expect((await shown(`ws://127.0.0.1:${at}/far`, { agent }))["url"]).toBe("/far");
  expect(targets).toEqual([`127.0.0.1:${at}`]);
});

describe("redirects", () => {
  const redirecting = (to: (url: string) => string | undefined, status = 302): Promise<number> => {
    const answer: RequestListener = (asked, response) => {
      const location = to(String(asked.url));
      response.writeHead(status, location === undefined ? {} : { location }).end("moved");
    };
    return port(createServer(answer));
  };

  test.each([301, 302, 303, 307, 308])(
    "%d is followed if asked, with its credentials only at its own origin",
    async (status) => {
      const at = await showing();
      const from = await redirecting((url) => (url === "/here" ? `http://127.0.0.1:${at}/there` : "/here"), status);
      const headers = { authorization: "Bearer x", Cookie: "a=1", "x-mine": "yes" };
      const asked = await shown(`ws://127.0.0.1:${from}/`, { followRedirects: 2, headers });
      expect(asked).toMatchObject({ url: "/there", host: `127.0.0.1:${at}`, "x-mine": "yes" });
      expect([asked["authorization"], asked["cookie"]]).toEqual([undefined, undefined]);
      expect(await failure(`ws://127.0.0.1:${from}/`, { followRedirects: 1 })).toMatchObject({
        code: "HANDSHAKE_REFUSED",
      });
      const unasked = await failure(`ws://127.0.0.1:${from}/`);
      expect(unasked).toMatchObject({ code: "HANDSHAKE_REFUSED", cause: { status, headers: { location: "/here" } } });
    },
  );

  test("never to anything but WebSocket, never in a circle for long, never without a place", async () => {
    const options = { followRedirects: 20 };
    for (const location of ["ftp://127.0.0.1/", "ws://127.0.0.1/#x", "http://", "/circle", undefined]) {
      const from = await redirecting(() => location);
      const { code } = await failure(`ws://127.0.0.1:${from}/`, options);
      expect(code).toMatch(/^HANDSHAKE_/);
    }
    expect((await failure(`ws://127.0.0.1:${await redirecting(() => "/", 304)}/`, options)).code).toBe(
      "HANDSHAKE_REFUSED",
    );
  });

  test("never from wss to ws", async () => {
    const { key, cert } = await selfSigned();
    const plain = await showing();
    const server = createTlsServer({ key, cert }, (_asked, response) => {
      response.writeHead(302, { location: `ws://127.0.0.1:${plain}/` }).end();
    });
    const error = await failure(`wss://127.0.0.1:${await port(server)}/`, { followRedirects: 5, tls: { ca: cert } });
    expect(error.code).toBe("HANDSHAKE_REFUSED");
    expect(error.message).toContain("TLS");
  });
});

describe("compression", () => {
  const texts = ["short", "long ".repeat(1000), "ü".repeat(70_000), "", "long ".repeat(1000)];

  test.each<[NonNullable<WebSocketOptions["compression"]>, object | boolean, string]>([
    [true, true, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
    [{ contextTakeover: true }, true, "permessage-deflate"],
    [{ contextTakeover: true }, { clientNoContextTakeover: true }, "permessage-deflate; client_no_context_takeover"],
    [{ contextTakeover: true }, { serverNoContextTakeover: true }, "permessage-deflate; server_no_context_takeover"],
    [{ serverMaxWindowBits: 10 }, true, "server_max_window_bits=10"],
    [{ contextTakeover: true, serverMaxWindowBits: 9, clientMaxWindowBits: 9 }, true, "client_max_window_bits=9"],
    [true, { serverMaxWindowBits: 11, clientMaxWindowBits: 12 }, "client_max_window_bits=12"],
    [true, false, ""],
    [false, true, ""],
  ])("%j with a server of ws and %j agrees on %j", async (compression, perMessageDeflate, agreed) => {
    const server = new WsServer({
      port: 0,
      host: "127.0.0.1",
      perMessageDeflate: perMessageDeflate === true ? { threshold: 0 } : perMessageDeflate,
    });
    await once(server, "listening");
    cleanups.push(() => {
      for (const client of server.clients) client.terminate();
      server.close();
    });
    server.on("connection", (socket) => {
      socket.on("message", (data, binary) => {
        socket.send(data as Buffer, { binary });
      });
    });
    const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, [], { compression });
    await event(socket, "open");
    expect(socket.extensions).toContain(agreed);
    if (agreed === "") expect(socket.extensions).toBe("");
    socket.binaryType = "arraybuffer";
    const received: unknown[] = [];
    const all = new Promise<void>((resolve) => {
      socket.addEventListener("message", ({ data }) => {
        received.push(typeof data === "string" ? data : Buffer.from(data as ArrayBuffer).toString());
        if (received.length === texts.length * 2) resolve();
      });
    });
    for (const text of texts) {
      socket.send(text);
      socket.send(Buffer.from(text));
    }
    await all;
    expect(received).toEqual(texts.flatMap((text) => [text, text]));
    socket.close(1000);
    expect((await event<CloseEvent>(socket, "close")).wasClean).toBe(true);
  });

  test("a server that answers more than was offered is refused", async () => {
    for (const answer of [
      "permessage-deflate; server_max_window_bits=12", // 10 was the most
      "permessage-deflate", // server_no_context_takeover was asked for
      "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; unknown",
      "permessage-deflate; server_no_context_takeover; server_max_window_bits=10, permessage-deflate",
    ]) {
      const server = new WsServer({ port: 0, host: "127.0.0.1" });
      server.on("headers", (headers) => headers.push(`Sec-WebSocket-Extensions: ${answer}`));
      await once(server, "listening");
      const { code } = await failure(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, {
        compression: { serverMaxWindowBits: 10 },
      });
      expect(code).toBe("HANDSHAKE_INVALID");
      server.close();
    }
  });
});
