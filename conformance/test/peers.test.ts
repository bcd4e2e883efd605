import { type AddressInfo } from "node:net";

import { type ServerOptions, WebSocket as Ours } from "@zuruf/websocket";
import { WebSocket as Undici } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import Ws, { WebSocketServer } from "ws";

import { type Echo, startEcho } from "./echo.ts";

/** What every pair of implementations must carry: each length form, both types, every kind of character, and what compresses well and badly. */
function samples(): (string | Uint8Array)[] {
  const noise = Uint8Array.from({ length: 70_000 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
  return [
    "",
    "Hello",
    "Grüße, 世界 😀\0",
    "\ufeffwith a byte order mark",
    "a".repeat(125),
    "a".repeat(126),
    JSON.stringify(Array.from({ length: 50 }, (_, id) => ({ id, text: `message ${id}`, at: 1_700_000_000 + id }))),
    "é".repeat(40_000),
    new Uint8Array(0),
    Uint8Array.of(0, 255, 128),
    noise.subarray(0, 126),
    noise.subarray(0, 65_535),
    noise,
  ];
}

/** As much of the browser's interface as all three clients have. */
interface Client {
  binaryType: string;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: never) => void): void;
}

/** Sends all samples, waits for all echoes, closes; resolves with what came back and how it ended. */
async function exchange(
  client: Client,
  messages: readonly (string | Uint8Array)[],
): Promise<{ echoes: (string | Uint8Array)[]; code: number; wasClean: boolean }> {
  client.binaryType = "arraybuffer";
  const echoes: (string | Uint8Array)[] = [];
  return new Promise((resolve, reject) => {
    client.addEventListener("open", () => {
      for (const message of messages) client.send(message);
    });
    client.addEventListener("message", ({ data }: { data: string | ArrayBuffer }) => {
      echoes.push(typeof data === "string" ? data : new Uint8Array(data));
      if (echoes.length === messages.length) client.close(4321, "done");
    });
    client.addEventListener("close", ({ code, wasClean }: { code: number; wasClean: boolean }) =>
      resolve({ echoes, code, wasClean }),
    );
    client.addEventListener("error", (event: { message?: string; error?: unknown }) =>
      reject(new Error(`error event: ${event.message}`, { cause: event.error })),
    );
  });
}

function expectSame(echoes: readonly (string | Uint8Array)[], messages: readonly (string | Uint8Array)[]): void {
  expect(echoes.length).toBe(messages.length);
  for (const [i, message] of messages.entries()) {
    const echo = echoes[i];
    if (typeof message === "string" || typeof echo === "string" || echo === undefined) expect(echo).toBe(message);
    else expect(Buffer.from(echo).equals(Buffer.from(message))).toBe(true);
  }
}

const settings: readonly (readonly [string, ServerOptions])[] = [
  ["as it comes", {}],
  ["without Node's internals", { internals: false }],
];

describe.each(settings)("our server, %s", (_name, options) => {
  let echo: Echo;
  beforeAll(async () => {
    echo = await startEcho(options);
  });
  afterAll(() => echo.close());

  test.each([
    ["ws", (url: string): Client => new Ws(url, { perMessageDeflate: false }) as unknown as Client],
    [
      "ws, offering compression",
      (url: string): Client => new Ws(url, { perMessageDeflate: { threshold: 0 } }) as unknown as Client,
    ],
    ["undici", (url: string): Client => new Undici(url) as unknown as Client],
    ["our own client", (url: string): Client => new Ours(url) as unknown as Client],
  ] as const)("with the client of %s", async (name, connect) => {
    // undici drops a byte order mark from what it receives; RFC 6455 does not.
    const messages = samples().filter((sample) => name !== "undici" || sample[0] !== "\ufeff");
    const { echoes, code, wasClean } = await exchange(connect(echo.url), messages);
    expectSame(echoes, messages);
    expect({ code, wasClean }).toEqual({ code: 4321, wasClean: true });
  });
});

describe.each([
  ["without compression", false],
  ["offering compression", { threshold: 0 }],
] as const)("our client with the server of ws, %s", (_name, perMessageDeflate) => {
  let server: WebSocketServer;
  beforeAll(async () => {
    server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate });
    server.on("connection", (socket) =>
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
    );
    await new Promise<void>((resolve) => void server.once("listening", resolve));
  });
  afterAll(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });

  test("every sample comes back", async () => {
    const messages = samples();
    const client = new Ours(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const { echoes, code, wasClean } = await exchange(client as unknown as Client, messages);
    expectSame(echoes, messages);
    expect({ code, wasClean }).toEqual({ code: 4321, wasClean: true });
  });
});
