import { type AddressInfo } from "node:net";

import { type ServerOptions, WebSocket as Ours } from "@zuruf/websocket";
import { WebSocket as Undici } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import Ws, { WebSocketServer } from "ws";

import { type Echo, startEcho } from "./echo.ts";
import { type Client, exchange, expectSame, samples } from "./exchange.ts";

const settings: readonly (readonly [string, ServerOptions])[] = [
  ["as it comes", {}],
  ["without Node's internals", { internals: false }],
  ["compressing", { compression: { threshold: 1 } }],
  ["compressing, without Node's internals", { compression: { threshold: 1 }, internals: false }],
  ["compressing with context", { compression: { threshold: 1, contextTakeover: true } }],
  ["compressing in the smallest window", { compression: { threshold: 1, serverMaxWindowBits: 8, level: 9 } }],
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
    [
      "our own client, offering compression",
      (url: string): Client => new Ours(url, [], { compression: { threshold: 1 } }) as unknown as Client,
    ],
  ] as const)("with the client of %s", async (name, connect) => {
    // undici drops a byte order mark from what it receives; RFC 6455 does not.
    const messages = samples().filter((sample) => name !== "undici" || sample[0] !== "\ufeff");
    const { echoes, code, wasClean } = await exchange(connect(echo.url), messages);
    expectSame(echoes, messages);
    expect({ code, wasClean }).toEqual({ code: 4321, wasClean: true });
  });
});

describe.each([
  ["without compression", false, {}],
  ["which would compress", { threshold: 0 }, {}],
  ["both compressing", { threshold: 0 }, { compression: { threshold: 1 } }],
  ["both compressing with context", { threshold: 0 }, { compression: { threshold: 1, contextTakeover: true } }],
  ["compressing without Node's internals", { threshold: 0 }, { compression: { threshold: 1 }, internals: false }],
] as const)("our client with the server of ws, %s", (_name, perMessageDeflate, options) => {
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
    const client = new Ours(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, [], options);
    const { echoes, code, wasClean } = await exchange(client as unknown as Client, messages);
    expectSame(echoes, messages);
    expect({ code, wasClean }).toEqual({ code: 4321, wasClean: true });
  });
});
