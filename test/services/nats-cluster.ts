/** Several nats-servers that are one cluster with JetStream; each may be stopped, killed and started again on the same port with the same data. */
import { join } from "node:path";
import {
  freePort,
  probeTcp,
  removeFolder,
  startProcess,
  temporaryFolder,
  untilReady,
  type ServerProcess,
} from "./process.ts";

/** What a server's monitor says of JetStream (`/jsz`), as far as it is looked at. */
interface JetStreamState {
  readonly meta_cluster?: { readonly leader?: string; readonly cluster_size: number };
  readonly account_details?: readonly {
    readonly stream_detail?: readonly { readonly name: string; readonly cluster?: { readonly leader?: string } }[];
  }[];
}

export class NatsServer {
  readonly port: number;
  readonly #monitor: number;
  readonly name: string;
  readonly #program: string;
  readonly #args: readonly string[];
  #process: ServerProcess | undefined;

  constructor(program: string, name: string, port: number, monitor: number, args: readonly string[]) {
    this.port = port;
    this.#monitor = monitor;
    this.name = name;
    this.#program = program;
    this.#args = ["-a", "127.0.0.1", "-p", `${port}`, "-m", `${monitor}`, "-n", name, ...args];
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
  async jetstream(): Promise<JetStreamState> {
    const answer = await fetch(`http://127.0.0.1:${this.#monitor}/jsz?accounts=true&streams=true`);
    return (await answer.json()) as JetStreamState;
  }
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

  static async start(program: string, size = 3): Promise<NatsCluster> {
    const folder = await temporaryFolder("nats-cluster");
    const routes = await Promise.all(Array.from({ length: size }, freePort));
    const servers: NatsServer[] = [];
    for (const [i, route] of routes.entries()) {
      const name = `n${i + 1}`;
      const cluster = ["--cluster_name", "zuruf", "--cluster", `nats://127.0.0.1:${route}`];
      const others = routes.map((port) => `nats://127.0.0.1:${port}`).join(",");
      const data = ["-js", "-sd", join(folder, name)];
      const [port, monitor] = [await freePort(), await freePort()];
      servers.push(new NatsServer(program, name, port, monitor, [...cluster, "--routes", others, ...data]));
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

  /** JetStream has a leader who knows all servers. */
  async #elected(): Promise<void> {
    const end = Date.now() + 30_000;
    for (;;) {
      const states = await Promise.all(this.servers.map((server) => server.jetstream()));
      const sizes = states.map(({ meta_cluster: meta }) => (meta?.leader === undefined ? 0 : meta.cluster_size));
      if (sizes.every((size) => size === this.servers.length)) return;
      if (Date.now() > end) throw new Error(`the cluster is not ready: ${JSON.stringify(states)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The server that leads a stream, as that one says itself. */
  async leader(stream: string): Promise<NatsServer> {
    for (const server of this.servers) {
      const { account_details: accounts = [] } = await server.jetstream();
      const streams = accounts.flatMap(({ stream_detail: details = [] }) => details);
      if (streams.some(({ name, cluster }) => name === stream && cluster?.leader === server.name)) return server;
    }
    throw new Error(`the stream ${stream} has no leader`);
  }

  async dispose(): Promise<void> {
    for (const server of this.servers) server.signal("SIGCONT");
    await Promise.all(this.servers.map((server) => server.stop("SIGKILL")));
    await removeFolder(this.#folder);
  }
}
