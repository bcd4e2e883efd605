import { once } from "node:events";
import { connect, constants, createSecureServer, createServer } from "node:http2";
import type { ClientHttp2Session, Http2SecureServer, Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Handlers, Socket } from "../src/index.ts";
import { createWebSocketServer, WebSocket } from "../src/index.ts";
import { selfSigned } from "../../../test/services/certificate.ts";
import { Http2Peer } from "./http2-peer.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Seen {
  readonly closes: [number, string][];
  readonly errors: string[];
  readonly sockets: Socket<string>[];
}

/** Handlers that echo, and write down what happens. */
function echo(seen: Seen): Handlers<string> {
  return {
    upgrade: ({ path, protocols }) => ({ data: path, ...(protocols[0] !== undefined && { protocol: protocols[0] }) }),
    open: (socket) => void seen.sockets.push(socket),
    message: (socket, message) => void socket.send(message),
    close: (_socket, code, reason) => void seen.closes.push([code, reason]),
    error: (_socket, error) => void seen.errors.push((error as Error & { code: string }).code),
  };
}

async function listening(server: Http2Server | Http2SecureServer): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  cleanups.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A server in cleartext with the echo on `/echo` and plain requests beside it, and a session with it. */
async function setup(
  handlers?: Handlers<string>,
): Promise<Seen & { server: Http2Server; session: ClientHttp2Session; close: () => Promise<void> }> {
  const seen: Seen = { closes: [], errors: [], sockets: [] };
  const server = createServer((_request, response) => void response.end("plain"));
  const engine = createWebSocketServer({ ...echo(seen), ...handlers });
  engine.attach(server, { path: "/echo" });
  const session = await sessionWith(`http://127.0.0.1:${await listening(server)}`);
  return { ...seen, server, session, close: () => engine.close({ code: 1001, reason: "bye" }) };
}

async function sessionWith(url: string, ca?: string): Promise<ClientHttp2Session> {
  const session = connect(url, ca === undefined ? {} : { ca });
  session.on("error", () => undefined);
  cleanups.push(() => session.destroy());
  const [settings] = (await once(session, "remoteSettings")) as [{ enableConnectProtocol?: boolean }];
  expect(settings.enableConnectProtocol).toBe(true); // RFC 8441 §3
  return session;
}

async function plain(session: ClientHttp2Session, path: string, method = "GET"): Promise<[number, string]> {
  const stream = session.request(
    method === "CONNECT"
      ? { ":method": method, ":authority": "example.com:443" }
      : { ":path": path, ":method": method },
  );
  stream.on("error", () => undefined);
  const [headers] = (await once(stream, "response")) as [{ ":status": number }];
  let body = "";
  for await (const chunk of stream) body += String(chunk);
  return [headers[":status"], body];
}

