import { closeSync, fdatasyncSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startServices } from "../../test/services.ts";
import { median } from "../measure/statistics.ts";
import { PostgresProcess } from "../../test/services/postgres.ts";
import { installMissing, programs } from "../../test/services/programs.ts";

export type BrokerName = "redis" | "postgres" | "rabbitmq" | "nats";

/** A broker that runs for the measurements alone. */
export interface Broker {
  readonly url: string;
  /** Its processes that this one started; theirs are found by them. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

const variables = {
  redis: "ZURUF_TEST_REDIS_URL",
  rabbitmq: "ZURUF_TEST_RABBITMQ_URL",
  nats: "ZURUF_TEST_NATS_URL",
} as const;

function children(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "latin1");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === process.pid;
      } catch {
        return false; // it has ended since its name was read
      }
    })
    .map(Number);
}

/** Starts one with empty data: one that runs already has other work, whose CPU time would count. PostgreSQL writes to the disk what it commits. */
export async function startBroker(name: BrokerName): Promise<Broker> {
  const before = new Set(children());
  const { url, stop } = await start(name);
  return { url, stop, pids: children().filter((pid) => !before.has(pid)) };
}

/** Milliseconds of one flush to the disk that brokers write to: the median of fifty, 8 KiB each. */
export function flushTime(): number {
  const folder = mkdtempSync(join(tmpdir(), "zuruf-flush-"));
  const file = openSync(join(folder, "log"), "w");
  try {
    const times = Array.from({ length: 50 }, () => {
      const begin = performance.now();
      writeSync(file, Buffer.alloc(8192));
      fdatasyncSync(file);
      return performance.now() - begin;
    });
    return median(times);
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}

async function start(name: BrokerName): Promise<Omit<Broker, "pids">> {
  if (name === "postgres") {
    await installMissing([name]);
    const bin = programs.postgres.find();
    if (bin === undefined) throw new Error("PostgreSQL's programs are not found");
    const server = await PostgresProcess.start(bin, { fsync: true });
    return { url: server.url, stop: () => server.dispose() };
  }
  const variable = variables[name];
  delete process.env[variable];
  const services = await startServices([name]);
  return { url: services.env[variable] ?? "", stop: () => services.stop() };
}
