import type { ConnectionOptions } from "node:tls";
import { BackplaneError } from "@zuruf/hub";

export interface RedisOptions {
  /** First part of every key and Pub/Sub channel; services that share a Redis need different ones. Default `zuruf`; no `{`, `}` or spaces. */
  readonly prefix?: string;
  /** Milliseconds until a call that Redis did not answer rejects; default 5,000, at least 100. */
  readonly deadline?: number;
  /** Milliseconds for which idempotency keys are kept; default and least 300,000. */
  readonly keyWindow?: number;
  /** For `rediss` URLs, in addition to what the URL says: `ca`, `cert`, `key`, `servername`, … */
  readonly tls?: ConnectionOptions;
  /** In place of the URL's, for secrets that are not part of it. */
  readonly username?: string;
  readonly password?: string;
  /** For Sentinels that ask for a password of their own. */
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Credentials {
  readonly username?: string;
  readonly password?: string;
}

/** Where Redis is, as the URL and the options say it. */
export interface Target {
  readonly kind: "server" | "cluster" | "sentinel";
  /** The server; or some nodes of the cluster; or the Sentinels. Never empty. */
  readonly seeds: readonly Address[];
  /** The name that the Sentinels know the primary by; empty otherwise. */
  readonly primary: string;
  readonly credentials: Credentials;
  readonly sentinelCredentials: Credentials;
  /** Undefined: no TLS. */
  readonly tls: ConnectionOptions | undefined;
  /** Database number; 0 on a cluster. Pub/Sub does not know databases: use `prefix` to tell services apart. */
  readonly database: number;
}

const schemes: Readonly<Record<string, { kind: Target["kind"]; tls: boolean; port: number }>> = {
  "redis:": { kind: "server", tls: false, port: 6379 },
  "rediss:": { kind: "server", tls: true, port: 6379 },
  "redis+cluster:": { kind: "cluster", tls: false, port: 6379 },
  "rediss+cluster:": { kind: "cluster", tls: true, port: 6379 },
  "redis+sentinel:": { kind: "sentinel", tls: false, port: 26379 },
  "rediss+sentinel:": { kind: "sentinel", tls: true, port: 26379 },
};

/**
 * Reads a URL; throws `BackplaneError` `unusable` with one line when it is none of these (`rediss` wherever TLS is spoken):
 *
 *     redis://[user[:password]@]host[:6379][/database]
 *     redis+cluster://[user[:password]@]host[:6379],host[:6379],…
 *     redis+sentinel://[user[:password]@]sentinel[:26379],sentinel[:26379],…/primary-name[/database]
 *
 * A server that turns out to be part of a cluster is used as one, so that `redis://` is right there, too.
 */
export function readTarget(url: string, options: RedisOptions): Target {
  // Several hosts are more than WHATWG URLs know, so the parts are taken by hand; the password stays out of all messages.
  const match = /^(rediss?(?:\+[a-z]+)?:)\/\/(?:([^@/]*)@)?([^@/?#]+)((?:\/[^/?#]*)*)$/.exec(url);
  const scheme = match?.[1] === undefined ? undefined : schemes[match[1]];
  if (match === null || scheme === undefined)
    throw new BackplaneError(
      "unusable",
      "the Redis URL must look like redis://host:6379, redis+cluster://h1,h2 or redis+sentinel://s1,s2/name",
    );
  const [user = "", ...secret] = (match[2] ?? "").split(":");
  const path = (match[4] ?? "").split("/").filter((part) => part !== "");
  const primary = scheme.kind === "sentinel" ? decode(path.shift() ?? "") : "";
  const database = Number(path[0] ?? 0);
  const seeds = (match[3] ?? "").split(",").map((host) => readAddress(host, scheme.port));
  if (scheme.kind === "sentinel" && primary === "")
    throw new BackplaneError(
      "unusable",
      "the Redis URL must end with the name that the Sentinels know the primary by: redis+sentinel://s1,s2/name",
    );
  if (!Number.isInteger(database) || database < 0 || path.length > 1 || (scheme.kind === "cluster" && database !== 0))
    throw new BackplaneError(
      "unusable",
      "the Redis URL must name a database by its number (0 on a cluster): redis://host:6379/0",
    );
  if (scheme.kind === "server" && seeds.length > 1)
    throw new BackplaneError(
      "unusable",
      "the Redis URL names several hosts: write redis+cluster:// or redis+sentinel://",
    );
  return {
    kind: scheme.kind,
    seeds,
    primary,
    credentials: credentials(options.username ?? decode(user), options.password ?? decode(secret.join(":"))),
    sentinelCredentials: credentials(options.sentinelUsername ?? "", options.sentinelPassword ?? ""),
    tls: scheme.tls ? (options.tls ?? {}) : undefined,
    database,
  };
}

function credentials(username: string, password: string): Credentials {
  return { ...(username === "" ? {} : { username }), ...(password === "" ? {} : { password }) };
}

function readAddress(text: string, defaultPort: number): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? defaultPort);
  if (host === undefined || port < 1 || port > 65_535)
    throw new BackplaneError("unusable", `the Redis URL names a host that cannot be read: ${JSON.stringify(text)}`);
  return { host, port };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new BackplaneError("unusable", "the Redis URL holds a wrong percent-encoding: write % as %25", error);
  }
}

export interface Settings {
  readonly prefix: string;
  readonly deadline: number;
  readonly keyWindow: number;
}

export function readSettings(options: RedisOptions): Settings {
  const { prefix = "zuruf", deadline = 5000, keyWindow = 300_000 } = options;
  if (!/^[^\s{}]{1,64}$/.test(prefix))
    throw new BackplaneError("unusable", "the Redis option prefix must be 1 to 64 characters without spaces, { and }");
  if (!(deadline >= 100))
    throw new BackplaneError("unusable", "the Redis option deadline must be at least 100 milliseconds");
  if (!(keyWindow >= 300_000))
    throw new BackplaneError("unusable", "the Redis option keyWindow must be at least 300000 milliseconds");
  return { prefix, deadline, keyWindow };
}

/** `host:port`, for people and as the name of a server. */
export function printAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
