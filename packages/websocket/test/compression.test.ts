import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { constants, deflateRawSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { PerMessageDeflateOptions } from "ws";
import { createWebSocketServer } from "../src/index.ts";
import type { CompressionOptions, Message, ServerOptions, Socket, WebSocketServer } from "../src/index.ts";
import { WebSocketError } from "../src/core/errors.ts";
import { Deflater } from "../src/node/deflater.ts";
import { Inflater } from "../src/node/inflater.ts";
import { hex } from "./bytes.ts";

const json = (size: number): string => {
  let text = "";
  for (let i = 0; text.length < size; i++)
    text += JSON.stringify({ id: i, user: `user ${i % 7}`, at: 1_700_000_000 + i });
  return text.slice(0, size);
};

describe.each([
  ["pooled", true],
  ["public", false],
])("decompressing, %s", (_name, internals) => {
  const inflate = (bytes: Uint8Array, limit = 1000): string =>
    new Inflater(limit, internals, false).inflate(bytes, 0, bytes.length).toString();

  test.each([
    ["a fixed block, RFC 7692 §7.2.3.1", "f2 48 cd c9 c9 07 00", "Hello"],
    ["a stored block, §7.2.3.3", "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello"],
    ["a final block, §7.2.3.4", "f3 48 cd c9 c9 07 00 00", "Hello"],
    ["two blocks, §7.2.3.5", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"],
    ["an empty message, §7.2.3.6", "00", ""],
  ])("%s", (_what, bytes, text) => {
    expect(inflate(hex(bytes))).toBe(text);
  });

  test("a message at the limit is read, one byte more is not", () => {
    const zeros = (size: number): Uint8Array =>
      deflateRawSync(Buffer.alloc(size), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    for (const limit of [10, 65_536, 65_537, 300_000]) {
      expect(inflate(zeros(limit), limit)).toHaveLength(limit);
      expect(() => inflate(zeros(limit + 1), limit)).toThrow(expect.objectContaining({ code: "MESSAGE_TOO_LARGE" }));
    }
  });

  test("what is not deflate is refused, and harms no message after it", () => {
    const inflater = new Inflater(1000, internals, false);
    expect(() => inflater.inflate(hex("ff ff ff ff"), 0, 4)).toThrow(
      expect.objectContaining({ code: "INVALID_DEFLATE" }),
    );
    const hello = hex("f2 48 cd c9 c9 07 00");
    expect(inflater.inflate(hello, 0, hello.length).toString()).toBe("Hello");
  });

  test("aside does the same", async () => {
    const inflater = new Inflater(100, internals, false);
    const hello = hex("f2 48 cd c9 c9 07 00");
    expect((await inflater.inflateAside(hello)).toString()).toBe("Hello");
    await expect(inflater.inflateAside(hex("ff ff ff ff"))).rejects.toMatchObject({ code: "INVALID_DEFLATE" });
    const bomb = deflateRawSync(Buffer.alloc(101), { finishFlush: constants.Z_SYNC_FLUSH });
    await expect(inflater.inflateAside(bomb)).rejects.toMatchObject({ code: "MESSAGE_TOO_LARGE" });
  });
});

test.each([true, false])("what is compressed decompresses, whatever its size (internals %s)", async (internals) => {
  const deflater = new Deflater(15, 3, internals, false);
  const inflater = new Inflater(1 << 22, internals, false);
  for (const message of [json(1), json(1000), json(1 << 20), randomBytes(200_000).toString("latin1")]) {
    const bytes = Buffer.from(message);
    for (const compressed of [Buffer.from(deflater.compress(bytes)), await deflater.compressAside(bytes)]) {
      expect(inflater.inflate(compressed, 0, compressed.length).equals(bytes)).toBe(true);
    }
  }
});

const servers: WebSocketServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close({ within: 0 })));
});

interface Pair {
  readonly server: WebSocketServer<undefined>;
  readonly socket: Socket<undefined>;
  readonly client: WebSocket;
  readonly received: Message[];
  /** The next message that the client receives. */
  readonly next: () => Promise<Buffer>;
}

async function pair(
  compression: boolean | CompressionOptions,
  offer: boolean | PerMessageDeflateOptions = true,
  options: ServerOptions = {},
  echo = true,
): Promise<Pair> {
  const received: Message[] = [];
  const opened: Socket<undefined>[] = [];
  const server = createWebSocketServer(
    {
      open: (socket) => void opened.push(socket),
      message: (socket, message) => {
        received.push(message);
        if (echo) socket.send(message);
      },
    },
    { compression, maxMessage: 8 << 20, ...options },
  );
  servers.push(server);
  const { port } = await server.listen(0);
  const client = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: offer });
  const queue: Buffer[] = [];
  const waiting: ((message: Buffer) => void)[] = [];
  client.on("message", (message: Buffer) => {
    const wait = waiting.shift();
    if (wait === undefined) queue.push(message);
    else wait(message);
  });
  await once(client, "open");
  return {
    server,
    socket: opened[0]!,
    client,
    received,
    next: () => {
      const message = queue.shift();
      return message === undefined ? new Promise((resolve) => void waiting.push(resolve)) : Promise.resolve(message);
    },
  };
}

