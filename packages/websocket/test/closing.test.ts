import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket as Client } from "ws";
import { encodeFrame } from "../src/core/frame.ts";
import { Opcode } from "../src/core/opcode.ts";
import type { Handlers, ServerOptions, Socket, WebSocketError, WebSocketServer } from "../src/index.ts";
import { engine, open, raw, text, upgradeText } from "./served.ts";

describe("the end", () => {
  interface Life {
    readonly port: number;
    readonly server: WebSocketServer;
    readonly log: unknown[];
    readonly sockets: Socket[];
  }

  async function life(options: ServerOptions = {}, handlers: Handlers = {}): Promise<Life> {
    const log: unknown[] = [];
    const sockets: Socket[] = [];
    const server = engine(
      {
        open: (socket) => void sockets.push(socket),
        close: (socket, code, reason) => void log.push([code, reason, socket.state, socket.remoteAddress]),
        error: (_socket, error) => void log.push((error as WebSocketError).code),
        ...handlers,
      },
      options,
    );
    const { port } = await server.listen(0);
    return { port, server, log, sockets };
  }

  test("a peer's close is answered and reported", async () => {
    const { port, log, server } = await life();
    const client = await open(port);
    client.close(3001, "bye");
    expect((await once(client, "close"))[0]).toBe(3001);
    await expect.poll(() => log).toEqual([[3001, "bye", "closed", "127.0.0.1"]]);
    expect(server.sockets.size).toBe(0);
  });

  test("our close is sent once, and nothing after it", async () => {
    const { port, log, sockets } = await life();
    const client = await open(port);
    sockets[0]!.send("last");
    sockets[0]!.close(4001, "enough");
    expect(sockets[0]!.state).toBe("closing");
    expect(sockets[0]!.send("too late")).toBe(false);
    sockets[0]!.close(4002);
    const messages: string[] = [];
    client.on("message", (message: Buffer) => void messages.push(message.toString()));
    const [code, reason] = (await once(client, "close")) as [number, Buffer];
    expect([code, String(reason), messages]).toEqual([4001, "enough", ["last"]]);
    await expect.poll(() => log).toEqual([[4001, "enough", "closed", "127.0.0.1"]]);
  });

  test("a peer that vanishes in the middle of a message is 1006", async () => {
    const { port, log } = await life();
    const peer = await raw(port, text("half a message").subarray(0, 8));
    await once(peer, "data");
    peer.end();
    await expect.poll(() => log).toEqual([[1006, "", "closed", "127.0.0.1"]]);
  });

  test("a reset is reported, with its cause", async () => {
    const { port, log } = await life();
    const peer = await raw(port);
    await once(peer, "data");
    peer.resetAndDestroy();
    await expect.poll(() => log).toEqual(["RESET", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("a peer that does not answer our close is cut off after closeTimeout", async () => {
    const { port, log, sockets } = await life({ closeTimeout: 50 });
    const peer = await raw(port);
    await once(peer, "data");
    sockets[0]!.close();
    await expect.poll(() => log).toEqual(["CLOSE_TIMEOUT", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("a peer that closed but does not end its stream is cut off too", async () => {
    const { port, server } = await life({ closeTimeout: 50 });
    const peer = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    onTestFinished(() => void peer.destroy());
    peer.on("error", () => peer.destroy());
    peer.write(Buffer.concat([Buffer.from(upgradeText), encodeFrame(Opcode.close, Uint8Array.of(3, 232), { key: 5 })]));
    await once(peer, "data");
    await expect.poll(() => server.sockets.size).toBe(0);
  });

  test("a violation is told, and reported as 1006 with its error", async () => {
    const { port, log } = await life();
    const peer = await raw(port, encodeFrame(Opcode.text, Uint8Array.of(65)));
    const bytes: Buffer[] = [];
    peer.on("data", (chunk: Buffer) => void bytes.push(chunk));
    await once(peer, "end");
    expect(Buffer.concat(bytes).subarray(-4).toString("hex")).toBe("880203ea");
    await expect.poll(() => log).toEqual(["NOT_MASKED", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("a handler that throws closes its socket with 1011, and no other", async () => {
    const { port, log } = await life(
      {},
      {
        message: () => {
          throw new Error("on purpose");
        },
      },
    );
    const [one, other] = [await open(port), await open(port)];
    one.send("x");
    expect((await once(one, "close"))[0]).toBe(1011);
    expect(other.readyState).toBe(Client.OPEN);
    await expect.poll(() => log).toEqual(["HANDLER_FAILED", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("so does one that rejects", async () => {
    const { port, log } = await life(
      {},
      { message: () => Promise.reject(new Error("on purpose")) as unknown as undefined },
    );
    const client = await open(port);
    client.send("x");
    expect((await once(client, "close"))[0]).toBe(1011);
    await expect.poll(() => log).toEqual(["HANDLER_FAILED", [1006, "", "closed", "127.0.0.1"]]);
  });

  test("terminate cuts at once", async () => {
    const { port, log, sockets } = await life();
    const client = await open(port);
    client.on("error", () => undefined);
    sockets[0]!.terminate();
    expect((await once(client, "close"))[0]).toBe(1006);
    await expect.poll(() => log).toEqual([[1006, "", "closed", "127.0.0.1"]]);
  });

  test("a silent peer is pinged, and cut off when it does not answer", async () => {
    const { port, log } = await life({ pingInterval: 100, pingTimeout: 100 });
    const answering = await open(port);
    let pings = 0;
    answering.on("ping", () => pings++);
    const silent = await raw(port); // never answers
    await expect.poll(() => log).toEqual(["PEER_SILENT", [1006, "", "closed", "127.0.0.1"]]);
    await expect.poll(() => pings).toBeGreaterThan(3);
    expect(answering.readyState).toBe(Client.OPEN);
    expect(silent.destroyed || silent.readableEnded || silent.readable).toBe(true);
  });

  test("the server's close says goodbye to all, and ends when all have left", async () => {
    const { port, server } = await life();
    const clients = [await open(port), await open(port)];
    const closed = Promise.all(clients.map(async (client) => (await once(client, "close"))[0] as number));
    await server.close({ code: 1012, reason: "restart" });
    expect(await closed).toEqual([1012, 1012]);
    await expect(open(port)).rejects.toThrow("ECONNREFUSED");
  });

  test("the server's close cuts off who does not leave within its time", async () => {
    const { port, server } = await life();
    const peer = await raw(port);
    await once(peer, "data");
    const started = performance.now();
    await server.close({ within: 100 });
    expect(performance.now() - started).toBeLessThan(2000);
    expect(server.sockets.size).toBe(0);
  });
});
