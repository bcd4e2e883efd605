import { afterEach, describe, expect, test, vi } from "vitest";
import { type Client, type ClientEvents, createClient, ZurufError } from "../src/core.ts";
import { ScriptedServer, settled } from "./scripted-server.ts";

type StateEvent = ClientEvents["state"];

function watched(client: Client): { states: StateEvent[]; errors: ZurufError[] } {
  const states: StateEvent[] = [];
  const errors: ZurufError[] = [];
  client.on("state", (event) => void states.push(event));
  client.on("error", (error) => void errors.push(error));
  return { states, errors };
}

/** Makes this look like a page whose events the test fires. */
function page(): {
  fire: (event: string) => void;
  handlers: Map<string, (event: { type: string }) => void>;
  document: { visibilityState: string };
} {
  const handlers = new Map<string, (event: { type: string }) => void>();
  const document = { visibilityState: "visible" };
  vi.stubGlobal("addEventListener", handlers.set.bind(handlers));
  vi.stubGlobal("removeEventListener", (event: string) => void handlers.delete(event));
  vi.stubGlobal("document", document);
  return { fire: (type) => handlers.get(type)?.({ type }), handlers, document };
}

describe("connecting", () => {
  test("the handshake: protocol, token, session", async () => {
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", { ...server.options, token: async () => "t0ken", heartbeat: 9000 });
    const { states } = watched(client);
    expect(client.state).toBe("disconnected");
    client.connect();
    client.connect();
    expect(client.state).toBe("connecting");
    await settled();
    expect(server.asked).toEqual([{ url: "ws://host/ws", protocols: ["zuruf.v1.json"] }]);
    expect(server.line.received).toEqual([{ type: "connect", id: 1, token: "t0ken", heartbeat: 9000 }]);
    expect(server.line.binaryType).toBe("arraybuffer");
    expect([client.state, client.id, client.instance, client.user]).toEqual(["connected", "c1", "i1", undefined]);
    expect(states).toEqual([
      { state: "connecting", previous: "disconnected", reason: "requested" },
      { state: "connected", previous: "connecting", reason: "answered" },
    ]);
  });

  test("http addresses become ws addresses", () => {
    const server = new ScriptedServer();
    createClient("https://host/ws", server.options).connect();
    return settled().then(() => expect(server.asked[0]?.url).toBe("wss://host/ws"));
  });

  test("an address that is none is refused at once", () => {
    for (const url of ["not an address", "/ws", "ftp://host/ws", "ws://", "http://host:port/ws"])
      expect(() => createClient(url)).toThrow(`not an address of a WebSocket server (ws://…): ${url}`);
    expect(() => createClient("ws://host/ws").channel("no spaces")).toThrow(/no channel name/);
  });

  test("a relative address is this page's own server's", async () => {
    vi.stubGlobal("location", { href: "https://example.com/a/page" });
    const server = new ScriptedServer();
    createClient("/ws", server.options).connect();
    vi.unstubAllGlobals();
    await settled();
    expect(server.asked[0]?.url).toBe("wss://example.com/ws");
  });

  test("disconnect() ends it and stays away; connect() comes back with the same client id", async () => {
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    client.connect();
    await settled();
    const { states } = watched(client);
    client.disconnect();
    client.disconnect();
    expect(states).toEqual([{ state: "disconnected", previous: "connected", reason: "requested" }]);
    expect(server.line.closed).toEqual({ code: 1000, reason: undefined });
    await server.clock.advance(1e6);
    expect(server.lines.length).toBe(1);
    expect(server.clock.timers).toBe(0);
    await expect(client.channel("x").publish(1)).rejects.toMatchObject({ code: "notStored" });
    client.connect();
    await settled();
    expect(server.line.of("connect")[0]?.resume).toEqual(["c1", "s"]);
    expect(client.id).toBe("c1");
  });
});

