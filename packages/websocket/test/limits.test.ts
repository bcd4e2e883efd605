import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket as WsClient } from "ws";
import type { ServerOptions, Socket } from "../src/index.ts";
import { createWebSocketServer, WebSocket } from "../src/index.ts";
import { connection, handshake, masked, rest, upgraded } from "./hostile-peer.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Started {
  readonly port: number;
  readonly lengths: number[];
  readonly errors: string[];
  readonly sockets: Socket[];
  drained: number;
}

async function start(options: ServerOptions, open?: (socket: Socket) => void): Promise<Started> {
  const started = { port: 0, lengths: [] as number[], errors: [] as string[], sockets: [] as Socket[], drained: 0 };
  const server = createWebSocketServer(
    {
      open: (socket) => {
        started.sockets.push(socket);
        open?.(socket);
      },
      message: (_socket, message) => void started.lengths.push(message.length),
      drain: () => void started.drained++,
      error: (_socket, error) => void started.errors.push((error as Error & { code: string }).code),
    },
    options,
  );
  started.port = (await server.listen(0)).port;
  cleanups.push(() => server.close({ within: 0 }));
  return started;
}

/** Sends frames and a close frame without a code, and says what code came back; 0: none, all was well. */
async function outcome(port: number, ...frames: readonly Buffer[]): Promise<number> {
  const socket = await upgraded(port);
  socket.write(Buffer.concat([...frames, masked(0x88, "")]));
  const answer = await rest(socket);
  return answer.at(-4) === 0x88 && answer.at(-3) === 2 ? answer.readUInt16BE(answer.length - 2) : 0;
}

const TEXT = 0x81;
const TEXT_OPEN = 0x01;
const REST_OPEN = 0x00;
const REST = 0x80;
const ABSURD = [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n - 1n];

describe("what a peer may send", () => {
  test("maxMessage: at the limit, one over, absurd; whole or in pieces", async () => {
    const { port, lengths, errors } = await start({ maxMessage: 1000 });
    expect(await outcome(port, masked(TEXT, "x".repeat(1000)))).toBe(0);
    expect(await outcome(port, masked(TEXT_OPEN, "x".repeat(600)), masked(REST, "x".repeat(400)))).toBe(0);
    expect(lengths).toEqual([1000, 1000]);
    expect(await outcome(port, masked(TEXT, "x".repeat(1001)))).toBe(1009);
    expect(await outcome(port, masked(TEXT_OPEN, "x".repeat(600)), masked(REST, "x".repeat(401)))).toBe(1009);
    for (const length of ABSURD) {
      expect(await outcome(port, masked(TEXT, "x", length))).toBe(1009);
      expect(await outcome(port, masked(TEXT_OPEN, "x"), masked(REST, "x", length))).toBe(1009);
    }
    expect(lengths.length).toBe(2);
    expect(new Set(errors)).toEqual(new Set(["FRAME_TOO_LARGE", "MESSAGE_TOO_LARGE"]));
  });

  test("maxFrame: at the limit, one over, with a larger maxMessage", async () => {
    const { port, lengths } = await start({ maxMessage: 1000, maxFrame: 200 });
    const frames = [
      masked(TEXT_OPEN, "x".repeat(200)),
      masked(REST_OPEN, "x".repeat(200)),
      masked(REST, "x".repeat(200)),
    ];
    expect(await outcome(port, ...frames)).toBe(0);
    expect(lengths).toEqual([600]);
    expect(await outcome(port, masked(TEXT, "x".repeat(201)))).toBe(1009);
    expect(await outcome(port, masked(TEXT_OPEN, "x"), masked(REST, "x".repeat(201)))).toBe(1009);
  });

  test("maxFragments: at the limit, one over; empty ones count, and each message anew", async () => {
    const { port, lengths } = await start({ maxFragments: 3 });
    const three = [masked(TEXT_OPEN, "a"), masked(REST_OPEN, ""), masked(REST, "b")];
    expect(await outcome(port, ...three, ...three)).toBe(0);
    expect(lengths).toEqual([2, 2]);
    expect(
      await outcome(port, masked(TEXT_OPEN, ""), masked(REST_OPEN, ""), masked(REST_OPEN, ""), masked(REST, "")),
    ).toBe(1008);
    // Control frames between the fragments are none of them.
    expect(await outcome(port, three[0]!, masked(0x89, ""), three[1]!, masked(0x8a, ""), three[2]!)).toBe(0);
  });

  test("maxHeader: at the limit, one over, absurd", async () => {
    const http = createServer(); // whose own limit, 16 KiB, counts the separators too
    createWebSocketServer({}, { maxHeader: 1000 }).attach(http);
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    cleanups.push(() => void http.close());
    const { port } = http.address() as AddressInfo;
    const size = (text: string): number => {
      const lines = text.trimEnd().split("\r\n").slice(1);
      return lines.reduce((sum, line) => sum + line.length - ": ".length, 0);
    };
    const padding = 1000 - size(handshake("/", "x: y")) + 1;
    const status = async (pad: number): Promise<string> => {
      const socket = await connection(port);
      socket.write(handshake("/", `x: ${"y".repeat(pad)}`));
      socket.write(masked(0x88, ""));
      return String(await rest(socket)).slice("HTTP/1.1 ".length, 12);
    };
    expect(await status(padding)).toBe("101");
    expect(await status(padding + 1)).toBe("431");
    expect(await status(100_000)).toBe("431");
  });
});

