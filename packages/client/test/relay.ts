import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** A TCP line between clients and a server that a test can cut, block and freeze. */
export interface Relay {
  readonly port: number;
  /** Ends all connections without a word of the WebSocket protocol. */
  cut(): void;
  /** true: new connections are refused. */
  blocked: boolean;
  /** Connections so far stay open and carry nothing more, in either direction: a black hole. */
  freeze(): void;
  close(): Promise<void>;
}

export async function startRelay(to: number): Promise<Relay> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const relay = { port: 0, blocked: false, cut, freeze, close };
  const server = createServer((incoming) => {
    if (relay.blocked) return void incoming.destroy();
    const outgoing = connect(to, "127.0.0.1");
    const pair = [incoming, outgoing] as const;
    pairs.add(pair);
    for (const [one, other] of [pair, [outgoing, incoming] as const]) {
      one.pipe(other);
      // Either end may vanish at any time; the other follows.
      one.on("error", () => other.destroy());
      one.on("close", () => {
        pairs.delete(pair);
        other.destroy();
      });
    }
    return undefined;
  });
  function cut(): void {
    for (const [incoming] of pairs) incoming.destroy();
  }
  function freeze(): void {
    for (const [incoming, outgoing] of pairs) {
      incoming.unpipe();
      outgoing.unpipe();
      incoming.resume();
      outgoing.resume();
    }
  }
  async function close(): Promise<void> {
    cut();
    await new Promise((resolve) => void server.close(resolve));
  }
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  relay.port = (server.address() as AddressInfo).port;
  return relay;
}
