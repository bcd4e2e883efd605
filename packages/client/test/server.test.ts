import { type Application, startService, type Service, ZurufError } from "@zuruf/server";
import { WebSocket } from "@zuruf/websocket";
import { WebSocket as UndiciWebSocket } from "undici";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket as WsWebSocket } from "ws";
import { binaryCodec } from "../src/binary.ts";
import { type Client, type ClientOptions, createClient } from "../src/index.ts";

let service: Service;
const clients: Client[] = [];

async function start(port = 0): Promise<void> {
  const app: Application = (zuruf) => {
    zuruf.onConnect(({ token }) => (token === undefined ? undefined : { user: token }));
    zuruf.channel("kept", { history: { size: 1000, ttl: "1h" }, publish: "anyone" });
    zuruf.channel("short", { history: { size: 3, ttl: "1h" }, publish: "anyone" });
    zuruf.channel("plain", { publish: "anyone" });
    zuruf.channel("users", { publish: "user", subscribe: "user" });
  };
  service = await startService({ port, drainWindow: 0, app });
}

beforeAll(() => start());
afterAll(async () => {
  for (const client of clients) client.disconnect();
  await service.close();
});

function connect(options: ClientOptions = {}): Client {
  const client = createClient(`${service.url}/ws`, { backoff: { min: 50, max: 200 }, ...options });
  clients.push(client);
  return client;
}

/** A client whose sockets can be cut as a network does it. */
function cuttable(options: ClientOptions = {}): { client: Client; cut: () => void } {
  let socket: WebSocket | undefined;
  const client = connect({
    transport: (url, protocols) => (socket = new WebSocket(url, protocols)),
    ...options,
  });
  return { client, cut: () => socket?.onclose?.({ code: 1006, reason: "" } as never) };
}

