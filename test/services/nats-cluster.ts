/** Three nats-servers that are one cluster with JetStream; each may be stopped, killed and started again on the same port with the same data. */
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import {
  freePort,
  probeTcp,
  removeFolder,
  startProcess,
  temporaryFolder,
  untilReady,
  type ServerProcess,
} from "./process.ts";

export class NatsServer {
  readonly port: number;
  readonly name: string;
  readonly #program: string;
  readonly #args: readonly string[];
  #process: ServerProcess | undefined;

  constructor(program: string, name: string, port: number, args: readonly string[]) {
    this.port = port;
    this.name = name;
    this.#program = program;
    this.#args = ["-a", "127.0.0.1", "-p", `${port}`, "-n", name, ...args];
  }

  async start(): Promise<void> {
    this.#process = startProcess(this.#program, this.#args);
    await untilReady(this.#process, () => probeTcp(this.port, "", "INFO"), 10_000);
  }
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#process?.stop(signal);
  }
  signal(signal: NodeJS.Signals): void {
    this.#process?.child.kill(signal);
  }
}

interface JetStreamAnswer {
  readonly error?: unknown;
  readonly cluster?: { readonly leader?: string };
}

export class NatsCluster {
  readonly servers: readonly NatsServer[];
  /** All of them. */
  readonly url: string;
  readonly #folder: string;

  private constructor(servers: readonly NatsServer[], folder: string) {
    this.servers = servers;
    this.url = `nats://${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
    this.#folder = folder;
  }

  static async start(program: string): Promise<NatsCluster> {
    const folder = await temporaryFolder("nats-cluster");
    const routes = [await freePort(), await freePort(), await freePort()];
    const servers: NatsServer[] = [];
    for (const [i, route] of routes.entries()) {
      const name = `n${i + 1}`;
      const cluster = ["--cluster_name", "zuruf", "--cluster", `nats://127.0.0.1:${route}`];
      const others = routes.map((port) => `nats://127.0.0.1:${port}`).join(",");
      const data = ["-js", "-sd", join(folder, name)];
      servers.push(new NatsServer(program, name, await freePort(), [...cluster, "--routes", others, ...data]));
    }
    const cluster = new NatsCluster(servers, folder);
    try {
      await Promise.all(servers.map((server) => server.start()));
      await cluster.#elected();
      return cluster;
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  }

  /** The servers have found each other when they can keep something three times. */
  async #elected(): Promise<void> {
    const end = Date.now() + 30_000;
    for (;;) {
      const made = await this.ask("STREAM.CREATE.probe", { name: "probe", subjects: ["probe"], num_replicas: 3 });
      if (made.error === undefined) break;
      if (Date.now() > end) throw new Error(`the cluster is not ready: ${JSON.stringify(made.error)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await this.ask("STREAM.DELETE.probe");
  }

  /** Asks JetStream as an operator does, at a server that runs; an answer that does not come within a second is an error, too. */
  async ask(what: string, body: object = {}): Promise<JetStreamAnswer> {
    const connection = await connect({ servers: this.servers.map(({ port }) => `127.0.0.1:${port}`) });
    try {
      const answer = await connection.request(`$JS.API.${what}`, JSON.stringify(body), { timeout: 1000 });
      return answer.json();
    } catch (error) {
      return { error };
    } finally {
      await connection.close();
    }
  }

  /** The server that leads a stream. */
  async leader(stream: string): Promise<NatsServer> {
    const { cluster } = await this.ask(`STREAM.INFO.${stream}`);
    const found = this.servers.find(({ name }) => name === cluster?.leader);
    if (found === undefined) throw new Error(`the stream ${stream} has no leader`);
    return found;
  }

  async dispose(): Promise<void> {
    for (const server of this.servers) server.signal("SIGCONT");
    await Promise.all(this.servers.map((server) => server.stop("SIGKILL")));
    await removeFolder(this.#folder);
  }
}
