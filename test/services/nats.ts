/** A nats-server of its own that a test may stop, kill, freeze and start again on the same port with the same data. */
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

export class NatsProcess {
  readonly port: number;
  readonly url: string;
  readonly #program: string;
  readonly #folder: string;
  readonly #more: readonly string[];
  #process: ServerProcess | undefined;

  private constructor(program: string, port: number, folder: string, more: readonly string[]) {
    this.port = port;
    this.url = `nats://127.0.0.1:${port}`;
    this.#program = program;
    this.#folder = folder;
    this.#more = more;
  }

  /** @param more options of the program. */
  static async start(program: string, more: readonly string[] = []): Promise<NatsProcess> {
    return withPort(async (port) => started(new NatsProcess(program, port, await temporaryFolder("nats"), more)));
  }

  async start(): Promise<void> {
    const args = ["-a", "127.0.0.1", "-p", `${this.port}`, "-js", "-sd", this.#folder, ...this.#more];
    this.#process = startProcess(this.#program, args);
    await untilReady(this.#process, () => probeTcp(this.port, "", "INFO"), 10_000);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#process?.stop(signal);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.child.kill(signal);
  }

  async dispose(): Promise<void> {
    this.signal("SIGCONT");
    await this.stop("SIGKILL");
    await removeFolder(this.#folder);
  }
}
