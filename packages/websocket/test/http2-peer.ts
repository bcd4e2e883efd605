import { randomInt } from "node:crypto";
import { once } from "node:events";
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Connection } from "../src/core/index.ts";

/** A WebSocket of RFC 8441 on the client's side: one stream of a session, and the core. */
export class Http2Peer {
  readonly stream: ClientHttp2Stream;
  readonly response: Promise<IncomingHttpHeaders & { ":status"?: number }>;
  /** All that has arrived: messages, then the close frame as `[code, reason]`. */
  readonly received: (string | Uint8Array | readonly [number, string])[] = [];
  readonly #connection = new Connection({
    role: "client",
    mask: () => randomInt(2 ** 32) | 0,
    maxMessage: 2 ** 30,
    maxFrame: 2 ** 30,
    maxFragments: 1,
  });

  /** @param read false: reads nothing until `read` is called. */
  constructor(session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {}, read = true) {
    this.stream = session.request(
      {
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":scheme": "https",
        ":path": path,
        "sec-websocket-version": "13",
        ...headers,
      },
      { endStream: false },
    );
    this.stream.on("error", () => undefined);
    this.stream.on("end", () => this.stream.end()); // RFC 6455 §7.1.1: the server ends first
    this.response = new Promise((resolve, reject) => {
      this.stream.once("response", resolve);
      this.stream.once("close", () => reject(new Error(`closed with ${this.stream.rstCode} without a response`)));
    });
    this.response.catch(() => undefined);
    if (read) this.read();
  }

  read(): void {
    this.stream.on("data", (chunk: Buffer) => {
      this.#connection.feed(chunk);
      for (let event = this.#connection.next(); event !== undefined; event = this.#connection.next()) {
        if (event.type === "close") this.received.push([event.code, event.reason]);
        if (event.type !== "message") continue;
        const bytes = event.bytes.slice(event.start, event.end);
        this.received.push(event.text ? Buffer.from(bytes).toString() : new Uint8Array(bytes));
      }
      this.#flush();
    });
  }

  send(message: string | Uint8Array): void {
    this.#connection.send(message);
    this.#flush();
  }

  close(code: number, reason: string): void {
    this.#connection.close(code, reason);
    this.#flush();
  }

  /** @returns the code of RST_STREAM; 0 when there was none. */
  async closed(): Promise<number> {
    if (!this.stream.closed) await once(this.stream, "close");
    return this.stream.rstCode ?? 0;
  }

  #flush(): void {
    for (const chunk of this.#connection.takeOutput()) this.stream.write(chunk);
  }
}
