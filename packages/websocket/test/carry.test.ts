import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, Socket as NetSocket } from "node:net";
import type { AddressInfo } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectSecurely } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { encodeFrame } from "../src/core/frame.ts";
import { Opcode } from "../src/core/opcode.ts";
import { createWebSocketServer } from "../src/index.ts";
import type { Handlers } from "../src/index.ts";
import { selfSigned } from "../../../test/services/certificate.ts";
import { upgradeText } from "./served.ts";

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
});

const certificate = await selfSigned();

function frame(opcode: Opcode, payload: string | Uint8Array): Buffer {
  return Buffer.from(encodeFrame(opcode, new Uint8Array(Buffer.from(payload)), { key: 0x1020304 }));
}

const text = (content: string): Buffer => frame(Opcode.text, content);
const goodbye = frame(Opcode.close, Uint8Array.of(0x03, 0xe8));

interface Carried {
  readonly received: string[];
  /** Emits `closed` with the code. */
  readonly server: Server;
  readonly connectionOf: () => NetSocket;
  readonly peer: NetSocket;
  readonly closed: Promise<number>;
}

interface Case {
  readonly secure: boolean;
  readonly internals: boolean;
}

/** A server whose sockets are plain or TLS, and a peer of it that has sent the handshake and, in one segment, `more`. */
async function carried(
  { secure, internals }: Case,
  handlers: Handlers,
  more: Uint8Array = Buffer.of(),
): Promise<Carried> {
  const received: string[] = [];
  const server = secure ? createSecureServer(certificate) : createServer();
  let connection: NetSocket | undefined;
  server.on(secure ? "secureConnection" : "connection", (socket: NetSocket) => (connection = socket));
  const closed = new Promise<number>((resolve) => {
    const engine = createWebSocketServer(
      {
        ...handlers,
        message: (socket, message) => {
          received.push(String(message));
          return handlers.message?.(socket, message);
        },
        close: (_socket, code) => resolve(code),
      },
      { internals },
    );
    engine.attach(server);
    cleanups.push(() => void engine.close({ within: 0 }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const peer = secure
    ? connectSecurely({ port, host: "127.0.0.1", ca: certificate.cert, ALPNProtocols: ["http/1.1"] })
    : connect(port, "127.0.0.1");
  peer.on("error", () => peer.destroy());
  cleanups.push(() => {
    peer.destroy();
    server.closeAllConnections();
    server.close();
  });
  peer.write(Buffer.concat([Buffer.from(upgradeText), more]));
  return { received, server, connectionOf: () => connection!, peer, closed };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe.each<Case>([
  { secure: false, internals: true },
  { secure: false, internals: false },
  { secure: true, internals: false },
])("a socket, secure: $secure, with internals: $internals", (how) => {
  test("that is paused again and again under load, both ways, loses nothing and keeps the order", async () => {
    const count = 20_000;
    const padding = "x".repeat(200);
    let pauses = 0;
    let connection: NetSocket | undefined;
    const { received, peer, connectionOf } = await carried(how, {
      message: (socket, message) => {
        socket.send(message);
        if (++pauses % 50 !== 0) return;
        const stream = (connection ??= connectionOf());
        stream.pause();
        // At once, in the next turn, and after more than one read.
        if (pauses % 100 === 0) stream.resume();
        else if (pauses % 150 === 0) void nextTurn().then(() => stream.resume());
        else
          void nextTurn()
            .then(nextTurn)
            .then(nextTurn)
            .then(() => stream.resume());
      },
    });
    let echoed = 0;
    let last = "";
    peer.on("data", (chunk: Buffer) => {
      echoed += chunk.length;
      last = chunk.toString("latin1").slice(-210);
    });
    const names = Array.from({ length: count }, (_, i) => `${String(i).padStart(6, "0")}${padding}`);
    for (let i = 0; i < count; i += 40) {
      if (!peer.write(Buffer.concat(names.slice(i, i + 40).map(text)))) await once(peer, "drain");
    }
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(count);
    expect(received.every((message, i) => message === names[i])).toBe(true);
    await expect.poll(() => echoed, { timeout: 20_000 }).toBeGreaterThan(count * 210);
    expect(last).toContain(names.at(-1));
  }, 60_000);

  test("that stays paused reads no more than its buffers hold, and goes on where it was", async () => {
    const size = 16 * 1024;
    const { received, peer, connectionOf } = await carried(how, { message: () => void connectionOf().pause() });
    await once(peer, "data");
    peer.resume();
    const names = Array.from({ length: 1000 }, (_, i) => String(i).padStart(size, "."));
    peer.write(text("first"));
    await expect.poll(() => received).toEqual(["first"]);
    const connection = connectionOf();
    for (const name of names) peer.write(text(name));
    let before = -1;
    await expect
      .poll(() => {
        const still = connection.bytesRead === before;
        before = connection.bytesRead;
        return still;
      })
      .toBe(true);
    expect(connection.bytesRead).toBeLessThan(1024 * 1024);
    while (received.length <= names.length) {
      connection.resume();
      await nextTurn();
    }
    expect(received.slice(1).every((message, i) => message === names[i])).toBe(true);
  }, 60_000);

  test("takes what came with the handshake first, and what came with the end last", async () => {
    const { received, peer, closed } = await carried(
      how,
      {},
      Buffer.concat([text("head"), text("split").subarray(0, 7)]),
    );
    await once(peer, "data"); // the answer
    peer.end(Buffer.concat([text("split").subarray(7), text("last"), goodbye]));
    expect(await closed).toBe(1000);
    expect(received).toEqual(["head", "split", "last"]);
  });

  test("whose peer ends without a close frame delivers what came before", async () => {
    const { received, peer, closed } = await carried(how, {});
    await once(peer, "data");
    peer.resume();
    peer.end(Buffer.concat([text("one"), text("two")]));
    expect(await closed).toBe(1006);
    expect(received).toEqual(["one", "two"]);
  });

  test("that was paused when its peer ended delivers what came before", async () => {
    const { received, peer, closed, connectionOf } = await carried(how, {
      message: (_socket, message) => void (message === "one" && connectionOf().pause()),
    });
    await once(peer, "data");
    peer.resume();
    peer.write(text("one"));
    await expect.poll(() => received).toEqual(["one"]);
    peer.end(Buffer.concat([text("two"), goodbye]));
    await once(peer, "finish");
    await nextTurn();
    expect(received).toEqual(["one"]);
    connectionOf().resume();
    expect(await closed).toBe(1000);
    expect(received).toEqual(["one", "two"]);
  });

  test("whose handler throws is closed, and the server lives on", async () => {
    const { peer, closed, received } = await carried(how, {
      message: () => {
        throw new Error("a bug");
      },
      error: () => undefined,
    });
    peer.resume();
    peer.write(Buffer.concat([text("one"), text("two")]));
    expect(await closed).toBe(1006); // the peer has not answered the close frame
    expect(received).toEqual(["one"]);
  });
});

describe("without internals", () => {
  test.each([false, true])("others may listen to the stream's data too, secure: %s", async (secure) => {
    const { received, peer, connectionOf } = await carried({ secure, internals: false }, {});
    await once(peer, "data");
    peer.write(text("one"));
    await expect.poll(() => received).toEqual(["one"]);
    const seen: Buffer[] = [];
    const listen = (chunk: Buffer): void => void seen.push(chunk);
    connectionOf().on("data", listen);
    peer.write(text("two"));
    await expect.poll(() => received).toEqual(["one", "two"]);
    expect(Buffer.concat(seen)).toEqual(text("two"));
    connectionOf().off("data", listen);
    peer.write(text("three"));
    await expect.poll(() => received).toEqual(["one", "two", "three"]);
    expect(seen).toHaveLength(1);
  });

  test.each([
    ["sockets that read otherwise", () => new NetSocket()],
    ["other streams", () => new Duplex()],
  ])("%s are asked for each read", async (_name, create) => {
    const received: string[] = [];
    const server = createServer();
    const engine = createWebSocketServer(
      { message: (_socket, message) => void received.push(String(message)) },
      { internals: false },
    );
    engine.attach(server);
    const bytes = [Buffer.from(upgradeText), ...Buffer.concat([text("one"), text("two")])];
    const stream = create();
    stream._read = () => {
      const next = bytes.shift();
      if (next !== undefined) setImmediate(() => stream.push(typeof next === "number" ? Buffer.of(next) : next));
    };
    stream._write = (_chunk, _encoding, done) => done();
    cleanups.push(() => stream.destroy());
    server.emit("connection", stream);
    await expect.poll(() => received).toEqual(["one", "two"]);
  });
});