describe("coming back", () => {
  afterEach(() => vi.unstubAllGlobals());

  test("with full jitter from the first retry on, doubling to a bound", async () => {
    const server = new ScriptedServer();
    server.opens = false;
    const client = createClient("ws://host/ws", { ...server.options, backoff: { min: 1000, max: 5000 } });
    const { states } = watched(client);
    client.connect();
    for (const wait of [500, 1000, 2000, 2500, 2500]) {
      await settled();
      const attempts = server.lines.length;
      server.line.end();
      expect(states.at(-1)).toEqual({
        state: "connecting",
        previous: "connecting",
        reason: "lost",
        code: 1006,
        retryIn: wait,
      });
      await server.clock.advance(wait - 1);
      expect(server.lines.length).toBe(attempts);
      await server.clock.advance(1);
      expect(server.lines.length).toBe(attempts + 1);
    }
  });

  test("delays start small again only after a connection that lasted", async () => {
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    const { states } = watched(client);
    client.connect();
    const delays: (number | undefined)[] = [];
    for (const life of [0, 0, 0, 5000, 0]) {
      await server.clock.advance(life);
      server.line.end(1012);
      delays.push(states.at(-1)?.retryIn);
      await server.clock.advance(60_000);
      if (life === 5000) continue;
    }
    // After the waits above every connection has lasted: each first delay is the first ceiling's half.
    expect(delays).toEqual([500, 500, 500, 500, 500]);
    server.line.end();
    await server.clock.advance(500);
    server.line.end();
    expect(states.at(-1)?.retryIn).toBe(1000);
  });

  test.each([
    [4000, "never"],
    [4399, "never"],
    [4400, "later"],
    [4699, "later"],
    [4700, "now"],
    [4999, "now"],
    [1000, "later"],
    [1009, "later"],
    [3000, "later"],
  ])("close code %i: returns %s", async (code, returns) => {
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    const { states } = watched(client);
    client.connect();
    // Fails twice first, so that "later" and "now" differ.
    for (let i = 0; i < 2; i++) {
      await settled();
      server.line.end();
      await server.clock.advance(states.at(-1)?.retryIn ?? 0);
    }
    await settled();
    expect(client.state).toBe("connected");
    server.line.end(code, "word");
    expect(states.at(-1)).toMatchObject({ reason: "word", code, previous: "connected" });
    expect(states.at(-1)?.state).toBe(returns === "never" ? "disconnected" : "connecting");
    expect(states.at(-1)?.retryIn).toBe({ never: undefined, later: 2000, now: 500 }[returns]);
  });

  test("the server's retryAfter is the least delay, also when woken", async () => {
    const { fire } = page();
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    const { states } = watched(client);
    client.connect();
    await settled();
    server.line.end(4400, "draining retryAfter=30000");
    expect(states.at(-1)).toMatchObject({ state: "connecting", reason: "draining", code: 4400, retryIn: 30_500 });
    await server.clock.advance(29_000);
    fire("online");
    await server.clock.advance(999);
    expect(server.lines.length).toBe(1);
    await server.clock.advance(501);
    expect(server.lines.length).toBe(2);
  });

  test("what hangs is given up after the timeout: the token, the opening, the answer", async () => {
    const server = new ScriptedServer();
    let ask: () => Promise<string> = () => new Promise<string>(() => undefined);
    const client = createClient("ws://host/ws", { ...server.options, timeout: 4000, token: () => ask() });
    const { states, errors } = watched(client);
    client.connect();
    await server.clock.advance(4000);
    expect(states.at(-1)).toMatchObject({ reason: "timeout", retryIn: 500 });
    ask = async () => "t";
    server.opens = false;
    await server.clock.advance(4500);
    expect([server.lines.length, states.at(-1)?.retryIn]).toEqual([1, 1000]);
    server.opens = true;
    server.script = (packet) => (packet.type === "connect" ? null : undefined);
    await server.clock.advance(5000);
    expect([server.lines.length, states.at(-1)?.retryIn]).toEqual([2, 2000]);
    expect(errors.map(({ code }) => code)).toEqual(["timeout", "timeout", "timeout"]);
    server.script = () => undefined;
    await server.clock.advance(2000);
    expect(client.state).toBe("connected");
  });

  test("a token that cannot be had is asked for again, unless its error says that this is of no use", async () => {
    const server = new ScriptedServer();
    const answers = [new Error("login server is away"), new ZurufError("unauthorized", "sign in first")];
    const client = createClient("ws://host/ws", { ...server.options, token: () => Promise.reject(answers.shift()) });
    const { states, errors } = watched(client);
    client.connect();
    await settled();
    expect(states.at(-1)).toMatchObject({ state: "connecting", reason: "token", retryIn: 500 });
    await server.clock.advance(500);
    expect(states.at(-1)).toMatchObject({ state: "disconnected", reason: "token" });
    expect(errors[0]?.cause).toMatchObject({ message: "login server is away" });
    expect(errors[1]).toMatchObject({ code: "unauthorized" });
    expect(server.lines.length).toBe(0);
  });

  test("a handshake answered with an error: retried where the error says so", async () => {
    const server = new ScriptedServer();
    const refusals = [["unavailable", "later", true, 7000] as const, ["unauthorized", "no", false, 0] as const];
    server.script = ({ type }) => {
      const error = type === "connect" ? refusals.shift() : undefined;
      return error && { type: "error", id: 1, error };
    };
    const client = createClient("ws://host/ws", server.options);
    const { states } = watched(client);
    const subscribed = client.channel("c").subscribe();
    await settled();
    expect(states.at(-1)).toMatchObject({ state: "connecting", reason: "unavailable", retryIn: 7500 });
    const refused = subscribed.catch((error: unknown) => error);
    await server.clock.advance(7500);
    expect(states.at(-1)).toMatchObject({ state: "disconnected", reason: "unauthorized" });
    expect(await refused).toMatchObject({ code: "unauthorized" });
  });

  test("a transport that throws is a failed attempt", async () => {
    const server = new ScriptedServer();
    const transport = (): never => {
      throw new Error("no network here");
    };
    const client = createClient("ws://host/ws", { ...server.options, transport });
    const { states, errors } = watched(client);
    client.connect();
    await settled();
    expect(states.at(-1)).toMatchObject({ reason: "transport", retryIn: 500 });
    expect(errors[0]?.cause).toMatchObject({ message: "no network here" });
  });

  test("what is no packet ends the connection, and the next recovers", async () => {
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    const { states } = watched(client);
    client.connect();
    await settled();
    server.line.sayRaw(`["msg","c",1.5,{}]`);
    expect(states.at(-1)).toMatchObject({ reason: "badPacket", retryIn: 500 });
    expect(server.line.closed).toBeDefined();
    await server.clock.advance(500);
    expect(client.state).toBe("connected");
    server.line.sayRaw(`["whatever","the future brings",{}]`);
    expect(client.state).toBe("connected");
  });
});

