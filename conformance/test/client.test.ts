import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

import { WebSocket } from "@zuruf/websocket";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { bytesOf, load, textOf, type Vector } from "../vector.ts";

/** One connection of a client to {@link Scripted}. */
class Session {
  readonly #bytes: Buffer;
  readonly #octets: boolean;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #changed: () => void = () => {};

  constructor(bytes: Buffer, octets: boolean) {
    this.#bytes = bytes;
    this.#octets = octets;
  }

  begin(socket: Socket): void {
    this.#socket = socket;
    let upgraded = false;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      if (!upgraded && this.#received.includes("\r\n\r\n")) {
        upgraded = true;
        const request = this.#received.toString("latin1");
        const key = /sec-websocket-key: *(\S+)/i.exec(request)?.[1] ?? "";
        const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
        this.#received = Buffer.alloc(0);
        // Agrees to what is offered, as the vectors of RFC 7692 assume.
        const offered = /sec-websocket-extensions: *(permessage-deflate[^\r]*)/i.exec(request)?.[1];
        const parameters = offered?.includes("server_no_context_takeover") ? "; server_no_context_takeover" : "";
        const extensions = offered === undefined ? "" : `Sec-WebSocket-Extensions: permessage-deflate${parameters}\r\n`;
        const head = Buffer.from(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${extensions}\r\n`,
        );
        // In one packet with the handshake, or byte by byte after it.
        if (this.#octets) void this.#trickle(socket, head);
        else socket.write(Buffer.concat([head, this.#bytes]));
      }
      this.#changed();
    });
  }

  async #trickle(socket: Socket, head: Buffer): Promise<void> {
    socket.write(head);
    for (const byte of this.#bytes) {
      if (!socket.writable) return;
      await new Promise<void>((resolve) => socket.write(Uint8Array.of(byte), () => setImmediate(resolve)));
    }
  }

  /** The client's frames, unmasked: first byte and payload in hexadecimal. All of them are masked (RFC 6455 §5.1). */
  frames(): string[] {
    const frames: string[] = [];
    let rest = this.#received;
    while (rest.length >= 6) {
      const length = rest.readUInt8(1) & 0x7f;
      expect(rest.readUInt8(1) & 0x80).toBe(0x80);
      if (rest.length < 6 + length) break;
      const payload = rest.subarray(6, 6 + length).map((byte, i) => byte ^ rest.readUInt8(2 + (i & 3)));
      frames.push(`${rest.readUInt8(0).toString(16)}:${Buffer.from(payload).toString("hex")}`);
      rest = rest.subarray(6 + length);
    }
    return frames;
  }

  /** Resolves when the client has sent `count` frames. */
  async framesCame(count: number): Promise<string[]> {
    while (this.frames().length < count) await new Promise<void>((resolve) => (this.#changed = resolve));
    return this.frames();
  }

  end(): void {
    this.#socket?.end();
  }
}

/** A server that does the handshake, sends what it is told to, and keeps what it gets. */
class Scripted {
  readonly #server: Server = createServer({ noDelay: true });
  readonly #sockets = new Set<Socket>();
  #next: Session | undefined;

  async start(): Promise<void> {
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      this.#next?.begin(socket);
    });
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** What the next connection gets. */
  play(bytes: Buffer, octets: boolean): Session {
    this.#next = new Session(bytes, octets);
    return this.#next;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

const server = new Scripted();
beforeAll(() => server.start());
afterAll(() => server.close());

const vectors = [...load("frames"), ...load("deflate")].filter(({ role }) => role === "client");

function expectedMessages(vector: Vector): (string | Buffer)[] {
  return vector.events.flatMap((event) => {
    if (event.type !== "message") return [];
    return ["text" in event ? textOf(event.text) : bytesOf(event.binary)];
  });
}

async function converse(vector: Vector, octets: boolean): Promise<void> {
  const session = server.play(bytesOf(vector.bytes), octets);
  const { deflate } = vector;
  const socket = new WebSocket(server.url, [], deflate ? { compression: { contextTakeover: deflate.context } } : {});
  socket.binaryType = "arraybuffer";
  const messages: (string | Buffer)[] = [];
  const wanted = expectedMessages(vector);
  const came = new Promise<void>((resolve) => {
    const look = (): void => {
      if (messages.length >= wanted.length) resolve();
    };
    socket.addEventListener("open", look);
    socket.addEventListener("message", ({ data }) => {
      messages.push(typeof data === "string" ? data : Buffer.from(data as ArrayBuffer));
      look();
    });
  });
  const closed = new Promise<{ code: number; reason: string; wasClean: boolean }>((resolve) => {
    socket.addEventListener("close", ({ code, reason, wasClean }) => resolve({ code, reason, wasClean }));
  });
  const answers = vector.answers.map(({ frame, payload }) => `${frame === "pong" ? "8a" : "88"}:${payload}`);
  if (typeof vector.outcome === "object") {
    const sent = await session.framesCame(answers.length + 1);
    session.end();
    const { code, wasClean } = await closed;
    expect(sent.slice(0, -1)).toEqual(answers);
    expect(vector.outcome.fails.map((status) => `88:${status.toString(16).padStart(4, "0")}`)).toContain(sent.at(-1));
    // What the application sees of a failed connection, RFC 6455 §7.1.5: no close frame came.
    expect({ code, wasClean }).toEqual({ code: 1006, wasClean: false });
  } else if (vector.outcome === "closed") {
    const sent = await session.framesCame(answers.length);
    session.end();
    const close = vector.events.find((event) => event.type === "close");
    expect(await closed).toEqual({ code: close?.code, reason: close?.reason, wasClean: true });
    expect(sent).toEqual(answers);
  } else {
    await came;
    expect(await session.framesCame(answers.length)).toEqual(answers);
    session.end();
    expect((await closed).wasClean).toBe(false);
  }
  expect(messages.length).toBe(wanted.length);
  for (const [i, message] of messages.entries()) expect(message).toEqual(wanted[i]);
}

describe("our client", () => {
  test.each(vectors.map((vector) => [`${vector.id} (${vector.section}): ${vector.says}`, vector] as const))(
    "%s",
    async (_title, vector) => {
      expect.hasAssertions();
      await converse(vector, false);
      if (bytesOf(vector.bytes).length <= 100) await converse(vector, true);
    },
  );
});