describe("on the real server", () => {
  test("Node without a WebSocket of its own uses ours", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const client = connect();
    await client.channel("plain").subscribe();
    expect([client.state, client.id?.length]).toEqual(["connected", expect.any(Number)]);
    expect(client.instance).toBe(service.zuruf.instance);
    vi.unstubAllGlobals();
  });

  test.each([
    ["@zuruf/websocket", WebSocket],
    // Node's own since 22.
    ["undici", UndiciWebSocket],
    ["ws", WsWebSocket],
  ])("any WHATWG WebSocket will do: %s", async (_, Socket) => {
    const client = connect({ transport: (url, protocols) => new Socket(url, protocols) });
    const room = client.channel("plain");
    const heard: unknown[] = [];
    room.on("publication", ({ data }) => void heard.push(data));
    await room.subscribe();
    await room.publish("ä€😀");
    await room.publish(Uint8Array.of(0, 128, 255));
    await expect.poll(() => heard).toEqual(["ä€😀", Uint8Array.of(0, 128, 255)]);
    client.disconnect();
    expect(client.state).toBe("disconnected");
  });

  test("the binary codec", async () => {
    const client = connect({ codec: binaryCodec });
    const room = client.channel("kept");
    const heard: unknown[] = [];
    await room.subscribe();
    room.on("publication", ({ data }) => void heard.push(data));
    const { position } = await room.publish({ text: "ä€😀" });
    await room.publish(Uint8Array.of(0, 128, 255));
    await expect.poll(() => heard).toEqual([{ text: "ä€😀" }, Uint8Array.of(0, 128, 255)]);
    const page = await room.history({ ...(position && { after: position }) });
    expect(page.publications.map(({ data, own }) => [data, own])).toEqual([[Uint8Array.of(0, 128, 255), true]]);
    await expect(client.channel("missing").subscribe()).rejects.toMatchObject({ code: "notFound" });
  });

  test("an address where nobody is, or nobody speaks WebSocket", async () => {
    for (const url of ["ws://127.0.0.1:1/ws", `${service.url}/healthz`, `${service.url}/nowhere`]) {
      for (const Socket of [WebSocket, UndiciWebSocket, WsWebSocket]) {
        const client = createClient(url, { transport: (to, protocols) => new Socket(to, protocols) });
        clients.push(client);
        const state = new Promise((resolve) => {
          client.on("state", (event) => void (event.retryIn !== undefined && resolve(event)));
        });
        client.connect();
        expect(await state).toMatchObject({ state: "connecting", code: 1006 });
        client.disconnect();
      }
    }
  });

  test("publish, subscribe, own, history, bytes", async () => {
    const [ada, bob] = [connect({ token: "ada" }), connect()];
    const heard: unknown[] = [];
    const room = bob.channel("kept");
    room.on("publication", ({ data, publisher, own }) => void heard.push([data, publisher?.user, own]));
    await room.subscribe();
    const first = await ada.channel("kept").publish({ text: "hi" });
    await ada.channel("kept").publish(Uint8Array.of(1, 2, 255));
    await room.publish("mine");
    await expect.poll(() => heard.length).toBe(3);
    expect(heard).toEqual([
      [{ text: "hi" }, "ada", false],
      [Uint8Array.of(1, 2, 255), "ada", false],
      ["mine", undefined, true],
    ]);
    const page = await room.history({ ...(first.position && { after: first.position }), limit: 10 });
    expect(page.publications.map(({ data, own }) => [data, own])).toEqual([
      [Uint8Array.of(1, 2, 255), false],
      ["mine", true],
    ]);
    expect(page.position).toEqual(room.position);
  });

  test("an interruption loses nothing and doubles nothing", async () => {
    const { client, cut } = cuttable();
    const heard: unknown[] = [];
    const recovered: boolean[] = [];
    const room = client.channel("kept");
    await room.subscribe();
    room.on("publication", ({ data }) => void heard.push(data));
    room.on("subscribed", (event) => void recovered.push(event.recovered));
    const other = connect().channel("kept");
    for (let n = 0; n < 60; n++) {
      await other.publish(n);
      if (n % 20 === 10) {
        cut();
        void room.publish(`queued ${n}`);
      }
    }
    await expect.poll(() => heard.length).toBe(63);
    expect(heard.filter((data) => typeof data === "number")).toEqual(Array.from({ length: 60 }, (_, n) => n));
    expect(heard.filter((data) => typeof data === "string")).toEqual(["queued 10", "queued 30", "queued 50"]);
    expect(new Set(recovered)).toEqual(new Set([true]));
  });

  test("what retention took is said", async () => {
    // The longest delay that there is: the publications are there before the client is back.
    const { client, cut } = cuttable({ backoff: { min: 1000, max: 1000 }, random: () => 0.999 });
    const room = client.channel("short");
    await room.subscribe();
    const restarted = new Promise((resolve) => void room.on("restarted", resolve));
    cut();
    const other = connect().channel("short");
    for (let n = 0; n < 10; n++) await other.publish(n);
    expect(await restarted).toMatchObject({ reason: "retention", position: { offset: 10 } });
  });

  test("position first: from a position of the server", async () => {
    const position = await service.zuruf.position("kept");
    await service.zuruf.publish("kept", "between");
    const room = connect().channel("kept");
    const heard: unknown[] = [];
    room.on("publication", ({ data, publisher }) => void heard.push([data, publisher]));
    await room.subscribe({ position });
    await expect.poll(() => heard).toEqual([["between", undefined]]);
  });

  test("refusals", async () => {
    const nobody = connect();
    await expect(nobody.channel("users").publish(1)).rejects.toBeInstanceOf(ZurufError);
    await expect(nobody.channel("users").publish(1)).rejects.toMatchObject({ code: "unauthorized" });
    await expect(nobody.channel("users").subscribe()).rejects.toMatchObject({ code: "unauthorized" });
    await expect(nobody.channel("missing").subscribe()).rejects.toMatchObject({ code: "notFound" });
    await expect(nobody.channel("plain").publish("x".repeat(70_000))).rejects.toMatchObject({ code: "tooLarge" });
    await expect(nobody.channel("plain").publish("x".repeat(5_000_000))).rejects.toMatchObject({ code: "tooMany" });
    const large = connect({ queue: { bytes: 1e7 } });
    await expect(large.channel("plain").publish("x".repeat(5_000_000))).rejects.toMatchObject({ code: "tooLarge" });
  });

  test("a server that restarts: the queue goes out, the instance is new", async () => {
    const client = connect();
    const room = client.channel("plain");
    const heard: unknown[] = [];
    room.on("publication", ({ data }) => void heard.push(data));
    await room.subscribe();
    const before = client.instance;
    const { port } = service;
    await service.close();
    const published = Promise.all([1, 2, 3].map((n) => room.publish(n)));
    await start(port);
    await published;
    await expect.poll(() => heard).toEqual([1, 2, 3]);
    expect(client.instance).not.toBe(before);
  });
});
