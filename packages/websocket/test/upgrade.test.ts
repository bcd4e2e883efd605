import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket as Client, WebSocketServer as OtherServer } from "ws";
import { encodeFrame } from "../src/core/frame.ts";
import { Opcode } from "../src/core/opcode.ts";
import { WebSocketError } from "../src/index.ts";
import type { Accept, Handlers, Refuse, Socket, UpgradeRequest } from "../src/index.ts";
import { engine, open, raw } from "./served.ts";

async function http(): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => void response.end("plain"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** The status that an upgrade is refused with. */
async function refusal(port: number, path = "/", headers: Record<string, string> = {}): Promise<number> {
  const client = new Client(`ws://127.0.0.1:${port}${path}`, { headers });
  client.on("error", () => client.terminate());
  const [, response] = (await once(client, "unexpected-response")) as [unknown, { statusCode: number; resume(): void }];
  response.resume();
  return response.statusCode;
}

describe("attach", () => {
  test("several engines serve several paths of one server, and a path that nobody serves gets 404", async () => {
    const { server, port } = await http();
    const echo = (name: string): Handlers => ({
      message: (socket, message) => void socket.send(`${name} ${String(message)}`),
    });
    engine(echo("one")).attach(server, { path: "/one" });
    engine(echo("two")).attach(server, { path: ["/two", "/zwei"] });
    for (const [path, name] of [
      ["/one", "one"],
      ["/two?x=/one", "two"],
      ["/zwei", "two"],
    ] as const) {
      const client = await open(port, path);
      client.send("hi");
      expect(String((await once(client, "message"))[0])).toBe(`${name} hi`);
    }
    expect(await refusal(port, "/three")).toBe(404);
    expect(await refusal(port, "/one/more")).toBe(404);
  });

  test("plain requests and other users of the upgrade event are left alone", async () => {
    const { server, port } = await http();
    const other = new OtherServer({ noServer: true });
    server.on("upgrade", (request, stream, head) => {
      if (request.url === "/other") other.handleUpgrade(request, stream, head, (socket) => socket.send("other"));
    });
    engine({ open: (socket) => void socket.send("ours") }, { handshakeTimeout: 200 }).attach(server, { path: "/ours" });
    const first = async (path: string): Promise<string> => {
      const client = new Client(`ws://127.0.0.1:${port}${path}`);
      onTestFinished(() => client.terminate());
      return String((await once(client, "message"))[0]);
    };
    expect(await first("/ours")).toBe("ours");
    expect(await first("/other")).toBe("other");
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("plain");
    expect(await refusal(port, "/nobody")).toBe(404); // only once the others had their time
  });

  test("a request for another upgrade is a plain request, RFC 9110 §7.8", async () => {
    const { server, port } = await http();
    engine({}).attach(server, { path: "/ws" });
    const answer = async (method: string, body: string): Promise<string> => {
      const peer = connect(port, "127.0.0.1");
      onTestFinished(() => void peer.destroy());
      peer.write(
        `${method} / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
          `HTTP2-Settings: AAEAAEAAAAIAAAAA\r\n${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`,
      );
      const chunks: Buffer[] = [];
      peer.on("data", (chunk: Buffer) => void chunks.push(chunk));
      await once(peer, "end");
      return Buffer.concat(chunks).toString();
    };
    expect(await answer("GET", "")).toMatch(/^HTTP\/1.1 200 OK[^]*Connection: close[^]*plain/);
    expect(await answer("POST", "body")).toMatch(/^HTTP\/1.1 501 /);
  });

  test("a path can be taken once, until its engine closes", async () => {
    const { server, port } = await http();
    const one = engine({});
    one.attach(server, { path: "/a" });
    const two = engine({});
    expect(() => two.attach(server, { path: ["/b", "/a"] })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
    expect(() => two.attach(server, { path: "a" })).toThrow(WebSocketError);
    await one.close();
    two.attach(server, { path: "/a" });
    await open(port, "/a");
  });
});

describe("upgrade", () => {
  test("sees the request and gives data, subprotocol and headers", async () => {
    const { server, port } = await http();
    const opened: Socket<{ user: string }>[] = [];
    engine<{ user: string }>({
      upgrade: ({ path, query, origin, protocols, remoteAddress, secure, headers }) => {
        expect({ path, query, origin, protocols, remoteAddress, secure }).toEqual({
          path: "/p",
          query: "q=1",
          origin: undefined,
          protocols: ["a", "b"],
          remoteAddress: "127.0.0.1",
          secure: false,
        });
        return { data: { user: headers.host ?? "" }, protocol: "b", headers: { "Set-Cookie": "c=d" } };
      },
      open: (socket) => void opened.push(socket),
    }).attach(server);
    const client = new Client(`ws://127.0.0.1:${port}/p?q=1`, ["a", "b"]);
    onTestFinished(() => client.terminate());
    const [[response]] = (await Promise.all([once(client, "upgrade"), once(client, "open")])) as [
      [{ headers: Record<string, unknown> }],
      unknown,
    ];
    expect(response.headers["set-cookie"]).toEqual(["c=d"]);
    expect(client.protocol).toBe("b");
    expect(opened[0]).toMatchObject({
      data: { user: `127.0.0.1:${port}` },
      protocol: "b",
      state: "open",
      remoteAddress: "127.0.0.1",
    });
  });

  test("may refuse, at once or later", async () => {
    const { server, port } = await http();
    engine({ upgrade: () => ({ status: 401 }) }).attach(server, { path: "/now" });
    engine({ upgrade: () => Promise.resolve({ status: 403, body: "no" }) }).attach(server, { path: "/later" });
    expect(await refusal(port, "/now")).toBe(401);
    expect(await refusal(port, "/later")).toBe(403);
  });

  test("may break the connection itself, at once or later", async () => {
    let refuses = false;
    const breakOff = ({ raw: { socket } }: UpgradeRequest): Accept<undefined> | Refuse => {
      socket.destroy(new Error("an error that nobody else listens to"));
      return refuses ? { status: 403 } : { data: undefined };
    };
    const { server, port } = await http();
    engine({ upgrade: breakOff }).attach(server, { path: "/at-once" });
    engine({ upgrade: async (request) => breakOff(request) }).attach(server, { path: "/later" });
    for (const path of ["/at-once", "/later", "/at-once", "/later"]) {
      await expect(open(port, path)).rejects.toThrow("socket hang up");
      refuses = path === "/later";
    }
  });

  test("the answer leaves with what the open handler sends", async () => {
    const { port } = await engine({ open: (socket) => void socket.send("welcome") }).listen(0);
    const [first] = (await once(await raw(port), "data")) as [Buffer];
    const frame = Buffer.from(encodeFrame(Opcode.text, Buffer.from("welcome"))).toString("latin1");
    expect(first.toString("latin1").split("\r\n\r\n")).toEqual([expect.stringMatching(/^HTTP\/1.1 101 /), frame]);
  });

  test("that throws, rejects, or gives what cannot be sent, answers 500 and warns", async () => {
    const warnings = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    onTestFinished(() => warnings.mockRestore());
    const { server, port } = await http();
    const fail = (): never => {
      throw new Error("on purpose");
    };
    engine({ upgrade: fail }).attach(server, { path: "/throws" });
    engine({ upgrade: () => Promise.reject(new Error("on purpose")) }).attach(server, { path: "/rejects" });
    engine({ upgrade: () => ({ data: undefined, protocol: "unasked" }) }).attach(server, { path: "/protocol" });
    engine({ upgrade: () => ({ data: undefined, headers: { "x-a": "b\r\nc: d" } }) }).attach(server, {
      path: "/header",
    });
    for (const path of ["/throws", "/rejects", "/protocol", "/header"]) expect(await refusal(port, path)).toBe(500);
    expect(warnings).toHaveBeenCalledTimes(4);
  });

  test("that does not answer is cut short by handshakeTimeout, and headers beyond maxHeader get 431", async () => {
    const { server, port } = await http();
    engine({ upgrade: () => new Promise<never>(() => undefined) }, { handshakeTimeout: 50 }).attach(server, {
      path: "/never",
    });
    engine({}, { maxHeader: 1000 }).attach(server, { path: "/small" });
    expect(await refusal(port, "/never")).toBe(503);
    expect(await refusal(port, "/small", { "x-large": "x".repeat(1000) })).toBe(431);
  });

  test("a peer that leaves while `upgrade` decides opens nothing", async () => {
    const { server, port } = await http();
    const opened = vi.fn<() => void>();
    let decide = (): void => undefined;
    const asked = new Promise<void>((resolve) => {
      engine({
        upgrade: () => {
          resolve();
          return new Promise<Accept<undefined>>((answer) => {
            decide = () => answer({ data: undefined });
          });
        },
        open: opened,
      }).attach(server);
    });
    const peer = await raw(port);
    await asked;
    const gone = new Promise((resolve) => void server.once("connection", resolve));
    peer.resetAndDestroy();
    connect(port, "127.0.0.1").end();
    await gone; // by then the reset has arrived too
    decide();
    await (await fetch(`http://127.0.0.1:${port}/`)).text();
    expect(opened).not.toHaveBeenCalled();
  });
});