describe("what waits for a peer", () => {
  const chunk = new Uint8Array(64 * 1024);

  test("overflow: close cuts the connection off at maxBuffered", async () => {
    const { port, errors, sockets } = await start({ maxBuffered: 100_000, highWaterMark: 10_000 });
    const peer = await upgraded(port);
    const socket = sockets[0]!;
    // Past what the kernel takes, which nobody reads.
    while (socket.bufferedBytes === 0) {
      socket.send(chunk);
      await new Promise((resolve) => void setImmediate(resolve));
    }
    expect([socket.send(chunk), socket.state]).toEqual([false, "open"]); // one message may go beyond
    expect([socket.send("x"), socket.state]).toEqual([false, "closing"]);
    expect(errors).toEqual(["SLOW_CONSUMER"]);
    peer.destroy();
  });

  test("overflow: drop forgets messages until there is room again", async () => {
    const started = await start({ maxBuffered: 100_000, highWaterMark: 10_000, overflow: "drop" });
    const peer = await upgraded(started.port);
    const socket = started.sockets[0]!;
    let sent = 0;
    while (socket.bufferedBytes <= 100_000) {
      socket.send(chunk);
      sent++;
      await new Promise((resolve) => void setImmediate(resolve));
    }
    const before = socket.bufferedBytes;
    expect([socket.send(chunk), socket.send("x"), socket.bufferedBytes]).toEqual([false, false, before]);
    expect(started.drained).toBe(0);
    let received = 0;
    peer.on("data", ({ length }: Buffer) => {
      received += length;
    });
    await expect.poll(() => started.drained).toBe(1);
    expect(socket.send("back")).toBe(true);
    await expect.poll(() => received).toBe(sent * (chunk.length + 10) + 6);
    expect(started.errors).toEqual([]);
    peer.destroy();
  });

  test("highWaterMark 0: every send says that it waits, and drain follows", async () => {
    const said: boolean[] = [];
    const started = await start({ highWaterMark: 0 }, (socket) => void said.push(socket.send("x")));
    const peer = await upgraded(started.port);
    await expect.poll(() => [said, started.drained]).toEqual([[false], 1]);
    peer.destroy();
  });
});

describe("time", () => {
  test("an honest peer that only listens is kept, also with pings more often than their timeout", async () => {
    const { port, sockets, errors } = await start({ pingInterval: 96, pingTimeout: 200 });
    const client = new WsClient(`ws://127.0.0.1:${port}`);
    const ours = new WebSocket(`ws://127.0.0.1:${port}`);
    cleanups.push(() => client.terminate());
    const began = performance.now();
    for (let i = 0; i < 6; i++) await once(client, "ping");
    expect(performance.now() - began).toBeGreaterThan(6 * 96 - 100); // not more often than pingInterval says
    expect(errors).toEqual([]);
    expect(sockets.map(({ state }) => state)).toEqual(["open", "open"]);
    expect(ours.readyState).toBe(WebSocket.OPEN);
    ours.close();
    await once(ours as EventTarget as never, "close");
  });

  test("closeTimeout: a peer that does not answer the close frame is cut off", async () => {
    const { port, sockets, errors } = await start({ closeTimeout: 100 });
    const peer = await upgraded(port);
    sockets[0]!.close(1000, "bye");
    expect((await rest(peer)).readUInt16BE(2)).toBe(1000);
    await expect.poll(() => [errors, sockets[0]!.state]).toEqual([["CLOSE_TIMEOUT"], "closed"]);
  });
});
