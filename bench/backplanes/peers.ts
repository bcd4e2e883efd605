import { existsSync } from "node:fs";

import type { DialectName } from "../measure/dialects.ts";
import { folder, isBuilt, nodeProgram, ourProgram } from "../measure/programs.ts";
import type { ChannelServing } from "../peers/serving.ts";
import type { BrokerName } from "./brokers.ts";

/** Two instances of a server, and what connects them. */
export interface Peer {
  readonly name: string;
  /** What the table and the chart call it. */
  readonly title: string;
  readonly dialect: DialectName;
  /** One, or a relay and a store. */
  readonly brokers: readonly BrokerName[];
  /** What the server calls the way in which it uses them. */
  readonly kind: string;
  readonly history: boolean;
  /** Whether one client's publications arrive in its order: what does not is checked for completeness alone. */
  readonly ordered: boolean;
}

const ours = { dialect: "zuruf", history: true, ordered: true } as const;
const theirs = { dialect: "socket.io", history: false, ordered: true } as const;

export const peers: readonly Peer[] = [
  { ...ours, name: "zuruf-redis", title: "Zuruf, Redis", brokers: ["redis"], kind: "redis" },
  {
    ...ours,
    name: "zuruf-redis-live",
    title: "Zuruf, Redis, no history",
    brokers: ["redis"],
    kind: "redis",
    history: false,
  },
  { ...theirs, name: "socket.io-redis", title: "Socket.IO, Redis", brokers: ["redis"], kind: "redis" },
  {
    ...theirs,
    name: "socket.io-redis-streams",
    title: "Socket.IO, Redis streams",
    brokers: ["redis"],
    kind: "redis-streams",
  },
  { ...ours, name: "zuruf-postgres", title: "Zuruf, PostgreSQL", brokers: ["postgres"], kind: "postgres" },
  {
    ...ours,
    name: "postgres-each",
    title: "PostgreSQL, a transaction each",
    brokers: ["postgres"],
    kind: "postgres-each",
    history: false,
  },
  // Its adapter publishes over a pool of connections, which may overtake one another.
  {
    ...theirs,
    name: "socket.io-postgres",
    title: "Socket.IO, PostgreSQL",
    brokers: ["postgres"],
    kind: "postgres",
    ordered: false,
  },
  { ...ours, name: "zuruf-jetstream", title: "Zuruf, NATS JetStream", brokers: ["nats"], kind: "nats" },
  { ...ours, name: "zuruf-nats", title: "Zuruf, NATS, no history", brokers: ["nats"], kind: "nats", history: false },
  {
    ...ours,
    name: "zuruf-rabbitmq",
    title: "Zuruf, RabbitMQ, no history",
    brokers: ["rabbitmq"],
    kind: "rabbitmq",
    history: false,
  },
  {
    ...ours,
    name: "zuruf-rabbitmq-redis",
    title: "Zuruf, RabbitMQ and Redis",
    brokers: ["rabbitmq", "redis"],
    kind: "rabbitmq+redis",
  },
];

/** Why a peer cannot be started here; undefined when it can. */
export function missing({ dialect }: Peer): string | undefined {
  if (dialect === "socket.io")
    return existsSync(`${folder}node_modules/socket.io`) ? undefined : "not installed (bench/peers: npm ci)";
  return isBuilt() ? undefined : "not built (npm run build)";
}

/** The program and arguments that start one instance. */
export function commandOf({ dialect, kind, history }: Peer, urls: readonly string[]): { file: string; args: string[] } {
  const order: ChannelServing = { history, broker: { kind, url: urls.join("+") } };
  const text = JSON.stringify(order);
  return dialect === "socket.io" ? nodeProgram(`${folder}socketio.ts`, text) : ourProgram("zuruf-hub.ts", text);
}
