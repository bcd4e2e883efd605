/**
 * What every measured server shares: how it is asked to serve, and how it answers the bench.
 *
 * A server is a process of its own. Its one argument is a JSON {@link Serving}. On stdout it writes
 * one JSON line when it listens (`{ port, versions }`), and one per `memory` line that it reads on stdin.
 */
export interface Serving {
  /** `echo`: each message goes back to its sender. `fanout`: each message goes to all sockets on `/subscribe`. */
  readonly mode: "echo" | "fanout";
  /** `fresh`: permessage-deflate without context takeover. `context`: with it, both ways. */
  readonly compression: "off" | "fresh" | "context";
}

/** Memory in bytes after a full garbage collection. */
export interface Memory {
  readonly heapUsed: number;
  readonly external: number;
  readonly rss: number;
}

/** Where subscribers of a fan-out connect; a message arriving on any other path is published to them. */
export const subscribePath = "/subscribe";

/** Larger than any message of the bench, so that no server's own default decides a test. */
export const maxMessage: number = 16 * 1024 * 1024;

/** What a server with channels (rooms) is asked to be. */
export interface ChannelServing {
  /** Whether channels keep what was published. */
  readonly history: boolean;
  /** What connects it with other instances, and where that is; absent: nothing does. */
  readonly broker?: { readonly kind: string; readonly url: string };
}

function order(example: string): unknown {
  const given = process.argv[2];
  if (given === undefined) throw new TypeError(`start this server with its order, e.g. ${example}`);
  return JSON.parse(given);
}

/** The order that the bench gave to this process. */
export function serving(): Serving {
  return order('{"mode":"echo","compression":"off"}') as Serving;
}

/** The order that the bench gave to this process, if it has channels. */
export function channelServing(): ChannelServing {
  return order('{"history":true}') as ChannelServing;
}

declare const Bun: { gc(synchronous: boolean): void } | undefined;

function collectGarbage(): void {
  if (typeof Bun !== "undefined") Bun.gc(true);
  else if (globalThis.gc) globalThis.gc();
  else throw new Error("memory is only measured after a garbage collection: start node with --expose-gc");
}

function memory(): Memory {
  // Twice: the first collection runs finalizers, whose garbage the second one takes.
  collectGarbage();
  collectGarbage();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapUsed, external, rss };
}

/** Tells the bench that the server listens, then answers what it asks. The process ends when the bench goes. */
export function listening(port: number, versions: Readonly<Record<string, string>>): void {
  process.stdout.write(`${JSON.stringify({ port, versions })}\n`);
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text: string) => {
    for (const line of text.split("\n")) {
      if (line === "memory") process.stdout.write(`${JSON.stringify(memory())}\n`);
    }
  });
  process.stdin.on("end", () => process.exit(0));
}
