/** The brokers that faults happen to: real servers of their own, each with what it may forget. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createClient } from "@redis/client";
import { Client } from "pg";
import { NatsProcess } from "../services/nats.ts";
import { PostgresProcess } from "../services/postgres.ts";
import { programs, type ProgramName } from "../services/programs.ts";
import { RabbitmqProcess } from "../services/rabbitmq.ts";
import { RedisProcess, type Persistence } from "../services/redis.ts";
import type { Proxy } from "../brokers/proxy.ts";

export interface Broker {
  readonly url: string;
  /** Follows the URL in `--backplane`: the store beside a relay. */
  readonly store: string;
  start(): Promise<void>;
  /** As an operator stops it. */
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  freeze(on: boolean): Promise<void>;
  /** Ends all subscriptions on the server's side. */
  drop(): Promise<void>;
  /** Makes what is stored so far outlive a kill, where that is not so by itself. */
  keep(): Promise<void>;
  /** What it holds for the instances, by kind. */
  objects(): Promise<Readonly<Record<string, number>>>;
  dispose(): Promise<void>;
}

export interface BrokerKind {
  readonly title: string;
  readonly program: ProgramName;
  /** After which ends of the broker an acknowledged publication may be gone. */
  readonly forgets: readonly ("stop" | "kill")[];
  /** The connection that hears publications, by what its client says first. */
  readonly listener: string;
  open(program: string): Promise<Broker>;
}

function redis(kept: Persistence, title: string, forgets: BrokerKind["forgets"]): BrokerKind {
  return { title, program: "redis", forgets, listener: ":subscriptions", open: () => openRedis(kept) };
}

export const brokerKinds = {
  "redis-aof": redis("log", "Redis, append-only file", []),
  "redis-snapshots": redis("snapshots", "Redis, default snapshots", ["kill"]),
  "redis-none": redis("none", "Redis, no persistence", ["stop", "kill"]),
  postgres: {
    title: "PostgreSQL",
    program: "postgres",
    forgets: [],
    listener: ":listener",
    open: openPostgres,
  },
  rabbitmq: {
    title: "RabbitMQ",
    program: "rabbitmq",
    forgets: [],
    listener: "",
    open: openRabbitmq,
  },
  nats: { title: "NATS", program: "nats", forgets: [], listener: "", open: openNats },
} as const satisfies Record<string, BrokerKind>;
export type BrokerName = keyof typeof brokerKinds;

export function openBroker(name: BrokerName): Promise<Broker> {
  const kind: BrokerKind = brokerKinds[name];
  const program = programs[kind.program].find();
  if (program === undefined) throw new Error(`${name}: ${programs[kind.program].package} is not installed`);
  return kind.open(program);
}

/** What `--backplane` says, by way of a proxy where there is one. */
export function backplaneUrl(broker: Broker, proxy?: Proxy): string {
  const { port } = new URL(broker.url);
  return broker.url.replace(`:${port}`, `:${proxy?.port ?? port}`) + broker.store;
}

type ServerProcess = RedisProcess | PostgresProcess | RabbitmqProcess | NatsProcess;
type Life = Pick<Broker, "url" | "store" | "start" | "stop" | "kill" | "keep" | "dispose">;

/** What is done alike with every server. */
function lifeOf(server: ServerProcess): Life {
  return {
    url: server.url,
    store: "",
    start: () => server.start(),
    stop: () => server.stop(),
    kill: () => server.stop("SIGKILL"),
    keep: async () => undefined,
    dispose: () => server.dispose(),
  };
}

/** A server that only announces: the logs are kept by a Redis of their own that stays well. */
async function withStore(server: ServerProcess): Promise<Life> {
  const store = await RedisProcess.start("log");
  return {
    ...lifeOf(server),
    store: `+${store.url}`,
    dispose: async () => void (await Promise.all([server.dispose(), store.dispose()])),
  };
}

async function openRedis(kept: Persistence): Promise<Broker> {
  const server = await RedisProcess.start(kept);
  const ask = async (command: readonly string[]): Promise<unknown> => {
    const client = createClient({ url: server.url });
    client.on("error", () => undefined); // what fails rejects below
    await client.connect();
    try {
      return await client.sendCommand([...command]);
    } finally {
      client.destroy();
    }
  };
  return {
    ...lifeOf(server),
    freeze: async (on) => server.signal(on ? "SIGSTOP" : "SIGCONT"),
    drop: async () => void (await ask(["CLIENT", "KILL", "TYPE", "pubsub"])),
    keep: async () => void (kept === "snapshots" && (await ask(["SAVE"]))),
    async objects() {
      const clients = String(await ask(["CLIENT", "LIST"])).split("\n");
      const channels = (await ask(["PUBSUB", "SHARDCHANNELS"])) as unknown[];
      return { connections: clients.filter((line) => line.includes("name=zuruf")).length, channels: channels.length };
    },
  };
}

async function openPostgres(bin: string): Promise<Broker> {
  const server = await PostgresProcess.start(bin);
  const ask = async (sql: string): Promise<number> => {
    const client = new Client({ connectionString: server.url });
    client.on("error", () => undefined); // what fails rejects below
    await client.connect();
    try {
      const { rows } = await client.query<{ n: string }>(sql);
      return Number(rows[0]?.n ?? 0);
    } finally {
      await client.end();
    }
  };
  const others = "pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
  return {
    ...lifeOf(server),
    freeze: (on) => server.signalAll(on ? "SIGSTOP" : "SIGCONT"),
    drop: async () =>
      void (await ask(
        `select count(pg_terminate_backend(pid)) as n from ${others} and application_name like '%:listener'`,
      )),
    objects: async () => ({ connections: await ask(`select count(*) as n from ${others}`) }),
  };
}

async function openRabbitmq(program: string): Promise<Broker> {
  const server = await RabbitmqProcess.start(program);
  return {
    ...(await withStore(server)),
    freeze: async (on) => server.signalAll(on ? "SIGSTOP" : "SIGCONT"),
    drop: async () => void (await server.control("close_all_connections", "test")),
    async objects() {
      const count = async (...command: string[]): Promise<number> =>
        (await server.control("-q", ...command)).split("\n").filter(Boolean).length;
      return { connections: await count("list_connections", "name"), queues: await count("list_queues", "name") };
    },
  };
}

async function openNats(program: string): Promise<Broker> {
  const server = await NatsProcess.start(program);
  return {
    ...(await withStore(server)),
    freeze: async (on) => server.signal(on ? "SIGSTOP" : "SIGCONT"),
    // NATS ends subscriptions with their connections only; a restart is that.
    drop: async () => {
      await server.stop();
      await server.start();
    },
    async objects() {
      const { stdout } = await promisify(execFile)("ss", ["-Htn", "state", "established", `sport = :${server.port}`]);
      return { connections: stdout.split("\n").filter(Boolean).length };
    },
  };
}
