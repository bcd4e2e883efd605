import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { canOpenZlib, decodeAscii, decodeText, shareReads, writeText } from "../src/node/internals.ts";

describe("on the versions of Node that this is tested on, its internals are as expected", () => {
  test("a server's sockets read into a shared buffer, pause, resume and end", async () => {
    const shared = Buffer.alloc(64 * 1024);
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [socket] = (await once(server, "connection")) as [Socket];
    const read: string[] = [];
    function onRead(this: Socket, length: number, buffer: Uint8Array): boolean {
      expect(this).toBe(socket);
      expect(buffer).toBe(shared);
      read.push(shared.toString("latin1", 0, length));
      return true;
    }
    expect(shareReads(socket, shared, onRead)).toBe(true);
    expect(shareReads(socket, shared, onRead)).toBe(false); // once is enough
    socket.resume();
    client.write("one");
    await expect.poll(() => read.join("")).toBe("one");
    socket.pause();
    client.write("two");
    await new Promise((resolve) => void client.write("", resolve));
    expect(read.join("")).toBe("one");
    socket.resume();
    await expect.poll(() => read.join("")).toBe("onetwo");
    client.end("three");
    await once(socket, "end");
    expect(read.join("")).toBe("onetwothree");
    socket.destroy();
    server.close();
  });

  test("zlib's states can be used without their streams", () => {
    expect(canOpenZlib()).toBe(true);
  });
});

test("texts are converted as toString and write do it", () => {
  const text = "aé€😀";
  const bytes = Buffer.alloc(16, "-");
  expect(writeText(bytes, text, 2, 10)).toBe(10);
  expect(bytes.toString()).toBe(`--${text}----`);
  expect(decodeText(bytes, 2, 12)).toBe(text);
  expect(decodeText(new Uint8Array(bytes), 2, 5)).toBe("aé");
  expect(decodeAscii(bytes, 1, 3)).toBe("-a");
  expect(writeText(bytes, "€€", 0, 5)).toBe(3); // no half characters
});

test("what is no TCP socket of a server is left as it is", () => {
  const nothing = (): boolean => true;
  expect(shareReads(new PassThrough() as unknown as Socket, Buffer.alloc(1), nothing)).toBe(false);
});