const everyWay: [string, CompressionOptions, boolean | PerMessageDeflateOptions, ServerOptions][] = [
  ["as it is", {}, true, {}],
  ["without internals", {}, true, { internals: false }],
  ["with contexts", { contextTakeover: true }, true, {}],
  ["with contexts, wanted and not had without internals", { contextTakeover: true }, true, { internals: false }],
  ["with the smallest windows", {}, { serverMaxWindowBits: 8, clientMaxWindowBits: 8 }, {}],
  ["with smaller windows", { serverMaxWindowBits: 10, clientMaxWindowBits: 10, contextTakeover: true }, true, {}],
  ["with a threshold of 1", { threshold: 1, level: 9, contextTakeover: true }, { threshold: 0 }, {}],
];

describe.each(everyWay)("echo %s", (_name, compression, offer, options) => {
  test("messages of all sizes arrive whole and in order", async () => {
    const { client, next, received, socket } = await pair(compression, offer, options);
    expect(socket.extensions).toMatch(/^permessage-deflate/);
    const messages = [
      json(10),
      json(600),
      "grüße €😀".repeat(200),
      json(70_000),
      "",
      json(5),
      json(2 << 20),
      "end",
      randomBytes(90_000).toString("hex"),
    ];
    for (const message of messages) client.send(message);
    client.send(Buffer.from(json(3000)));
    client.send(randomBytes(100_000));
    for (const message of messages) expect((await next()).toString() === message).toBe(true);
    expect((await next()).toString()).toBe(json(3000));
    expect(await next()).toHaveLength(100_000);
    expect(received.slice(0, 3)).toEqual(messages.slice(0, 3));
    expect(received.at(-1)).toBeInstanceOf(Uint8Array);
  });
});

test("off by default, and for clients that do not offer it", async () => {
  expect((await pair(false)).socket.extensions).toBe("");
  expect((await pair(true, false)).socket.extensions).toBe("");
});

test("a prepared message is compressed once for all", async () => {
  const { server, client, socket, next } = await pair(true);
  const message = server.prepare(json(1000));
  for (let i = 0; i < 3; i++) socket.send(message);
  socket.send(server.prepare("short"));
  socket.send(server.prepare(json(1000), "short", json(100_000)));
  for (let i = 0; i < 3; i++) expect((await next()).toString()).toBe(json(1000));
  for (const text of ["short", json(1000), "short", json(100_000)]) expect((await next()).toString()).toBe(text);
  client.close();
});

test("contexts are bounded: who comes too late does without", async () => {
  const { server } = await pair({ contextTakeover: true, maxContexts: 2 }, true, { internals: true });
  const { port } = await server.listen(0);
  const extensions = async (): Promise<string> => {
    await once(new WebSocket(`ws://127.0.0.1:${port}`), "open");
    return [...server.sockets].at(-1)!.extensions;
  };
  expect(await extensions()).not.toContain("no_context");
  expect(await extensions()).toContain("server_no_context_takeover");
});

test("a message that waits for one being compressed is taken as it was", async () => {
  const { socket, next } = await pair(true);
  const small = Buffer.from("small");
  socket.send(json(500_000));
  socket.send(small);
  small.fill(0);
  socket.close(4000, "after them");
  expect((await next()).toString()).toBe(json(500_000));
  expect((await next()).toString()).toBe("small");
});

test("text that decompresses to something else than UTF-8 closes with 1007", async () => {
  const { client } = await pair(true);
  client.send(Buffer.from([...Buffer.from("x".repeat(2000)), 0xff]), { binary: false, compress: true });
  const [code] = (await once(client, "close")) as [number];
  expect(code).toBe(1007);
});

describe.each([
  ["at once", 1 << 20],
  ["aside", 64 << 20],
])("a bomb that inflates %s", (_name, size) => {
  test("closes with 1009 and costs little more than the limit", async () => {
    const errors: Error[] = [];
    const server = createWebSocketServer(
      { error: (_socket, error) => void errors.push(error) },
      { compression: true, maxMessage: 100_000 },
    );
    servers.push(server);
    const { port } = await server.listen(0);
    const client = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: { threshold: 0 } });
    await once(client, "open");
    const before = process.memoryUsage.rss();
    client.send(Buffer.alloc(size));
    const [code] = (await once(client, "close")) as [number];
    expect(code).toBe(1009);
    expect(errors[0]).toBeInstanceOf(WebSocketError);
    expect(process.memoryUsage.rss() - before).toBeLessThan(size + (40 << 20)); // the sender is in this process too
  });
});
