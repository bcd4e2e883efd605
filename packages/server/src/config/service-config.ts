import type { ChannelConfig } from "./channels.ts";
import type { LimitsConfig } from "./limits.ts";

export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** A service's settings, all decided. Times are in milliseconds. `options.ts` has the words, defaults and limits of each. */
export interface ServiceSettings {
  /** TCP port; 0: any free one. */
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  /** `memory`, or a broker's URL. */
  readonly backplane: string;
  /** Server processes behind the one port. */
  readonly instances: number;
  /** This instance's name; undefined: `i1-` and a random word. */
  readonly instance: string | undefined;
  /** File of the application module. */
  readonly app: string | undefined;
  /** Folder whose files are served at `/`. */
  readonly static: string | undefined;
  /** Path of the Zuruf protocol's WebSocket. */
  readonly path: string;
  /** Whether `/echo`, a plain WebSocket that echoes, is served. */
  readonly echo: boolean;
  /** Key of the HTTP API; undefined: there is none. */
  readonly apiKey: string | undefined;
  /** Whether `/metrics` is served. */
  readonly metrics: boolean;
  /** Exact origins whose pages may connect; empty: the page's own origin only. */
  readonly origins: readonly string[];
  /** Addresses and CIDR ranges whose `X-Forwarded-…` headers are believed. */
  readonly trustedProxies: readonly string[];
  /** Options by channel pattern. */
  readonly channels: Readonly<Record<string, ChannelConfig>>;
  /** The hub's limits on what one client may use. */
  readonly limits: LimitsConfig;
  /** New connections per second and address; 0: no limit. */
  readonly connectionRate: number;
  /** New connections that an address may open at once before `connectionRate` counts. */
  readonly connectionBurst: number;
  /** Open connections per instance; 0: no limit. */
  readonly maxConnections: number;
  /** Bytes of one WebSocket message from a client, also after decompression; a larger one closes its connection with 1009. */
  readonly maxMessage: number;
  /** Whether WebSocket compression is offered. */
  readonly compression: boolean;
  /** How long a stopping instance says that it is not ready before it stops listening. */
  readonly drainDelay: number;
  /** The longest time over which a stopping instance spreads the closing of its connections. */
  readonly drainWindow: number;
  /** Whether `/readyz` stays 200, saying `degraded`, while the broker cannot be reached. */
  readonly readyWhenDegraded: boolean;
  readonly logLevel: LogLevel;
}
