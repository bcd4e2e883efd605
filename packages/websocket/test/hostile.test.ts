import { fork } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "../src/index.ts";
import type { ServerOptions } from "../src/index.ts";
import { connection, handshake, HostileServer, masked, rest, upgraded } from "./hostile-peer.ts";
import type { Measure } from "./hostile-server.ts";

/** Everything at its full size; otherwise smaller numbers, which show the same. */
const FULL = process.env["ZURUF_TEST_FULL"] === "1";
const MIB = 1024 * 1024;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(options: ServerOptions = {}): Promise<HostileServer> {
  const server = await HostileServer.start(options);
  cleanups.push(() => server.stop());
  // The first connection loads and allocates what all share.
  const socket = await upgraded(server.port);
  socket.write(masked(0x81, "warm"));
  socket.write(masked(0x88, ""));
  await rest(socket);
  await expect.poll(async () => (await server.measure()).sockets).toBe(0);
  return server;
}

/** Many at a time, in batches: a listen queue is only so long. */
async function many<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < count) {
    all.push(...(await Promise.all(Array.from({ length: Math.min(250, count - all.length) }, make))));
  }
  return all;
}

/** Waits until nothing of an attack is left: no socket, no descriptor, and no more memory than some noise. */
async function recovered(server: HostileServer, before: Measure, noise = 4 * MIB): Promise<void> {
  await expect
    .poll(
      async () => {
        const { sockets, descriptors } = await server.measure();
        return [sockets, descriptors <= before.descriptors];
      },
      { timeout: 15_000, interval: 100 },
    )
    .toEqual([0, true]);
  await expect.poll(async () => (await server.measure()).memory - before.memory).toBeLessThan(noise);
}

