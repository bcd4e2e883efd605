import { z } from "zod";
import { backplaneNames, knowsBackplane } from "../backplanes.ts";
import { channelConfig } from "./channels.ts";
import { limitsConfig } from "./limits.ts";
import { addresses, choice, duration, integer, json, origins, secret, text, toggle, type Kind } from "./kinds.ts";
import { logLevels, type ServiceSettings } from "./service-config.ts";

/** One option: its key names the flag (`--drain-window`), the config file's key (`drainWindow`) and the variable (`ZURUF_DRAIN_WINDOW`). */
export interface Option<T> {
  readonly about: string;
  readonly kind: Kind<T>;
  readonly default: T;
}

type OptionTable = {
  readonly [K in keyof ServiceSettings]: Option<Exclude<ServiceSettings[K], undefined>> | Option<ServiceSettings[K]>;
};

const file = (value: string): boolean => value !== "" && !value.includes("\0");
const httpPath = (value: string): boolean => /^\/[\w\-./~]{0,199}$/.test(value);

/** Every option of a service, in the order that `--help` prints. Flags, config file, variables, help and docs/server.md come from here. */
export const options: OptionTable = {
  port: { about: "port to listen on; 0: any free one", kind: integer(0, 65_535), default: 8080 },
  host: {
    about: "address to listen on; 0.0.0.0 or :: for every interface",
    kind: text("ADDRESS", "a host name or an IP address", (value) => /^[\w.:-]{1,253}$/.test(value)),
    default: "127.0.0.1",
  },
  backplane: {
    about: "memory, or a broker: redis://, postgres://, amqp://, nats://, RELAY+STORE",
    kind: text("memory|URL", `memory or a URL that starts with ${backplaneNames()}`, knowsBackplane),
    default: "memory",
  },
  instances: { about: "server processes behind the one port", kind: integer(1, 256), default: 1 },
  instance: {
    about: "this instance's name, unique on its backplane; default: i1 and a random word",
    kind: text("NAME", "1 to 48 letters, digits, '.', '_' and '-'", (value) => /^[\w.-]{1,48}$/.test(value)),
    default: undefined,
  },
  app: {
    about: "application module to load: default export (zuruf, http) => …",
    kind: text("FILE", "the path of a JavaScript module", file),
    default: undefined,
  },
  static: {
    about: "folder whose files are served at /",
    kind: text("FOLDER", "the path of a folder", file),
    default: undefined,
  },
  path: {
    about: "path of the Zuruf protocol's WebSocket",
    kind: text("PATH", "a path such as /ws", httpPath),
    default: "/ws",
  },
  echo: { about: "serve /echo, a plain WebSocket that sends each message back", kind: toggle, default: false },
  apiKey: {
    about: "key of the HTTP API at /api/v1, which is off without; better a variable than a flag",
    kind: secret("KEY", "16 to 200 visible characters", (value) => /^[!-~]{16,200}$/.test(value)),
    default: undefined,
  },
  metrics: { about: "serve /metrics for Prometheus, to everybody who reaches the port", kind: toggle, default: false },
  origins: {
    about: "exact origins whose pages may connect; default: the server's own only",
    kind: origins,
    default: [],
  },
  trustedProxies: {
    about: "proxies whose X-Forwarded-For, -Host and -Proto are believed",
    kind: addresses,
    default: [],
  },
  channels: {
    about: 'options by channel pattern, such as \'{"chat:*":{"publish":"anyone"}}\'',
    kind: json(z.record(z.string(), channelConfig)),
    default: {},
  },
  limits: {
    about: "what one client may use, such as '{\"subscriptions\":100}'; docs/hub.md lists them",
    kind: json(limitsConfig),
    default: {},
  },
  connectionRate: {
    about: "new connections per second from one address; 0: no limit",
    kind: integer(0, 1_000_000),
    default: 200,
  },
  connectionBurst: {
    about: "new connections an address may open at once before the rate counts",
    kind: integer(1, 1_000_000),
    default: 2000,
  },
  maxConnections: {
    about: "open connections per instance; 0: no limit",
    kind: integer(0, 10_000_000),
    default: 0,
  },
  maxMessage: {
    about: "bytes of one WebSocket message from a client",
    kind: integer(1024, 2 ** 30),
    default: 1_048_576,
  },
  compression: { about: "offer WebSocket compression (permessage-deflate)", kind: toggle, default: false },
  drainDelay: {
    about: "when stopping: be unready this long before the port closes",
    kind: duration(600_000, "10m"),
    default: 0,
  },
  drainWindow: {
    about: "when stopping: spread the closing of connections over at most this long",
    kind: duration(600_000, "10m"),
    default: 10_000,
  },
  readyWhenDegraded: {
    about: "keep /readyz at 200, saying degraded, while the broker is unreachable",
    kind: toggle,
    default: false,
  },
  logLevel: { about: "what is logged to stderr, as JSON lines", kind: choice(...logLevels), default: "warn" },
};

export type OptionKey = keyof ServiceSettings;
export const optionKeys: readonly OptionKey[] = Object.keys(options) as OptionKey[];

const kebab = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
/** `drainWindow` → `--drain-window`. */
export const flagName = (key: string): string => `--${kebab(key)}`;
/** `drainWindow` → `ZURUF_DRAIN_WINDOW`. */
export const variableName = (key: string): string => `ZURUF_${kebab(key).replaceAll("-", "_").toUpperCase()}`;
