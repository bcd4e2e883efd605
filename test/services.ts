/**
 * Brings up what tests need, each on a free port of 127.0.0.1 with its data in a temporary folder, and stops what it started.
 *
 * | service  | already running, named by  | else started from                                   |
 * | -------- | -------------------------- | --------------------------------------------------- |
 * | redis    | `ZURUF_TEST_REDIS_URL`     | `redis-server`, or Debian's package of that name     |
 * | postgres | `ZURUF_TEST_POSTGRES_URL`  | `/usr/lib/postgresql/<newest>/bin`, or `postgresql`  |
 * | chromium | `ZURUF_CHROMIUM` (a file)  | `/usr/bin/chromium`, or Debian's package (not started: tests do) |
 * | curl     | `ZURUF_TEST_CURL` (a file)      | `/usr/bin/curl`, or Debian's package (the documents' commands use it) |
 * | openssl  | `ZURUF_TEST_OPENSSL` (a file)   | `/usr/bin/openssl`, or Debian's package (tests make certificates with it) |
 * | rabbitmq | `ZURUF_TEST_RABBITMQ_URL`  | Debian's `rabbitmq-server`                           |
 * | nats     | `ZURUF_TEST_NATS_URL`      | Debian's `nats-server`                               |
 *
 * A service that stays undefined in the environment is one that was not asked for; its tests say so and skip.
 */
import { NatsProcess } from "./services/nats.ts";
import { PostgresProcess } from "./services/postgres.ts";
import { RabbitmqProcess } from "./services/rabbitmq.ts";
import { installMissing, programs, type ProgramName } from "./services/programs.ts";
import { RedisProcess } from "./services/redis.ts";

export const serviceVariables = {
  redis: "ZURUF_TEST_REDIS_URL",
  postgres: "ZURUF_TEST_POSTGRES_URL",
  chromium: "ZURUF_CHROMIUM",
  curl: "ZURUF_TEST_CURL",
  openssl: "ZURUF_TEST_OPENSSL",
  rabbitmq: "ZURUF_TEST_RABBITMQ_URL",
  nats: "ZURUF_TEST_NATS_URL",
} as const satisfies Record<ProgramName, string>;

export interface Services {
  /** What the tests find the services by. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends what was started, and removes its data; safe to call twice. */
  stop(): Promise<void>;
}

interface Started {
  /** URL, or a program's path. */
  readonly value: string;
  readonly stop?: () => Promise<void>;
}

const starters: Record<ProgramName, (program: string) => Promise<Started>> = {
  redis: () => started(RedisProcess.start("none")),
  postgres: (bin) => started(PostgresProcess.start(bin)),
  chromium: async (program) => ({ value: program }),
  curl: async (program) => ({ value: program }),
  openssl: async (program) => ({ value: program }),
  rabbitmq: (program) => started(RabbitmqProcess.start(program)),
  nats: (program) => started(NatsProcess.start(program)),
};

/** Starts all of `wanted` side by side; when one fails, those already started are stopped and the error is one line. */
export async function startServices(wanted: readonly ProgramName[]): Promise<Services> {
  const env: Record<string, string> = {};
  const missing: ProgramName[] = [];
  for (const name of wanted) {
    const given = process.env[serviceVariables[name]];
    if (given === undefined || given === "") missing.push(name);
    else env[serviceVariables[name]] = given;
  }
  await installMissing(missing);
  const results = await Promise.allSettled(
    missing.map(async (name) => {
      const program = programs[name].find();
      if (program === undefined)
        throw new Error(`${programs[name].package} is installed, but its program is not found`);
      return { name, service: await starters[name](program) };
    }),
  );
  const started = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= Promise.all(started.map(async ({ service }) => service.stop?.())).then(() => undefined);
    return stopping;
  };
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  for (const { name, service } of started) env[serviceVariables[name]] = service.value;
  return { env, stop };
}

async function started(starting: Promise<{ readonly url: string; dispose(): Promise<void> }>): Promise<Started> {
  const server = await starting;
  return { value: server.url, stop: () => server.dispose() };
}
