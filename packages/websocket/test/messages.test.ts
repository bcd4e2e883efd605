import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket as Client } from "ws";
import type { Handlers, Message, Socket, WebSocketServer } from "../src/index.ts";
import { engine, open, raw, text } from "./served.ts";

describe.each([true, false])("messages, with internals: %s", (allowed) => {
  const served = (handlers: Handlers): WebSocketServer => engine(handlers, { internals: allowed });

  test("frames in the handshake's own segment are read", async () => {
    const received: Message[] = [];
    const { port } = await served({ message: (_socket, message) => void received.push(message) }).listen(0);
    await raw(port, Buffer.concat([text("one"), text("two")]));
    await expect.poll(() => received).toEqual(["one", "two"]);
  });

  test("bytes stay valid after the handler, whatever arrives next", async () => {
    const kept: Uint8Array[] = [];
    const server = served({ message: (_socket, message) => void kept.push(message as Uint8Array) });
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
    const { port } = await served({
      open(socket) {
        socket.send(bytes.subarray(0, 10));
        socket.send(bytes);
        bytes.fill(2);
      },
    }).listen(0);
    const client = new Client(`ws://127.0.0.1:${port}`);
    onTestFinished(() => client.terminate());
    expect((await once(client, "message"))[0]).toEqual(Buffer.alloc(10, 1));
    expect((await once(client, "message"))[0]).toEqual(Buffer.alloc(100_000, 1));
  });

  test("what is sent in one tick arrives in the order of the calls, however it is mixed", async () => {
    const sockets: Socket[] = [];
    const server = served({ open: (socket) => void sockets.push(socket) });
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
    const { port } = await served({ open: (socket) => void sockets.push(socket) }).listen(0);
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
    const server = served({ open: (socket) => void sockets.push(socket) });
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
    const { port } = await served({ message: (socket, message) => void socket.send(message) }).listen(0);
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
    const { port } = await served({
      open: (socket) => void socket.send(wrong as string),
      error: (_socket, error) => void errors.push(error),
    }).listen(0);
    const client = new Client(`ws://127.0.0.1:${port}`);
    expect((await once(client, "close"))[0]).toBe(1011);
    expect(errors[0]).toMatchObject({ code: "HANDLER_FAILED", cause: { code: "INVALID_ARGUMENT" } });
  });
});
