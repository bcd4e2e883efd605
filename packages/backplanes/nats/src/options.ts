import { BackplaneError } from "@zuruf/hub";

/** Where JetStream keeps the logs: one stream for all channels of a prefix, made when there is none. */
export interface NatsHistoryOptions {
  /** The stream's name; default: the prefix. */
  readonly stream?: string;
  /** Copies, 1 to 5; default 3 in a cluster, else 1. With one in a cluster, nobody is told what its server forgot when it was killed. Counts when the stream is made. */
  readonly replicas?: number;
  /** Default `file`; `memory` ends with the server. Counts when the stream is made. */
  readonly storage?: "file" | "memory";
  /** Bytes of all channels together, beyond which the oldest publications go; 0, the default: no bound. Counts when the stream is made. */
  readonly maxBytes?: number;
  /** JetStream domain, on a leaf node; default: none. */
  readonly domain?: string;
}

export interface NatsOptions {
  /** Keep history in JetStream; default true. `false`: relay only, for `compose`. */
  readonly history?: boolean | NatsHistoryOptions;
  /** First part of every subject; services that share a NATS account need different ones. Default `zuruf`; letters, digits, `_` and `-`. */
  readonly prefix?: string;
  /** Milliseconds until a call that NATS did not answer rejects; default 5,000, at least 100. */
  readonly deadline?: number;
  /** For `tls` URLs: `ca`, `cert`, `key` (texts in PEM). */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** A token in place of user name and password. */
  readonly token?: string;
  /** The text of a file of credentials (`.creds`), or an nkey's seed (`SU…`), in place of user name and password. */
  readonly credentials?: string;
}

export interface StreamSettings {
  readonly name: string;
  /** Undefined: as many as suit the server. */
  readonly replicas: number | undefined;
  readonly storage: "file" | "memory";
  readonly maxBytes: number;
  /** First part of the API's subjects. */
  readonly api: string;
  /** It may be another server's. */
  readonly elsewhere: boolean;
}

export interface Settings {
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly pass: string | undefined;
  readonly token: string | undefined;
  readonly credentials: string | undefined;
  readonly tls: NonNullable<NatsOptions["tls"]> | undefined;
  readonly prefix: string;
  readonly deadline: number;
  /** Undefined: relay only. */
  readonly stream: StreamSettings | undefined;
  /** The servers, for messages: never the password. */
  readonly where: string;
}

/** Reads `nats://[user:password@|token@]host[:4222],host…`, `tls://…`; throws `BackplaneError` `unusable` with one line when it is none. */
export function readSettings(url: string, options: NatsOptions): Settings {
  const { prefix = "zuruf", deadline = 5000 } = options;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(prefix))
    throw new BackplaneError("unusable", "the NATS option prefix must be 1 to 64 of letters, digits, _ and -");
  if (!(deadline >= 100))
    throw new BackplaneError("unusable", "the NATS option deadline must be at least 100 milliseconds");
  const match = /^(nats|tls):\/\/(?:([^@/]*)@)?([^@/?#]+)\/?$/.exec(url);
  const servers = (match?.[3] ?? "").split(",");
  if (match === null || !servers.every((server) => /^(\[[^\]]+\]|[^:[\]]+)(:\d{1,5})?$/.test(server)))
    throw new BackplaneError("unusable", "the NATS URL must look like nats://user:password@host:4222 or nats://h1,h2");
  const [first, ...secret] = match[2] === undefined ? [] : match[2].split(":").map(decode);
  // As NATS' own clients read it: what stands alone is a token.
  const [user, token] = secret.length === 0 ? [undefined, first] : [first, undefined];
  return {
    servers,
    user,
    pass: user === undefined ? undefined : secret.join(":"),
    token: options.token ?? token,
    credentials: options.credentials,
    tls: match[1] === "tls" ? (options.tls ?? {}) : undefined,
    prefix,
    deadline,
    stream: readStream(prefix, options.history ?? true),
    where: servers.join(","),
  };
}

function readStream(prefix: string, history: boolean | NatsHistoryOptions): StreamSettings | undefined {
  if (history === false) return undefined;
  const { stream = prefix, replicas, storage = "file", maxBytes = 0, domain } = history === true ? {} : history;
  const wrong = (what: string): BackplaneError => new BackplaneError("unusable", `the NATS option history.${what}`);
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(stream)) throw wrong("stream must be 1 to 64 of letters, digits, _ and -");
  if (replicas !== undefined && !(Number.isInteger(replicas) && replicas >= 1 && replicas <= 5))
    throw wrong("replicas must be 1 to 5");
  if (storage !== "file" && storage !== "memory") throw wrong("storage must be file or memory");
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 0) throw wrong("maxBytes must be a whole number, 0 for no bound");
  if (domain !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(domain))
    throw wrong("domain must be 1 to 64 of letters, digits, _ and -");
  const elsewhere = domain !== undefined;
  return { name: stream, replicas, storage, maxBytes, api: elsewhere ? `$JS.${domain}.API` : "$JS.API", elsewhere };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new BackplaneError("unusable", "the NATS URL holds a wrong percent-encoding: write % as %25", error);
  }
}
