/** Real `zuruf serve` processes behind one address, and what their health endpoints say over time. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { ZurufProcess } from "../service/zuruf-process.ts";

const application = join(import.meta.dirname, "application.mjs");
/** How often health is asked, milliseconds. */
const pulse = 100;

export interface Resources {
  /** Bytes in use after a collection. */
  readonly heap: number;
  readonly descriptors: number;
  readonly handles: number;
  readonly connections: number;
  readonly channels: number;
}

interface Health {
  readonly at: number;
  readonly backplane: "up" | "down" | "silent";
  readonly ready: boolean;
}

export class Instance {
  readonly name: string;
  readonly process: ZurufProcess;
  readonly health: Health[] = [];
  url = "";
  #asking: Promise<void> = Promise.resolve();
  #stopped = false;
  #expected: "exit 0" | "killed" | "running" = "running";

  private constructor(name: string, backplane: string) {
    this.name = name;
    this.process = new ZurufProcess(
      ["serve", "--port", "0", "--instance", name, "--backplane", backplane, "--app", application],
      // A second is enough to spread a handful of connections.
      { env: { ZURUF_DRAIN_WINDOW: "1000" } },
    );
  }

  static async start(name: string, backplane: string): Promise<Instance> {
    const instance = new Instance(name, backplane);
    try {
      instance.url = await instance.process.url();
    } catch (error) {
      await instance.process.end();
      throw error;
    }
    instance.#asking = instance.#ask();
    return instance;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }
  get latest(): Health | undefined {
    return this.health.at(-1);
  }

  async resources(): Promise<Resources> {
    return (await (await fetch(`${this.url}/resources`)).json()) as Resources;
  }

  async #ask(): Promise<void> {
    while (!this.#stopped) {
      const at = performance.now();
      const [backplane, ready] = await Promise.all([this.#backplane(), this.#ready()]);
      const { latest } = this;
      if (latest?.backplane !== backplane || latest.ready !== ready) this.health.push({ at, backplane, ready });
      await new Promise((resolve) => setTimeout(resolve, pulse));
    }
  }
  async #backplane(): Promise<Health["backplane"]> {
    const answer = await this.#get("/healthz");
    if (answer?.status !== 200) return "silent";
    const { instances } = (await answer.json()) as { instances: { backplane: "up" | "down" }[] };
    return instances[0]?.backplane ?? "silent";
  }
  async #ready(): Promise<boolean> {
    const answer = await this.#get("/readyz");
    await answer?.arrayBuffer();
    return answer?.status === 200;
  }
  async #get(path: string): Promise<Response | undefined> {
    try {
      return await fetch(this.url + path, { signal: AbortSignal.timeout(2000) });
    } catch {
      // No answer is an answer here: "silent".
      return undefined;
    }
  }

  /** As a deployment does. */
  async terminate(): Promise<void> {
    this.#expected = "exit 0";
    this.process.kill("SIGTERM");
    await this.end();
  }

  async kill(): Promise<void> {
    this.#expected = "killed";
    this.process.kill("SIGKILL");
    await this.end();
  }

  async end(): Promise<void> {
    this.#stopped = true;
    await Promise.all([this.process.exited, this.#asking]);
  }

  get over(): boolean {
    return this.#stopped;
  }

  /** What it did that no instance may do: end by itself, log an error, print what is no log. */
  async complaints(): Promise<string[]> {
    const { child, stderr } = this.process;
    const said: string[] = [];
    const gone = child.exitCode !== null || child.signalCode !== null;
    if (gone && this.#expected !== "killed") {
      const { code, signal } = await this.process.exited;
      if (this.#expected === "running" || code !== 0)
        said.push(`${this.name} ended with ${signal ?? `exit code ${String(code)}`}`);
    }
    for (const line of stderr.split("\n")) {
      if (line === "" || line === "zuruf: stopping; once more to stop at once") continue;
      if (!isWarning(line)) said.push(`${this.name} said: ${line.slice(0, 300)}`);
    }
    return said;
  }
}

/** pino's levels: 40 is a warning, 50 an error. */
function isWarning(line: string): boolean {
  try {
    return (JSON.parse(line) as { level: number }).level < 50;
  } catch {
    // Not a log line: a stack trace, or Node's own words.
    return false;
  }
}

/** A load balancer without any knowledge: each new connection to the next instance that takes it. */
export class Balancer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  targets: readonly Instance[] = [];
  #next = 0;
  port = 0;

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(): Promise<Balancer> {
    const balancer = new Balancer();
    await new Promise<void>((resolve) => balancer.#server.listen(0, "127.0.0.1", resolve));
    const address = balancer.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("no address");
    balancer.port = address.port;
    return balancer;
  }

  #accept(client: Socket): void {
    this.#sockets.add(client);
    client.on("error", () => client.destroy());
    client.on("close", () => this.#sockets.delete(client));
    this.#forward(client, this.targets.length);
  }

  #forward(client: Socket, tries: number): void {
    const target = this.targets[this.#next++ % this.targets.length];
    if (target === undefined || tries === 0) return void client.destroy();
    const server = connect({ port: target.port, host: "127.0.0.1", noDelay: true });
    let joined = false;
    server.on("connect", () => {
      joined = true;
      client.pipe(server);
      server.pipe(client);
      client.on("close", () => server.destroy());
    });
    server.on("error", () => {
      if (!joined) this.#forward(client, tries - 1);
    });
    server.on("close", () => {
      if (joined) client.destroy();
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
