import { describe, expect, test } from "vitest";
import type { Handlers, ServerOptions, Socket, WebSocketError, WebSocketServer } from "../src/index.ts";
import { engine, open } from "./served.ts";

describe.each([true, false])("a slow reader, with internals: %s", (allowed) => {
  const served = (handlers: Handlers, options: ServerOptions): WebSocketServer =>
    engine(handlers, { internals: allowed, ...options });

  test("is told by send and drain, and loses nothing", async () => {
    let drains = 0;
    const sockets: Socket[] = [];
    const server = served(
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
    const { port } = await served(
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
    const server = served(
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
