/** A real redis-server that a test may stop, kill, freeze and start again on the same port with the same data. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  probeTcp,
  removeFolder,
  started,
  startProcess,
  temporaryFolder,
  untilReady,
  withPort,
  type ServerProcess,
} from "./process.ts";
import { programs } from "./programs.ts";

export const redisServer: string | undefined = programs.redis.find();

export type Persistence = "none" | "snapshots" | "log";
const persistence: Record<Persistence, string[]> = {
  none: ["--save", "", "--appendonly", "no"],
  // Redis' default: an interval that does not come within a test, so that SAVE decides.
  snapshots: ["--save", "3600 1", "--appendonly", "no"],
  log: ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"],
};

export class RedisProcess {
  readonly port: number;
  readonly url: string;
  readonly #folder: string;
  readonly #options: readonly string[];
  readonly #file: readonly string[];
  #process: ServerProcess | undefined;

  private constructor(port: number, folder: string, options: readonly string[], file: readonly string[] = []) {
    this.#file = file;
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.#folder = folder;
    this.#options = options;
  }

  static async start(kept: Persistence, options: readonly string[] = []): Promise<RedisProcess> {
    return withPort(async (port) =>
      started(new RedisProcess(port, await temporaryFolder("redis"), [...persistence[kept], ...options])),
    );
  }

  /** A Sentinel of its own that watches a primary under the name `main`, and gives it up after half a second. */
  static async startSentinel(primary: number): Promise<RedisProcess> {
    const folder = await temporaryFolder("sentinel");
    const file = join(folder, "sentinel.conf");
    const watch = ["down-after-milliseconds main 500", "failover-timeout main 2000"].map((line) => `sentinel ${line}`);
    await writeFile(file, [`sentinel monitor main 127.0.0.1 ${primary} 1`, ...watch, ""].join("\n"));
    return withPort(async (port) => started(new RedisProcess(port, folder, ["--sentinel"], [file])));
  }

  async start(): Promise<void> {
    if (redisServer === undefined) throw new Error("redis-server is not installed");
    const own = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--dir", this.#folder];
    this.#process = startProcess(redisServer, [...this.#file, ...own, ...this.#options]);
    await untilReady(this.#process, () => probeTcp(this.port, "PING\r\n", "PONG"), 10_000);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#process?.stop(signal);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.child.kill(signal);
  }

  /** One inline command, answered with whatever arrives first; for what a test needs outside of the backplane. */
  async command(line: string, expected: string): Promise<void> {
    await probeTcp(this.port, `${line}\r\n`, expected);
  }

  async dispose(): Promise<void> {
    this.signal("SIGCONT");
    await this.stop("SIGKILL");
    await removeFolder(this.#folder);
  }
}
