/** Starts a server program for tests, waits until it answers, and ends it by its process id. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
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

/** Signals a process or, where the number is negative, a group; what is gone already needs none. */
export function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
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

/**
 * Below those that a system gives to connections and to servers that do not choose (Linux: from 32768; macOS, Windows: from 49152):
 * a port that is out of use for a moment, because its server is stopped or not yet started, goes to nobody by chance.
 */
const ports = { first: 20_000, beyond: 32_768 };

/** A TCP port of 127.0.0.1 where nothing listens, and that no other process is given by this function until this one ends, whatever listens there meanwhile. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; attempt <= 1000; attempt++) {
    const port = randomInt(ports.first, ports.beyond);
    // The claim comes first, so that of two processes one looks at a port at a time.
    if ((await claim(port)) && (await isFree(port))) return port;
  }
  throw new Error(`no free port from ${ports.first} to ${ports.beyond - 1}`);
}

/** Holds the UDP port of the same number, which nothing else uses: the system gives it back when this process ends, however it does. */
function claim(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4").unref();
    socket.on("error", (error) => (isTaken(error) ? resolve(false) : reject(error)));
    socket.bind(port, "127.0.0.1", () => resolve(true));
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", (error) => (isTaken(error) ? resolve(false) : reject(error)));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function isTaken(error: NodeJS.ErrnoException): boolean {
  // EACCES: the system keeps it for itself (Windows).
  return error.code === "EADDRINUSE" || error.code === "EACCES";
}

export async function temporaryFolder(name: string, owner?: ServerUser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `zuruf-${name}-`));
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
  return folder;
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Starts a server for the first time; one that does not start leaves nothing behind. */
export async function started<T extends { start(): Promise<void>; dispose(): Promise<void> }>(server: T): Promise<T> {
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.dispose();
    throw error;
  }
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
