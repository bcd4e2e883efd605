import { BackplaneError } from "@zuruf/hub";

export interface NatsOptions {
  /** First part of every subject; services that share a NATS account need different ones. Default `zuruf`; letters, digits, `_` and `-`. */
  readonly prefix?: string;
  /** Milliseconds until a call that NATS did not answer rejects; default 5,000, at least 100. */
  readonly deadline?: number;
  /** For `tls` URLs: `ca`, `cert`, `key` (texts in PEM). */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** A token in place of user name and password. */
  readonly token?: string;
}

export interface Settings {
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly pass: string | undefined;
  readonly token: string | undefined;
  readonly tls: NonNullable<NatsOptions["tls"]> | undefined;
  readonly prefix: string;
  readonly deadline: number;
  /** The servers, for messages: never the password. */
  readonly where: string;
}

/** Reads `nats://[user:password@]host[:4222],host…`, `tls://…`; throws `BackplaneError` `unusable` with one line when it is none. */
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
  const [user, ...secret] = match[2] === undefined ? [] : match[2].split(":").map(decode);
  return {
    servers,
    user,
    pass: secret.length === 0 ? undefined : secret.join(":"),
    token: options.token,
    tls: match[1] === "tls" ? (options.tls ?? {}) : undefined,
    prefix,
    deadline,
    where: servers.join(","),
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new BackplaneError("unusable", "the NATS URL holds a wrong percent-encoding: write % as %25", error);
  }
}
