import type { Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Backplane, ChannelOptions, Hooks, Hub, HubStatus, Limits, Position } from "@zuruf/hub";
import type { Logger } from "./log.ts";

/** How `createServer` makes a server. Everything has a default. */
export interface ServerOptions {
  /** What connects this instance with others. Default: memory, which connects it with none. */
  readonly backplane?: Backplane;
  /** This instance's name, unique among those that share the backplane; at most 64 bytes. Default: `i1-` and a random word. */
  readonly instance?: string;
  /** Options by channel name or pattern; the most specific pattern wins. Default: none, so that no channel exists. */
  readonly channels?: Readonly<Record<string, ChannelOptions>>;
  /** Path of the WebSocket. Default: `/ws`. */
  readonly path?: string;
  /** Exact origins whose pages may connect, such as `https://example.com`. Default: the page's own host and port only. */
  readonly origins?: readonly string[];
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For`, `-Host` and `-Proto` are believed. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** New connections per second from one address; 0: no limit. Default: 50. */
  readonly connectionRate?: number;
  /** New connections that one address may open at once before the rate counts; ≥ 1. Default: 500. */
  readonly connectionBurst?: number;
  /** Open connections; 0: no limit. Default: 0. */
  readonly maxConnections?: number;
  /** Bytes of one WebSocket message from a client, also after decompression. Default: 1 MiB. */
  readonly maxMessage?: number;
  /** Whether WebSocket compression is offered. Default: false. */
  readonly compression?: boolean;
  /** The hub's limits on what one client can use. Default: the hub's. */
  readonly limits?: Partial<Limits>;
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

/** A real-time server: channels, hooks, publishing, and the `http.Server`s on which clients reach it. */
export interface Zuruf {
  readonly instance: string;
  /** Options of the channels whose names match `pattern` (`guestbook`, `chat:*`); the most specific pattern wins. */
  channel(pattern: string, options: ChannelOptions): void;
  /** Decides who a client is: returns its user, or throws a `ZurufError` to refuse it. */
  onConnect(hook: Required<Hooks>["connect"]): void;
  onSubscribe(hook: Required<Hooks>["subscribe"]): void;
  /** Checks and may replace what a client publishes: returns new data, undefined to keep it, or throws a `ZurufError`. */
  onPublish(hook: Required<Hooks>["publish"]): void;
  onDisconnect(hook: Required<Hooks>["disconnect"]): void;
  /**
   * Publishes in the server's own name; starts the server if nobody has.
   * @returns the position once it is stored; undefined on a channel without history.
   */
  publish(channel: string, data: unknown, options?: { readonly key?: string }): Promise<Position | undefined>;
  /** Where a channel's log ends now: read it before the data that it describes, then subscribe from it without a gap. */
  position(channel: string): Promise<Position>;
  /** Publications of a channel with history: after a position, oldest first; or the newest before one, or before its end. @param range `limit` 100 unless told. */
  history: Hub["history"];
  status(): HubStatus;
  /**
   * Serves the WebSocket on somebody's server, beside whatever else that serves, and starts the server if nobody has. An upgrade on a path
   * nobody serves gets 404. Why a start fails is logged; `await start()` tells it to you.
   */
  attach(server: HttpServer | HttpsServer): void;
  /** Connects to the backplane. Once: further calls return the first one's promise. @throws ServerError backplaneFailed. */
  start(): Promise<void>;
  /** Closes all connections, then runs `onClose`'s functions, then leaves the backplane. Safe to call twice. Does not touch the `http.Server`. */
  close(options?: CloseOptions): Promise<void>;
  /** Adds something to do when the server closes, after the connections are gone; the last added is the first done. */
  onClose(run: () => Promise<void> | void): void;
}
