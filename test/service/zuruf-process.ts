import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const program = join(import.meta.dirname, "../../packages/cli/bin/zuruf.js");

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A real `zuruf` process, and all that it has printed. */
export class ZurufProcess {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly exited: Promise<Exit>;
  #waiting: (() => void)[] = [];

  constructor(args: readonly string[], options: { readonly cwd?: string; readonly env?: Record<string, string> } = {}) {
    this.child = spawn(process.execPath, [program, ...args], {
      cwd: options.cwd,
      env: { ...cleanEnvironment(), ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // a process group of its own, as a terminal gives it
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#look();
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#look();
    });
    // "close" rather than "exit": by then all that was printed has been read.
    this.exited = once(this.child, "close").then(([code, signal]) => {
      this.#look();
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
  }

  /** Waits until the output matches. @throws when the process ends before. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    let ended = false;
    void this.exited.then(() => (ended = true));
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      if (match !== null) return match;
      if (ended) throw new Error(`ended without printing ${pattern}\n${this.stdout}\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The URL that it says it is at. */
  async url(): Promise<string> {
    const [, url] = await this.printed(/^Zuruf is at (http:\S+)/m);
    return url as string;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** To the whole process group, as a terminal does. */
  killAll(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined) process.kill(-this.child.pid, signal);
  }

  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.exited;
  }

  #look(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => !entry[0].startsWith("ZURUF_") && entry[1] !== undefined,
    ),
  );
}

/** Runs `zuruf` to its end. */
export async function run(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const zuruf = new ZurufProcess(args, options);
  const exit = await zuruf.exited;
  return { ...exit, stdout: zuruf.stdout, stderr: zuruf.stderr };
}
