/** Starts a server program for tests, waits until it answers, and ends it by its process id. */
import { spawn, type ChildProcess } from "node:child_process";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ServerProcess {
  readonly child: ChildProcess;
  /** What it wrote last, at most 16 KiB: the reason when it does not start. */
  output(): string;
  /** Sends `signal` and resolves once the process is gone; after 10 s it is killed. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** Runs a program in a process group of its own, so that Ctrl-C in a terminal reaches the tests before it reaches their servers. */
export function startProcess(
  command: string,
  args: readonly string[],
  options: { readonly user?: ServerUser; readonly env?: Record<string, string>; readonly cwd?: string } = {},
): ServerProcess {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
    ...options.user,
  });
  let output = "";
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-16_384);
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  child.on("error", (error) => collect(Buffer.from(error.message)));
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  return {
    child,
    output: () => output,
    async stop(signal = "SIGTERM") {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      const killer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await gone;
      clearTimeout(killer);
    },
  };
}

/** Resolves once `probe` does; rejects with the program's own words when it ended or `ms` passed. */
export async function untilReady(server: ServerProcess, probe: () => Promise<void>, ms: number): Promise<void> {
  const end = Date.now() + ms;
  for (;;) {
    const { exitCode, signalCode, pid } = server.child;
    if (pid === undefined || exitCode !== null || signalCode !== null)
      throw new Error(`ended at start: ${server.output().trim()}`);
    try {
      await probe();
      return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`not ready within ${ms} ms: ${server.output().trim()}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

/** Sends `request` to a port of this machine and resolves when the answer contains `expected`. */
export function probeTcp(port: number, request: string | Uint8Array, expected: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ port, host: "127.0.0.1" }, () => {
      socket.write(request);
    });
    socket.setTimeout(2000, () => socket.destroy(new Error("no answer within 2 s")));
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      if (answer.includes(expected)) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () =>
      answer.includes(expected) ? resolve() : reject(new Error(`answered ${JSON.stringify(answer.slice(0, 200))}`)),
    );
  });
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

export async function temporaryFolder(name: string, owner?: ServerUser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `zuruf-${name}-`));
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
  return folder;
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Tries again on another port when somebody else took the free one in between. */
export async function withPort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}
