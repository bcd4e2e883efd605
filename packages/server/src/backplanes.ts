import { memoryBackplane, type Backplane } from "@zuruf/hub";
import { oneLine, ServerError } from "./errors.ts";

/** A kind of backplane that a URL can name. */
interface BackplaneKind {
  /** URL schemes, without `:`. */
  readonly schemes: readonly string[];
  /** What to install for it, all in one command. */
  readonly packages: string;
  /** Loads its package only now, so that nobody needs the drivers of backplanes that they do not use. */
  open(url: string): Promise<Backplane>;
  /** The same without a store, where it has one that can be left out. */
  relay?(url: string): Promise<Backplane>;
}

/** Every backplane with a broker: one entry adds one. */
const kinds: readonly BackplaneKind[] = [
  {
    schemes: ["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"],
    packages: "@zuruf/redis @redis/client",
    open: async (url) => (await import("@zuruf/redis")).redis(url),
  },
  {
    schemes: ["postgres", "postgresql"],
    packages: "@zuruf/postgres pg",
    open: async (url) => (await import("@zuruf/postgres")).postgres(url),
  },
  {
    schemes: ["amqp", "amqps"],
    packages: "@zuruf/rabbitmq rabbitmq-client",
    open: async (url) => (await import("@zuruf/rabbitmq")).rabbitmq(url),
  },
  {
    schemes: ["nats", "tls"],
    packages: "@zuruf/nats @nats-io/transport-node",
    open: async (url) => (await import("@zuruf/nats")).nats(url),
    relay: async (url) => (await import("@zuruf/nats")).nats(url, { history: false }),
  },
];

const schemeOf = (url: string): string => /^([a-z][a-z\d+]*):\/\/./.exec(url)?.[1] ?? "";
const kindOf = (url: string): BackplaneKind | undefined => kinds.find(({ schemes }) => schemes.includes(schemeOf(url)));

/** `nats://a+redis://b`: the first relays, the second stores. A `+` within a scheme or a password is followed by something else. */
function partsOf(name: string): readonly string[] {
  return name.split(/\+(?=(?:rediss?(?:\+[a-z]+)?|postgres(?:ql)?):\/\/)/);
}

/** `redis://, rediss://`: what a backplane's URL can start with. */
export function backplaneNames(): string {
  return kinds.flatMap(({ schemes }) => schemes.map((scheme) => `${scheme}://`)).join(", ");
}

export function knowsBackplane(name: string): boolean {
  const parts = partsOf(name);
  return name === "memory" || (parts.length <= 2 && parts.every((part) => kindOf(part) !== undefined));
}

/** Makes a backplane, not started yet. @throws ServerError badConfig, or driverMissing with the command that installs it. */
export async function openBackplane(name: string): Promise<Backplane> {
  if (name === "memory") return memoryBackplane();
  const [relay, store] = knowsBackplane(name) ? partsOf(name) : [];
  if (relay !== undefined && store !== undefined) {
    const { compose } = await import("@zuruf/compose");
    return compose({ relay: await openOne(relay, "relay"), store: await openOne(store, "open") });
  }
  return openOne(name, "open");
}

async function openOne(name: string, as: "open" | "relay"): Promise<Backplane> {
  const kind = kindOf(name);
  if (kind === undefined)
    throw new ServerError(
      "badConfig",
      `backplane: expected memory or a URL that starts with ${backplaneNames()}, got ${redact(name)}`,
    );
  try {
    return await (as === "relay" && kind.relay !== undefined ? kind.relay(name) : kind.open(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND")
      throw new ServerError(
        "driverMissing",
        `backplane ${redact(name)}: not installed; run: npm install ${kind.packages}`,
        error,
      );
    throw new ServerError("backplaneFailed", oneLine(error), error); // it names the broker itself
  }
}

/** A URL fit for a terminal and a log: without its user and password, and without its query. */
export function redact(url: string): string {
  return url
    .split(/\+(?=[a-z][a-z\d+]*:\/\/)/)
    .map(redactOne)
    .join("+");
}

function redactOne(url: string): string {
  const start = url.indexOf("://");
  if (start < 0) return url;
  const rest = url.slice(start + 3);
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  const path = end < 0 ? "" : (rest.slice(end).split(/[?#]/, 1)[0] ?? "");
  return `${url.slice(0, start)}://${authority.slice(authority.lastIndexOf("@") + 1)}${path}`;
}
