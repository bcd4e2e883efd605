/** A RabbitMQ node of its own name, cookie and ports that a test may stop, kill and start again with the same data. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import {
  freePort,
  probeTcp,
  removeFolder,
  signalTo,
  started,
  startProcess,
  temporaryFolder,
  untilReady,
  withPort,
  type ServerProcess,
} from "./process.ts";

export class RabbitmqProcess {
  readonly url: string;
  readonly #program: string;
  readonly #port: number;
  readonly #epmd: number;
  readonly #folder: string;
  readonly #env: Record<string, string>;
  #process: ServerProcess | undefined;

  private constructor(program: string, folder: string, port: number, distribution: number, epmd: number) {
    this.url = `amqp://guest:guest@127.0.0.1:${port}`;
    this.#program = program;
    this.#port = port;
    this.#epmd = epmd;
    this.#folder = folder;
    this.#env = {
      HOME: folder,
      RABBITMQ_NODENAME: `zuruf${port}@localhost`,
      RABBITMQ_DIST_PORT: `${distribution}`,
      RABBITMQ_MNESIA_BASE: join(folder, "data"),
      RABBITMQ_LOG_BASE: join(folder, "log"),
      RABBITMQ_SCHEMA_DIR: join(folder, "schema"),
      RABBITMQ_GENERATED_CONFIG_DIR: join(folder, "generated"),
      RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "plugins"),
      RABBITMQ_CONF_ENV_FILE: join(folder, "none"),
      RABBITMQ_PID_FILE: join(folder, "pid"),
      // Erlang's port mapper is started on a port of its own, too.
      ERL_EPMD_PORT: `${epmd}`,
      ERL_EPMD_ADDRESS: "127.0.0.1",
    };
  }

  /**
   * @param program RabbitMQ's own `rabbitmq-server`, not Debian's wrapper that changes the user.
   * @param more lines of its configuration.
   */
  static async start(program: string, more: readonly string[] = []): Promise<RabbitmqProcess> {
    return withPort(async (port) => {
      const folder = await temporaryFolder("rabbitmq");
      const [distribution, epmd] = [await freePort(), await freePort()];
      const server = new RabbitmqProcess(program, folder, port, distribution, epmd);
      const settings = [
        `listeners.tcp.default = 127.0.0.1:${port}`,
        "loopback_users = none",
        "log.file = false",
        "log.console = true",
        "log.console.level = warning",
        ...more,
        "",
      ];
      await writeFile(join(folder, ".erlang.cookie"), `zuruf${port}${distribution}${epmd}`, { mode: 0o400 });
      await writeFile(join(folder, "plugins"), "[].\n");
      await writeFile(join(folder, "rabbitmq.conf"), settings.join("\n"));
      return started(server);
    });
  }

  async start(): Promise<void> {
    this.#process = startProcess(this.#program, [], { env: this.#env, cwd: this.#folder });
    const header = Uint8Array.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]);
    await untilReady(this.#process, () => probeTcp(this.#port, header, "RabbitMQ"), 60_000);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (signal === "SIGKILL") this.signalAll(signal);
    await this.#process?.stop(signal);
  }

  /** Signals the whole group: the program is a script with the server as its child. */
  signalAll(signal: NodeJS.Signals): void {
    const pid = this.#process?.child.pid;
    if (pid !== undefined) signalTo(-pid, signal);
  }

  /** Runs `rabbitmqctl` against this node and gives what it printed. */
  async control(...args: readonly string[]): Promise<string> {
    const program = join(dirname(this.#program), "rabbitmqctl");
    const env = { ...process.env, ...this.#env };
    const { stdout } = await promisify(execFile)(program, [...args], { cwd: this.#folder, env });
    return stdout;
  }

  async dispose(): Promise<void> {
    this.signalAll("SIGCONT");
    await this.stop();
    await promisify(execFile)("epmd", ["-port", `${this.#epmd}`, "-kill"]).catch((error: unknown) => {
      console.error(`epmd on port ${this.#epmd} was not stopped: ${String(error)}`);
    });
    await removeFolder(this.#folder);
  }
}