describe("heartbeat", () => {
  async function beating(): Promise<{ server: ScriptedServer; client: Client; states: StateEvent[] }> {
    const server = new ScriptedServer();
    server.heartbeat = 10_000;
    const client = createClient("ws://host/ws", server.options);
    const { states } = watched(client);
    client.connect();
    await settled();
    return { server, client, states };
  }

  test("says that it lives after an interval of its own silence", async () => {
    const { server } = await beating();
    await server.clock.advance(9_999);
    expect(server.line.of("ping")).toEqual([]);
    await server.clock.advance(1);
    expect(server.line.of("ping")).toEqual([{ type: "ping" }]);
  });

  test("a server that says nothing for two intervals and 5 s is gone", async () => {
    const { server, client, states } = await beating();
    await server.clock.advance(20_000);
    server.line.say({ type: "ping" });
    await server.clock.advance(24_999);
    expect(client.state).toBe("connected");
    const [line] = server.lines;
    await server.clock.advance(1);
    expect(states.at(-1)).toMatchObject({ state: "connecting", reason: "silent" });
    expect(line?.closed).toBeDefined();
  });

  test("after a sleep it asks before it judges", async () => {
    const { server, client, states } = await beating();
    server.clock.sleep(3_600_000);
    await server.clock.advance(0);
    expect(client.state).toBe("connected");
    expect(server.line.of("ping").at(-1)?.id).toBeTypeOf("number");
    await server.clock.advance(5_000);
    expect(client.state).toBe("connected");
    server.script = ({ type }) => (type === "ping" ? null : undefined);
    server.clock.sleep(3_600_000);
    await server.clock.advance(5_000);
    expect(states.at(-1)).toMatchObject({ state: "connecting", reason: "silent" });
  });

  test("a clock that is set back does not stop it", async () => {
    const { server, client } = await beating();
    server.clock.set(-3_600_000);
    for (let i = 0; i < 4; i++) {
      await server.clock.advance(10_000);
      server.line.say({ type: "ping" });
    }
    expect(server.line.of("ping").length).toBeGreaterThanOrEqual(2);
    await server.clock.advance(25_000);
    expect(client.state).toBe("connecting");
  });

  test("a hidden page, whose timers are late, answers messages with a sign of life", async () => {
    const { server } = await beating();
    server.clock.sleep(10_000);
    server.line.say({ type: "ping" });
    expect(server.line.of("ping")).toEqual([{ type: "ping" }]);
  });
});

