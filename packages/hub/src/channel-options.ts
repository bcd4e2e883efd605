import type { Delivery } from "@zuruf/protocol";
import type { Retention } from "./backplane.ts";
import { duration } from "./duration.ts";
import type { Access } from "./hooks.ts";

/** What a namespace of channels is like. What is not given has the default; docs/hub.md explains each. */
export interface ChannelOptions {
  /** Keeps the newest publications for recovery: `size` of them, for `ttl` (ms or "1h"), at most `bytes` (0: no bound). Absent: nothing is kept, and order holds per publisher only. */
  readonly history?: { readonly size: number; readonly ttl: string | number; readonly bytes?: number };
  /** `stream` (default): every publication. `latest`: a slow reader gets the newest. `volatile`: a slow reader misses some. */
  readonly delivery?: Delivery;
  /** Who is subscribed can be asked and watched. Default false. */
  readonly presence?: boolean;
  /** Who may subscribe. Default "anyone". */
  readonly subscribe?: Access;
  /** Who may publish. Default "user": sessions with a user. */
  readonly publish?: Access;
  /** Publications of one connection to one channel. Absent: only the limit on packets. */
  readonly rate?: { readonly publishes: number; readonly per: string | number };
  /** True: subscribing grants no reading of what was published before; positions of clients are ignored. Default false. */
  readonly live?: boolean;
  /** Bytes of a publication's data. Default: `limits.dataBytes`. */
  readonly maxData?: number;
  /** Checks a client's data and returns what is published (undefined: as it came); throws to refuse it. Runs before `onPublish`. */
  validate?(data: unknown): unknown;
}

/** The options of one pattern with every default filled in. */
export interface ResolvedOptions {
  readonly pattern: string;
  readonly retention: Retention | undefined;
  readonly delivery: Delivery;
  readonly presence: boolean;
  readonly subscribe: Access;
  readonly publish: Access;
  readonly rate: { readonly publishes: number; readonly per: number } | undefined;
  readonly live: boolean;
  readonly maxData: number;
  readonly validate: ((data: unknown) => unknown) | undefined;
}

const known = new Set([
  "history",
  "delivery",
  "presence",
  "subscribe",
  "publish",
  "rate",
  "live",
  "maxData",
  "validate",
]);

/** @throws {TypeError} that names the pattern and the option. */
export function resolveOptions(pattern: string, options: ChannelOptions, dataBytes: number): ResolvedOptions {
  const fail = (what: string): never => {
    throw new TypeError(`channel "${pattern}": ${what}`);
  };
  for (const name of Object.keys(options)) {
    if (!known.has(name)) fail(`${name} is no option; options are ${[...known].join(", ")}`);
  }
  const { history, rate, maxData = dataBytes, delivery = "stream", subscribe = "anyone", publish = "user" } = options;
  if (!["stream", "latest", "volatile"].includes(delivery)) fail(`delivery must be stream, latest or volatile`);
  for (const access of [subscribe, publish]) {
    if (typeof access !== "function" && !["anyone", "user", "server"].includes(access))
      fail(`subscribe and publish must be "anyone", "user", "server" or a function`);
  }
  if (!Number.isSafeInteger(maxData) || maxData < 1) fail("maxData must be an integer above 0");
  if (history && (!Number.isSafeInteger(history.size) || history.size < 1))
    fail("history.size must be an integer above 0");
  if (history?.bytes !== undefined && (!Number.isSafeInteger(history.bytes) || history.bytes < 0))
    fail("history.bytes must be an integer ≥ 0");
  if (rate && (!Number.isSafeInteger(rate.publishes) || rate.publishes < 1))
    fail("rate.publishes must be an integer above 0");
  return {
    pattern,
    retention: history && {
      size: history.size,
      ttl: duration(history.ttl, `channel "${pattern}": history.ttl`),
      bytes: history.bytes ?? 0,
    },
    delivery,
    presence: options.presence ?? false,
    subscribe,
    publish,
    rate: rate && { publishes: rate.publishes, per: duration(rate.per, `channel "${pattern}": rate.per`) },
    live: options.live ?? false,
    maxData,
    validate: options.validate?.bind(options),
  };
}