/** The server still serves: an honest client gets its echo. */
async function serves(server: HostileServer): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}`);
  cleanups.push(() => socket.terminate());
  const answer = new Promise((resolve) => {
    socket.addEventListener("message", ({ data }) => resolve(data));
  });
  socket.addEventListener("open", () => socket.send("still there?"));
  expect(await answer).toBe("still there?");
  const closed = new Promise((resolve) => {
    socket.addEventListener("close", resolve);
  });
  socket.close();
  await closed;
}

function closeCode(bytes: Buffer): number {
  return bytes.at(-4) === 0x88 ? bytes.readUInt16BE(bytes.length - 2) : 0;
}

describe("memory", () => {
  test("a declared length allocates nothing, at the limit and at 2^63-1", async () => {
    const server = await start({ maxMessage: 1024 * MIB, maxFrame: 1024 * MIB });
    const before = await server.measure();
    const sockets = await many(FULL ? 2000 : 300, () => upgraded(server.port));
    const idle = await server.measure();
    for (const socket of sockets) socket.write(masked(0x82, "x", BigInt(1024 * MIB)));
    await serves(server);
    const claimed = await server.measure();
    expect((claimed.memory - idle.memory) / sockets.length).toBeLessThan(8 * 1024);
    for (const socket of sockets) socket.destroy();
    const absurd = await many(FULL ? 2000 : 300, () => upgraded(server.port));
    for (const socket of absurd) socket.write(masked(0x82, "x", 2n ** 63n - 1n));
    const answers = await Promise.all(absurd.map(rest));
    expect(new Set(answers.map(closeCode))).toEqual(new Set([1009]));
    const after = await server.measure();
    expect(after.errors).toMatchObject({ FRAME_TOO_LARGE: absurd.length });
    expect(after.peak).toBeLessThan(before.peak + 64 * MIB);
    await recovered(server, before);
  });

  test("an inflate bomb is cut off while inflating", async () => {
    const server = await start({ compression: true, maxMessage: MIB });
    const before = await server.measure();
    // Some 250 KiB (full: 1 MiB) that inflate to 256 MiB (1 GiB).
    const bomb = deflateRawSync(Buffer.alloc((FULL ? 1000 : 250) * MIB), { level: 9 });
    expect(bomb.length).toBeLessThan(MIB);
    for (let i = 0; i < 3; i++) {
      const socket = await upgraded(server.port, "Sec-WebSocket-Extensions: permessage-deflate");
      socket.write(masked(0xc2, bomb));
      expect(closeCode(await rest(socket))).toBe(1009);
    }
    // The same in a context of its own, and small enough to be inflated at once.
    const small = deflateRawSync(Buffer.alloc(16 * MIB), { level: 9 });
    for (let i = 0; i < 20; i++) {
      const socket = await upgraded(server.port, "Sec-WebSocket-Extensions: permessage-deflate");
      socket.write(masked(0xc2, small));
      expect(closeCode(await rest(socket))).toBe(1009);
    }
    const after = await server.measure();
    expect(after.errors).toEqual({ MESSAGE_TOO_LARGE: 23 });
    expect(after.peak - before.peak).toBeLessThan(64 * MIB);
    await serves(server);
    await recovered(server, before);
  });

  test("floods of tiny fragments, of empty ones, and of unread pongs end", async () => {
    const server = await start({ maxFragments: 100, maxBuffered: 256 * 1024 });
    const before = await server.measure();
    for (const fragment of [masked(0x00, ""), masked(0x00, "x")]) {
      const socket = await upgraded(server.port);
      socket.write(Buffer.concat([masked(0x01, ""), ...Array.from({ length: 100_000 }, () => fragment)]));
      expect(closeCode(await rest(socket))).toBe(1008);
    }
    const pinging = await upgraded(server.port);
    const pings = Buffer.concat(Array.from({ length: 500 }, () => masked(0x89, new Uint8Array(125))));
    while (!pinging.destroyed) {
      if (pinging.write(pings)) continue;
      await new Promise<void>((resolve) => {
        pinging.once("drain", resolve).once("close", resolve);
      });
    }
    expect((await server.measure()).errors).toEqual({ TOO_MANY_FRAGMENTS: 2, SLOW_CONSUMER: 1 });
    await recovered(server, before);
  });

  test("a reader that stops reading costs maxBuffered, then its connection, and nobody else's", async () => {
    const server = await start({ maxBuffered: MIB });
    const before = await server.measure();
    const readers = await many(FULL ? 200 : 20, () => upgraded(server.port));
    for (const reader of readers) {
      reader.pause();
      reader.write(masked(0x81, "flood"));
    }
    await serves(server);
    await expect
      .poll(async () => (await server.measure()).errors, { timeout: 20_000 })
      .toEqual({ SLOW_CONSUMER: readers.length });
    await serves(server);
    const after = await server.measure();
    expect(after.peak - before.peak).toBeLessThan(readers.length * 2 * MIB + 64 * MIB);
    await recovered(server, before);
  });
});

describe("connections", () => {
  test("those that never upgrade, or trickle, are ended by handshakeTimeout", async () => {
    const server = await start({ handshakeTimeout: 1000 });
    const before = await server.measure();
    const count = FULL ? 10_000 : 1000;
    const silent = await many(count, () => connection(server.port));
    const trickling = await many(50, () => connection(server.port));
    const pending = await many(50, async () => {
      const socket = await connection(server.port);
      socket.write(handshake("/never"));
      return socket;
    });
    const request = handshake();
    let at = 0;
    const trickle = setInterval(() => {
      for (const socket of trickling) socket.write(request[at % request.length]!);
      at++;
    }, 50);
    const all = [...silent, ...trickling, ...pending];
    try {
      expect((await server.measure()).descriptors).toBeGreaterThan(before.descriptors);
      await serves(server);
      await Promise.all(all.map((socket) => rest(socket)));
    } finally {
      clearInterval(trickle);
    }
    await recovered(server, before, 8 * MIB);
    await serves(server);
  }, 60_000);

  test("resets, in the handshake and in the middle of a message, leave nothing", async () => {
    const server = await start({ compression: true });
    const before = await server.measure();
    const count = FULL ? 2000 : 200;
    const half = masked(0x82, new Uint8Array(50_000)).subarray(0, 30_000);
    const sockets = await many(count, () => upgraded(server.port, "Sec-WebSocket-Extensions: permessage-deflate"));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => void socket.write(half, resolve))));
    for (const socket of sockets) socket.resetAndDestroy();
    const early = await many(count, () => connection(server.port));
    for (const [i, socket] of early.entries()) {
      socket.write(handshake().slice(0, i % 100));
      socket.resetAndDestroy();
    }
    await expect.poll(async () => (await server.measure()).closes["1006"]).toBe(count);
    await recovered(server, before);
    await serves(server);
  });

  test("noise instead of HTTP, and instead of frames, is answered or ended", async () => {
    const server = await start();
    const before = await server.measure();
    const noise = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251));
    const sockets: Socket[] = await many(50, () => connection(server.port));
    for (const [i, socket] of sockets.entries()) socket.write(noise.subarray(i));
    await Promise.all(sockets.map(rest));
    for (let i = 0; i < 50; i++) {
      const socket = await upgraded(server.port);
      socket.end(noise.subarray(i));
      await rest(socket);
    }
    await recovered(server, before);
    await serves(server);
    await expect.poll(async () => (await server.measure()).sockets).toBe(0);
  });

  test("a peer that vanishes without a FIN is found by pings", async () => {
    const server = await start({ pingInterval: 300, pingTimeout: 1000 });
    const before = await server.measure();
    const child = fork(join(import.meta.dirname, "vanishing-peer.ts"), [String(server.port)], {
      execArgv: ["--import", "tsx"],
    });
    cleanups.push(() => child.kill("SIGKILL"));
    await once(child, "message");
    const honest = new WebSocket(`ws://127.0.0.1:${server.port}`);
    cleanups.push(() => honest.terminate());
    await expect.poll(async () => (await server.measure()).sockets).toBe(11);
    child.kill("SIGSTOP"); // its kernel still takes bytes, and nobody answers: as behind a proxy whose peer is gone
    await expect.poll(async () => (await server.measure()).errors).toEqual({ PEER_SILENT: 10 });
    expect(honest.readyState).toBe(WebSocket.OPEN); // it answers pings
    honest.close();
    await recovered(server, before);
  });
});