describe("waking", () => {
  afterEach(() => vi.unstubAllGlobals());

  test("the network is back: the long wait ends", async () => {
    const { fire, handlers } = page();
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    client.connect();
    server.opens = false;
    for (let i = 0; i < 6; i++) {
      await server.clock.advance(20_000);
      server.line.end();
    }
    const attempts = server.lines.length;
    server.opens = true;
    fire("online");
    await server.clock.advance(500);
    expect([client.state, server.lines.length]).toEqual(["connected", attempts + 1]);
    client.disconnect();
    expect(handlers.size).toBe(0);
  });

  test("the page is looked at: is the connection still there?", async () => {
    const { fire, document } = page();
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    client.connect();
    await settled();
    document.visibilityState = "hidden";
    fire("visibilitychange");
    expect(server.line.of("ping")).toEqual([]);
    document.visibilityState = "visible";
    fire("visibilitychange");
    expect(server.line.of("ping").length).toBe(1);
    await server.clock.advance(10_000);
    expect(client.state).toBe("connected");
    server.script = ({ type }) => (type === "ping" ? null : undefined);
    fire("visibilitychange");
    await server.clock.advance(5_000);
    expect(client.state).toBe("connecting");
  });

  test("what was on its way before is no answer, but data that flows is life", async () => {
    const { fire } = page();
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    client.connect();
    await settled();
    server.script = ({ type }) => (type === "ping" ? null : undefined);
    fire("visibilitychange");
    for (let i = 0; i < 5; i++) {
      await server.clock.advance(4_000);
      server.line.say({ type: "ping" });
    }
    expect(client.state).toBe("connected");
    await server.clock.advance(4_999);
    expect(client.state).toBe("connected");
    await server.clock.advance(1);
    expect(client.state).toBe("connecting");
  });

  test("the network is gone: a connection that answers stays, one that does not ends within 5 s, and nothing is hurried", async () => {
    const { fire } = page();
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    const { states } = watched(client);
    client.connect();
    await settled();
    fire("offline");
    await server.clock.advance(6_000);
    expect(client.state).toBe("connected");
    server.script = ({ type }) => (type === "ping" ? null : undefined);
    fire("offline");
    await server.clock.advance(5_000);
    expect(states.at(-1)).toMatchObject({ state: "connecting", reason: "silent", retryIn: 500 });
    const events = states.length;
    fire("offline");
    expect(states.length).toBe(events);
    await server.clock.advance(500);
    expect(client.state).toBe("connected");
  });
});

describe("events", () => {
  test("a handler may disconnect at any of them, and nothing stays behind", async () => {
    for (const at of ["connecting", "connected", "retry"] as const) {
      const server = new ScriptedServer();
      const client = createClient("ws://host/ws", { ...server.options, token: "t" });
      server.script = (packet) =>
        packet.type === "connect"
          ? {
              type: "connected",
              id: packet.id,
              client: "c",
              secret: "s",
              resumed: false,
              instance: "i",
              heartbeat: 1000,
              expires: 1000,
              limits: {},
            }
          : undefined;
      client.on("state", ({ state, retryIn }) => {
        if (state === at || (retryIn !== undefined && at === "retry")) client.disconnect();
      });
      client
        .channel("c")
        .subscribe()
        .catch(() => undefined);
      await settled();
      if (at === "retry") server.line.end();
      await settled();
      expect([at, client.state, server.clock.timers]).toEqual([at, "disconnected", 0]);
    }
  });

  afterEach(() => vi.unstubAllGlobals());

  test("a handler that throws is reported, and stops nobody else", async () => {
    const server = new ScriptedServer();
    const client = createClient("ws://host/ws", server.options);
    const caught = vi.fn<(run: () => void) => void>();
    vi.stubGlobal("queueMicrotask", caught);
    client.on("state", () => {
      throw new Error("the application's mistake");
    });
    const other = vi.fn<() => void>();
    const off = client.on("state", other);
    client.connect();
    expect(other).toHaveBeenCalledTimes(1);
    expect(caught.mock.calls[0]?.[0]).toThrow("the application's mistake");
    off();
    await settled();
    expect(client.state).toBe("connected");
    expect(other).toHaveBeenCalledTimes(1);
  });
});
