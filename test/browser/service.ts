import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const program = join(root, "packages/cli/bin/zuruf.js");
const application = join(root, "apps/guestbook/dist/server/index.js");

export interface ServiceOptions {
  /** The working directory, where the embedded database is kept. */
  readonly folder: string;
  /** 0: a free one. */
  readonly port?: number;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A `zuruf serve` process with the guestbook, as a user starts it. */
export interface Service {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** What it has printed so far. */
  output(): string;
  /** Ends it as Ctrl + C does, or at once. Resolves with its exit code, null after SIGKILL. */
  stop(signal?: "SIGINT" | "SIGTERM" | "SIGKILL"): Promise<number | null>;
}

/** Starts the guestbook and resolves once it serves; rejects with what it printed when it ends instead. */
export async function startGuestbook(options: ServiceOptions): Promise<Service> {
  const { child, output } = run(options);
  const url = await new Promise<string>((found, failed) => {
    const look = (): void => {
      const [match] = /http:\/\/127\.0\.0\.1:\d+/.exec(output()) ?? [];
      if (match !== undefined) found(match);
    };
    child.stdout?.on("data", look);
    child.once("exit", (code) => failed(new Error(`zuruf serve ended with ${code}:\n${output()}`)));
  });
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid ?? 0,
    output,
    async stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, "exit");
        child.kill(signal);
        await ended;
      }
      return child.exitCode;
    },
  };
}

/** Runs the guestbook until it ends by itself; for what must be refused. */
export async function guestbookThatEnds(options: ServiceOptions): Promise<{ code: number | null; output: string }> {
  const { child, output } = run(options);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output: output() };
}

function run({ folder, port = 0, args = [], env = {} }: ServiceOptions): {
  child: ChildProcess;
  readonly output: () => string;
} {
  const { DATABASE_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [program, "serve", "--app", application, "--port", String(port), ...args], {
    cwd: folder,
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  const collect = (chunk: Buffer): void => {
    text += chunk.toString();
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  return { child, output: () => text };
}

export interface TemporaryFolder {
  readonly path: string;
  remove(): Promise<void>;
}

export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), "zuruf-browser-"));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}
