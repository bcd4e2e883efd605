import { WebSocket } from "ws";

type Packet = [string, ...unknown[]];

/** A client that is not ours, speaking the JSON codec by hand. */
export class PacketClient {
  readonly socket: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #packets: Packet[] = [];
  readonly #waiting: (() => void)[] = [];
  #ended = false;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer) => {
      this.#packets.push(JSON.parse(data.toString()) as Packet);
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#ended = true;
        this.#wake();
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  /** Opens a WebSocket and connects. @param url the service's. */
  static async open(
    url: string,
    options: { readonly token?: string; readonly path?: string; readonly headers?: Record<string, string> } = {},
  ): Promise<PacketClient> {
    const socket = new WebSocket(`${url.replace(/^http/, "ws")}${options.path ?? "/ws"}`, ["zuruf.v1.json"], {
      headers: options.headers ?? {},
    });
    const client = new PacketClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.on("open", resolve).on("error", reject);
    });
    client.send("connect", 1, options.token === undefined ? {} : { token: options.token });
    return client;
  }

  send(...packet: Packet): void {
    this.socket.send(JSON.stringify(packet));
  }

  /** Takes the first packet that fits, waiting for it. */
  async next(fits: (packet: Packet) => boolean): Promise<Packet> {
    for (;;) {
      const at = this.#packets.findIndex(fits);
      if (at >= 0) return this.#packets.splice(at, 1)[0] as Packet;
      if (this.#ended) throw new Error(`closed; left: ${JSON.stringify(this.#packets)}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Sends a request and takes its answer. */
  async ask(word: string, id: number, ...rest: unknown[]): Promise<Packet> {
    this.send(word, id, ...rest);
    return this.answer(id);
  }

  answer(id: number): Promise<Packet> {
    return this.next((packet) => packet[1] === id && packet[0] !== "msg");
  }

  close(): void {
    this.socket.close();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** What an upgrade request is answered with, by status; 101 when it becomes a WebSocket. */
export function upgradeStatus(
  url: string,
  options: { readonly path?: string; readonly origin?: string; readonly headers?: Record<string, string> } = {},
): Promise<number> {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}${options.path ?? "/ws"}`, [], {
    ...(options.origin === undefined ? {} : { origin: options.origin }),
    headers: options.headers ?? {},
  });
  return new Promise((resolve, reject) => {
    socket.on("open", () => {
      socket.terminate();
      resolve(101);
    });
    socket.on("unexpected-response", (request, response) => {
      request.destroy();
      resolve(response.statusCode ?? 0);
    });
    socket.on("error", (error) => {
      reject(error);
    });
  });
}
