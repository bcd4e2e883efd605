/** A TCP proxy that can swallow what passes through it, in one direction or both, or speak in the client's name. */
import { connect, createServer, type Server, type Socket } from "node:net";

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** What the client said first: its name is in there. */
  greeting: string;
  /** Nothing reaches the client any more. */
  deaf: boolean;
}

export class Proxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  port = 0;
  /** Swallows bytes of pairs for which it says so; the connection stays open. */
  swallow: (direction: "up" | "down", greeting: string) => boolean = () => false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(target: number): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server);
    server.on("connection", (client) => proxy.#accept(client, connect(target, "127.0.0.1")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (typeof address !== "object" || address === null) throw new Error("no address");
    proxy.port = address.port;
    return proxy;
  }

  #accept(client: Socket, server: Socket): void {
    const pair: Pair = { client, server, greeting: "", deaf: false };
    this.#pairs.add(pair);
    client.on("data", (chunk) => {
      if (pair.greeting.length < 2000) pair.greeting += chunk.toString("latin1");
      if (!this.swallow("up", pair.greeting)) server.write(chunk);
    });
    server.on("data", (chunk) => {
      if (!pair.deaf && !this.swallow("down", pair.greeting)) client.write(chunk);
    });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
  }

  /** Sends bytes to the server as if the client had, over the connections whose greeting contains `name`. */
  inject(name: string, bytes: string): void {
    for (const pair of this.#pairs) if (pair.greeting.includes(name)) pair.server.write(bytes);
  }

  /** From now on nothing reaches those of the present clients whose greeting contains `name`; who connects anew hears again. */
  deafen(name: string): void {
    for (const pair of this.#pairs) if (pair.greeting.includes(name)) pair.deaf = true;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  async close(): Promise<void> {
    for (const { client } of this.#pairs) client.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
