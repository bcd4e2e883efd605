import type { Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Backplane, Hub, HubOptions } from "@zuruf/hub";
import type { CallMap } from "@zuruf/protocol";
import type { Logger } from "./log.ts";

/** How `createServer` makes a server. Everything has a default. */
export interface ServerOptions extends Omit<HubOptions, "backplane" | "instance" | "clock" | "random" | "log"> {
  /** What connects this instance with others. Default: memory, which connects it with none. */
  readonly backplane?: Backplane;
  /** This instance's name, unique among those that share the backplane; at most 64 bytes. Default: `i1-` and a random word. */
  readonly instance?: string;
  /** Path of the WebSocket. Default: `/ws`. */
  readonly path?: string;
  /** Exact origins whose pages may connect, such as `https://example.com`. Default: the page's own host and port only. */
  readonly origins?: readonly string[];
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For`, `-Host` and `-Proto` are believed. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** New connections per second from one address; 0: no limit. Default: 200. */
  readonly connectionRate?: number;
  /** New connections that one address may open at once before the rate counts; ≥ 1. Default: 2000. */
  readonly connectionBurst?: number;
  /** Open connections; 0: no limit. Default: 0. */
  readonly maxConnections?: number;
  /** Bytes of one WebSocket message from a client, also after decompression. Default: 1 MiB. */
  readonly maxMessage?: number;
  /** Whether WebSocket compression is offered. Default: false. */
  readonly compression?: boolean;
  /** Where the server reports; a pino logger fits. Default: warnings and errors as JSON lines on stderr. */
  readonly logger?: Logger;
}

export interface CloseOptions {
  /**
   * The longest time in milliseconds over which the closing of connections is spread, so that the clients do not all return at once;
   * few connections take less (20 ms each). 0: all at once. Default: 10,000.
   */
  readonly within?: number;
}

/** What of a hub is the server's own business. */
type Inner = "accept" | "start" | "drain" | "close";

/**
 * A real-time server: the hub (channels, hooks, publishing, presence, direct messages, calls) on `http.Server`s by which clients reach it.
 * What waits for a broker (`publish`, `position`, `history`, `presence`, `send`, `broadcast`, `call`) starts the server if nobody has.
 */
export interface Zuruf<
  ChannelMap extends object = Record<string, unknown>,
  Methods extends object = CallMap,
> extends Omit<Hub<ChannelMap, Methods>, Inner> {
  /**
   * Serves the WebSocket on somebody's server, beside whatever else that serves, and starts the server if nobody has. An upgrade on a path
   * nobody serves gets 404. Why a start fails is logged; `await start()` tells it to you.
   */
  attach(server: HttpServer | HttpsServer): void;
  /** Connects to the backplane. Once: further calls return the first one's promise. @throws ServerError backplaneFailed. */
  start(): Promise<void>;
  /** Closes all connections, lets `onVacated` finish, then runs `onClose`'s functions, then leaves the backplane. Safe to call twice. Does not touch the `http.Server`. */
  close(options?: CloseOptions): Promise<void>;
  /** Adds something to do when the server closes, after the connections are gone and `onVacated` has answered; the last added is the first done. */
  onClose(run: () => Promise<void> | void): void;
}