describe("a WebSocket on a stream of HTTP/2", () => {
  test("many sockets and plain requests share one TCP connection", async () => {
    const { session, sockets } = await setup();
    const peers = Array.from({ length: 50 }, () => new Http2Peer(session, "/echo"));
    for (const [i, peer] of peers.entries()) {
      peer.send(`text ${i} ü`);
      peer.send(Uint8Array.of(i, 2, 3));
    }
    expect(await plain(session, "/")).toEqual([200, "plain"]);
    for (const [i, peer] of peers.entries()) {
      expect((await peer.response)[":status"]).toBe(200);
      await expect.poll(() => peer.received).toEqual([`text ${i} ü`, Uint8Array.of(i, 2, 3)]);
    }
    expect(sockets.length).toBe(50);
    expect(new Set(sockets.map(({ remoteAddress }) => remoteAddress))).toEqual(new Set(["127.0.0.1"]));
  });

  test("messages larger than the flow-control window pass both ways", async () => {
    const { session } = await setup();
    const peer = new Http2Peer(session, "/echo");
    const large = new Uint8Array(1024 * 1024).map((_, i) => i * 31);
    peer.send(large);
    peer.send("after");
    await expect.poll(() => peer.received.length).toBe(2);
    expect(Buffer.compare(peer.received[0] as Uint8Array, large)).toBe(0);
    expect(peer.received[1]).toBe("after");
  });

  test("the request is shown as over HTTP/1.1", async () => {
    const shown: unknown[] = [];
    const { session } = await setup({
      upgrade: ({ path, query, headers, origin, protocols, remoteAddress, secure, raw }) => {
        const { host, cookie } = headers;
        shown.push({ path, query, host, cookie, origin, protocols, remoteAddress, secure, version: raw.httpVersion });
        return { data: "", protocol: "b", headers: { "X-Mine": "yes" } };
      },
    });
    const peer = new Http2Peer(session, "/echo?a=b", {
      ":authority": "example.com:8443",
      origin: "https://example.com",
      cookie: "a=1",
      "sec-websocket-protocol": "a, b",
    });
    const response = await peer.response;
    expect(response).toMatchObject({ ":status": 200, "sec-websocket-protocol": "b", "x-mine": "yes" });
    expect(response["sec-websocket-accept"]).toBe(undefined); // RFC 8441 §5
    expect(shown).toEqual([
      {
        path: "/echo",
        query: "a=b",
        host: "example.com:8443",
        cookie: "a=1",
        origin: "https://example.com",
        protocols: ["a", "b"],
        remoteAddress: "127.0.0.1",
        secure: false,
        version: "2.0",
      },
    ]);
  });

  test("upgrade may refuse, at once or later, or throw", async () => {
    const { session } = await setup({
      upgrade: async ({ query }) => {
        await Promise.resolve();
        if (query === "throw") throw new Error("on purpose");
        return { status: 403, body: "not you", headers: { "x-why": "policy" } };
      },
    });
    const warned = once(process, "warning");
    const throws = new Http2Peer(session, "/echo?throw");
    expect((await throws.response)[":status"]).toBe(500);
    expect(String((await warned)[0])).toContain("on purpose");
    const refused = new Http2Peer(session, "/echo", {}, false);
    expect(await refused.response).toMatchObject({ ":status": 403, "x-why": "policy" });
    let body = "";
    for await (const chunk of refused.stream) body += String(chunk);
    expect(body).toBe("not you");
  });

  test.each([
    ["/nobody", {}, 404],
    ["/echo", { "sec-websocket-version": "12" }, 426],
    ["/echo", { "sec-websocket-protocol": "a b" }, 400],
    ["/echo", { "sec-websocket-extensions": "x;;" }, 400],
    ["/echo", { "x-long": "20000" }, 431],
  ])("%s with %j gets %d", async (path, given, status) => {
    const headers = "x-long" in given ? { "x-long": "x".repeat(Number(given["x-long"])) } : given;
    const { session, closes } = await setup();
    expect((await new Http2Peer(session, path, headers).response)[":status"]).toBe(status);
    expect(closes).toEqual([]);
  });

  test("other streams are left alone", async () => {
    const { server, session } = await setup();
    expect(await plain(session, "/echo")).toEqual([200, "plain"]);
    expect(await plain(session, "", "CONNECT")).toEqual([405, ""]);
    const others: string[] = [];
    server.on("connect", (request, response) => {
      others.push(String(request.headers[":protocol"]));
      response.writeHead(204).end();
    });
    expect((await new Http2Peer(session, "/", { ":protocol": "other" }).response)[":status"]).toBe(204);
    expect((await new Http2Peer(session, "/theirs").response)[":status"]).toBe(204);
    const ours = new Http2Peer(session, "/echo");
    ours.send("x");
    expect((await ours.response)[":status"]).toBe(200);
    expect(others).toEqual(["other", "websocket"]); // those on our path are not shown to them
  });

  test("on a server without any other listener nothing hangs", async () => {
    const server = createServer();
    const engine = createWebSocketServer({ message: (socket, message) => void socket.send(message) });
    engine.attach(server);
    const session = await sessionWith(`http://127.0.0.1:${await listening(server)}`);
    expect((await plain(session, "/"))[0]).toBe(404);
    expect((await plain(session, "", "CONNECT"))[0]).toBe(404);
    const peer = new Http2Peer(session, "/any");
    peer.send("x");
    await expect.poll(() => peer.received).toEqual(["x"]);
    await engine.close({ within: 1000 });
    expect(server.listenerCount("upgrade")).toBe(0);
    expect(Object.hasOwn(server, "emit")).toBe(false);
  });
});

