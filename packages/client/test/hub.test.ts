/** The SDK and the hub together, two instances on one broker, on virtual time: what needs both sides. */
import {
  Hub,
  type HubConnection,
  MemoryBroker,
  memoryBackplane,
  SharedMessages,
  type Transport as HubTransport,
} from "@zuruf/hub";
import { type Codec, jsonCodec } from "@zuruf/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { binaryCodec } from "../src/binary.ts";
import {
  type Client,
  type ClientOptions,
  createClient,
  type Member,
  type PresenceEvents,
  type Transport,
  ZurufError,
} from "../src/index.ts";
import { VirtualClock } from "./virtual-clock.ts";

let clock: VirtualClock;
let codec: Codec;
let hubs: Hub[];
let clients: Client[];

/** A line in memory. */
class Line implements Transport {
  readonly protocol: string;
  binaryType = "";
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  readonly #connection: HubConnection;
  #open = true;

  constructor(hub: Hub, codec: Codec) {
    this.protocol = codec.name;
    const deliver = (message: string | Uint8Array | SharedMessages): void => {
      for (const bytes of message instanceof SharedMessages ? message.messages : [message]) {
        const data = typeof bytes === "string" ? bytes : bytes.slice().buffer;
        queueMicrotask(() => void (this.#open && this.onmessage?.({ data })));
      }
    };
    const transport: HubTransport = {
      bufferedBytes: 0,
      send: (message) => {
        deliver(message);
        return true;
      },
      close: (code, reason) => queueMicrotask(() => this.#end(code, reason)),
    };
    this.#connection = hub.accept(transport, { codec, address: "127.0.0.1" });
    queueMicrotask(() => this.onopen?.({}));
  }

  send(message: string | Uint8Array): void {
    if (this.#open) queueMicrotask(() => void (this.#open && this.#connection.receive(message)));
  }

  close(code = 1000, reason = ""): void {
    queueMicrotask(() => this.#end(code, reason));
  }

  /** The network ends it. */
  cut(): void {
    this.#end(1006, "");
  }

  #end(code: number, reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#connection.closed(code, reason);
    this.onclose?.({ code, reason });
  }
}

/** Connects to the first instance, and after each cut to the next one. */
function connect(
  user?: string,
  { first = 0, ...options }: ClientOptions & { first?: number } = {},
): { client: Client; cut: () => void } {
  let line: Line | undefined;
  let next = first;
  const client = createClient("ws://host/ws", {
    clock,
    transport: () => (line = new Line(hubs[next++ % hubs.length] as Hub, codec)),
    ...(user !== undefined && { token: user }),
    // The client's own JSON codec is its default.
    ...(codec === binaryCodec && { codec }),
    ...options,
  });
  clients.push(client);
  client.connect();
  return { client, cut: () => line?.cut() };
}

const ids = (members: readonly Member[]): string[] => members.map(({ id }) => id).sort((a, b) => a.localeCompare(b));

beforeEach(async () => {
  clock = new VirtualClock();
  clients = [];
  const broker = new MemoryBroker({ clock });
  hubs = ["one", "two"].map((instance) => {
    const random = { bytes: (n: number) => crypto.getRandomValues(new Uint8Array(n)) };
    const hub = new Hub({ instance, backplane: memoryBackplane(broker), clock, random });
    hub.onConnect(({ token }) => (token === undefined ? undefined : { user: token }));
    hub.channel("room", { publish: "anyone", presence: true, history: { size: 100, ttl: "1h" } });
    hub.onDirect(() => undefined);
    return hub;
  });
  await Promise.all(hubs.map((hub) => hub.start()));
});

afterEach(async () => {
  for (const client of clients) client.disconnect();
  await Promise.all(hubs.map((hub) => hub.close()));
});

describe.each([jsonCodec, binaryCodec])("$name", (name) => {
  beforeEach(() => {
    codec = name;
  });

  describe("presence over two instances", () => {
    test("several tabs are one member with several connections, and a short interruption is nothing", async () => {
      const { client: watcher } = connect("eve", { first: 1 });
      const room = watcher.channel("room");
      const changes: PresenceEvents["change"][] = [];
      room.presence.on("change", (change) => void changes.push(change));
      await room.subscribe();
      await clock.advance(5_000);
      expect(ids(room.presence.members)).toEqual(["user:eve"]);
      const tabs = [connect("ada"), connect("ada"), connect()];
      for (const [tab, { client }] of tabs.entries()) {
        await client.channel("room").subscribe({ info: { tab } });
        await clock.advance(10);
      }
      await clock.advance(2_000);
      const anonymous = tabs[2]?.client.id ?? "";
      expect(ids(room.presence.members)).toEqual(
        [anonymous, "user:ada", "user:eve"].sort((a, b) => a.localeCompare(b)),
      );
      const ada = room.presence.members.find(({ user }) => user === "ada");
      expect(ada?.connections.map(({ client, info }) => [client, info])).toEqual([
        [tabs[0]?.client.id, { tab: 0 }],
        [tabs[1]?.client.id, { tab: 1 }],
      ]);
      expect(await room.presence.count()).toMatchObject({ members: 3, connections: 4 });
      changes.length = 0;
      tabs[2]?.cut();
      await clock.advance(4_000);
      expect(tabs[2]?.client.state).toBe("connected");
      await clock.advance(10_000);
      expect(changes.flatMap(({ left, joined }) => [...left, ...joined])).toEqual([]);
      tabs[2]?.client.disconnect();
      await clock.advance(10_000);
      expect(changes.flatMap(({ left }) => ids(left))).toEqual([anonymous]);
    });
  });

  describe("client 1 to client 5", () => {
    test("a direct message, wherever the other is", async () => {
      const [{ client: one }, { client: five }] = [connect("ada"), connect("bob", { first: 1 })];
      const heard: unknown[] = [];
      five.on("message", ({ data, from, user }) => void heard.push([data, from, user]));
      await clock.advance(100);
      expect([one.instance, five.instance]).toEqual(["one", "two"]);
      const receipts = [one.send(five.id ?? "", { text: "psst" }), one.send("user:bob", Uint8Array.of(7))];
      receipts.push(one.send("user:nobody", 1));
      await clock.advance(10_000);
      expect(await Promise.all(receipts)).toEqual(["delivered", "delivered", "offline"]);
      expect(heard).toEqual([
        [{ text: "psst" }, one.id, "ada"],
        [Uint8Array.of(7), one.id, "ada"],
      ]);
    });

    test("who does not listen has not received it", async () => {
      const [{ client: one }, { client: five }] = [connect("ada"), connect("bob", { first: 1 })];
      await clock.advance(100);
      const receipt = one.send(five.id ?? "", 1, { timeout: 1_000 });
      await clock.advance(10_000);
      expect(await receipt).toBe("unknown");
    });
  });

  describe("calls", () => {
    test("both ways, with errors of the application's own", async () => {
      for (const hub of hubs) {
        hub.handle("greet", ({ user, data }) => `hello ${user ?? "nobody"}, ${String(data)}`);
        hub.handle("what", ({ data }) => ({ data }));
        hub.handle("refuse", () => {
          throw new ZurufError("soldOut", "come back tomorrow", { retryable: true, retryAfter: 60_000 });
        });
      }
      const { client } = connect("ada", { first: 1 });
      client.handle("double", (data) => (data as number) * 2);
      client.handle("what", (data) => ({ data }));
      expect(await client.call("greet", "you")).toBe("hello ada, you");
      expect(await client.call("what")).toEqual({ data: null });
      await expect(client.call("refuse", 1)).rejects.toMatchObject({ code: "soldOut", retryAfter: 60_000 });
      await expect(client.call("missing", 1)).rejects.toMatchObject({ code: "notFound" });
      expect(await hubs[0]?.call(client.id ?? "", "double", 21)).toBe(42);
      expect(await hubs[0]?.call(client.id ?? "", "what")).toEqual({ data: null });
      await expect(hubs[0]?.call(client.id ?? "", "missing", 21)).rejects.toMatchObject({ code: "notFound" });
    });
  });

  describe("sessions", () => {
    test("the client id survives a move to another instance", async () => {
      const { client, cut } = connect("ada");
      await client.channel("room").subscribe();
      const { id } = client;
      expect(client.instance).toBe("one");
      cut();
      await clock.advance(2_000);
      expect([client.state, client.instance, client.id]).toEqual(["connected", "two", id]);
    });

    test("one that expires is refreshed without a reconnect", async () => {
      let tokens = 0;
      for (const hub of hubs) hub.onConnect(({ token }) => ({ user: String(token), expires: clock.now() + 60_000 }));
      const { client } = connect(undefined, { token: () => (tokens++, "ada") });
      const states: string[] = [];
      await client.channel("room").subscribe();
      client.on("state", ({ state }) => void states.push(state));
      await clock.advance(600_000);
      expect(states).toEqual([]);
      expect(tokens).toBeGreaterThan(10);
    });

    test("a draining instance sends its clients on, and they lose nothing", async () => {
      const { client } = connect("ada");
      const room = client.channel("room");
      const heard: unknown[] = [];
      room.on("publication", ({ data }) => void heard.push(data));
      await room.subscribe();
      const drained = hubs[0]?.drain({ within: 1_000 });
      for (let n = 0; n < 20; n++) {
        await hubs[1]?.publish("room", n);
        await clock.advance(500);
      }
      await drained;
      expect(client.instance).toBe("two");
      expect(heard).toEqual(Array.from({ length: 20 }, (_, n) => n));
    });
  });
});