describe("its end", () => {
  test("the closing handshake, from either side, ends the stream and not the session", async () => {
    const { session, closes, sockets } = await setup();
    const peer = new Http2Peer(session, "/echo");
    await peer.response;
    peer.close(3000, "mine");
    expect(await peer.closed()).toBe(constants.NGHTTP2_NO_ERROR);
    expect(peer.received).toEqual([[3000, ""]]);
    const other = new Http2Peer(session, "/echo");
    await other.response;
    sockets[1]!.close(3001, "theirs");
    expect(await other.closed()).toBe(constants.NGHTTP2_NO_ERROR);
    expect(other.received).toEqual([[3001, "theirs"]]);
    await expect
      .poll(() => closes)
      .toEqual([
        [3000, "mine"],
        [3001, ""],
      ]);
    expect(await plain(session, "/")).toEqual([200, "plain"]);
  });

  test.each<[string, (peer: Http2Peer, session: ClientHttp2Session) => void]>([
    ["END_STREAM without a close frame", (peer) => void peer.stream.end()],
    ["RST_STREAM with CANCEL", (peer) => peer.stream.close(constants.NGHTTP2_CANCEL)],
    ["RST_STREAM with INTERNAL_ERROR", (peer) => peer.stream.close(constants.NGHTTP2_INTERNAL_ERROR)],
    ["a session that is gone", (_peer, session) => session.destroy()],
  ])("%s is 1006", async (_name, end) => {
    const { session, closes } = await setup();
    const peer = new Http2Peer(session, "/echo");
    await peer.response;
    end(peer, session);
    await expect.poll(() => closes).toEqual([[1006, ""]]);
  });

  test("terminate resets the stream with CANCEL, RFC 8441 §5", async () => {
    const { session, closes, sockets } = await setup();
    const peer = new Http2Peer(session, "/echo");
    await peer.response;
    sockets[0]!.terminate();
    expect(await peer.closed()).toBe(constants.NGHTTP2_CANCEL);
    await expect.poll(() => closes).toEqual([[1006, ""]]);
  });

  test("a protocol violation is told, then the stream ends", async () => {
    const { session, closes, errors } = await setup();
    const peer = new Http2Peer(session, "/echo");
    await peer.response;
    peer.stream.write(Uint8Array.of(0x81, 0x00)); // not masked
    await expect.poll(() => peer.received).toEqual([[1002, ""]]);
    await peer.closed();
    await expect.poll(() => [errors, closes]).toEqual([["NOT_MASKED"], [[1006, ""]]]);
  });

  test("closing the server says goodbye to every stream", async () => {
    const { session, close, closes } = await setup();
    const peers = [new Http2Peer(session, "/echo"), new Http2Peer(session, "/echo")];
    await Promise.all(peers.map(({ response }) => response));
    await close();
    expect(peers.map(({ received }) => received)).toEqual([[[1001, "bye"]], [[1001, "bye"]]]);
    expect(closes).toEqual([
      [1001, ""],
      [1001, ""],
    ]);
  });

  test("a peer that stops reading holds back only its own stream", async () => {
    let drained = 0;
    const { session, sockets } = await setup({ drain: () => void drained++ });
    const slow = new Http2Peer(session, "/echo", {}, false);
    const quick = new Http2Peer(session, "/echo");
    await Promise.all([slow.response, quick.response]);
    const chunk = new Uint8Array(64 * 1024);
    expect(Array.from({ length: 16 }, () => sockets[0]!.send(chunk)).at(-1)).toBe(false);
    quick.send("still here");
    await expect.poll(() => quick.received).toEqual(["still here"]);
    expect(sockets[0]!.bufferedBytes).toBeGreaterThan(512 * 1024);
    expect(drained).toBe(0);
    slow.read();
    await expect.poll(() => slow.received.length).toBe(16);
    await expect.poll(() => [sockets[0]!.bufferedBytes, drained]).toEqual([0, 1]);
  });
});

describe("over TLS", () => {
  test("sockets of HTTP/2 and of HTTP/1.1 meet on one server", async () => {
    const { key, cert } = await selfSigned();
    const seen: Seen = { closes: [], errors: [], sockets: [] };
    const versions: string[] = [];
    const server = createSecureServer(
      { key, cert, allowHTTP1: true },
      (_request, response) => void response.end("plain"),
    );
    const engine = createWebSocketServer({
      ...echo(seen),
      upgrade: ({ raw, secure, path }) => {
        versions.push(`${raw.httpVersion} ${secure}`);
        return { data: path };
      },
    });
    engine.attach(server, { path: "/echo" });
    const port = await listening(server);
    const session = await sessionWith(`https://127.0.0.1:${port}`, cert);
    const peer = new Http2Peer(session, "/echo");
    peer.send("two");
    await expect.poll(() => peer.received).toEqual(["two"]);
    const socket = new WebSocket(`wss://localhost:${port}/echo`, [], { tls: { ca: cert } });
    await once(socket as EventTarget as never, "open");
    socket.send("one");
    const [message] = (await once(socket as EventTarget as never, "message")) as [{ data: unknown }];
    expect(message.data).toBe("one");
    expect(versions).toEqual(["2.0 true", "1.1 true"]);
    socket.close();
    await once(socket as EventTarget as never, "close");
  });
});
