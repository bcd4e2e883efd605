import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const ticksPerSecond = (): number => Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
let ticks = 0;

interface Stat {
  readonly parent: number;
  /** Its own time and that of its children which have ended and were waited for. */
  readonly seconds: number;
}

/** One process as proc(5) has it in `/proc/PID/stat`; undefined when it has ended. */
function statOf(pid: string): Stat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // it has ended since its name was read
  }
  // The second field is the command's name in parentheses, which may hold anything: count from its end.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const times = fields.slice(11, 15).map(Number);
  return { parent: Number(fields[1]), seconds: times.reduce((sum, time) => sum + time, 0) / ticks };
}

/** These processes, and all that they started and that still run. */
function tree(pids: readonly number[]): Map<number, Stat> {
  ticks ||= ticksPerSecond();
  const all = new Map<number, Stat>();
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(name) : undefined;
    if (stat) all.set(Number(name), stat);
  }
  const belongs = (pid: number): boolean => {
    const stat = all.get(pid);
    return stat !== undefined && (pids.includes(pid) || belongs(stat.parent));
  };
  return new Map([...all].filter(([pid]) => belongs(pid)));
}

/** CPU seconds, user and system, of these processes and of all that they started, also of what has ended (PostgreSQL has a process per connection). */
export function treeCpuSeconds(pids: readonly number[]): number {
  let sum = 0;
  for (const { seconds } of tree(pids).values()) sum += seconds;
  return sum;
}

/** Bytes of memory of these processes and all that they started, each with its share of what they have in common (proc(5), `smaps_rollup`). */
export function memoryBytes(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of tree(pids).keys()) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    sum += Number(/^Pss: +(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
  }
  return sum;
}

/** CPU seconds that the whole machine has used, on all its cores (proc(5), `/proc/stat`). */
export function machineCpuSeconds(): number {
  ticks ||= ticksPerSecond();
  const [, ...fields] = readFileSync("/proc/stat", "latin1").split("\n", 1)[0]?.trim().split(/ +/) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields.map(Number);
  return (user + nice + system + irq + softirq + steal) / ticks;
}

/** How a {@link Worker} is started. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** The one CPU that it may run on; default any. */
  readonly core?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A process that speaks JSON lines: a measured server or the generator. */
export class Worker {
  readonly #process: ChildProcess;
  readonly #answers: unknown[] = [];
  #waiting: { resolve(answer: unknown): void; reject(error: Error): void } | undefined;
  #ended: Error | undefined;
  #said = "";

  constructor({ file, args, core, env }: Command) {
    const [program, list] = core === undefined ? [file, args] : ["taskset", ["-c", String(core), file, ...args]];
    this.#process = spawn(program, list, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    const { stdout, stderr, stdin } = this.#process;
    if (!stdout || !stderr || !stdin) throw new Error("a worker has no pipes");
    stdin.on("error", () => {}); // A worker that has died is reported by its exit, with what it said.
    stderr.setEncoding("utf8").on("data", (text: string) => (this.#said = (this.#said + text).slice(-4000)));
    createInterface({ input: stdout }).on("line", (line) => {
      const answer: unknown = JSON.parse(line);
      if (this.#waiting) this.#waiting.resolve(answer);
      else this.#answers.push(answer);
      this.#waiting = undefined;
    });
    const end = (why: string): void => {
      // A stack trace quotes the line that threw, which may be a whole minified file.
      const said = this.#said.split("\n").filter((line) => line.length < 300);
      this.#ended = new Error([`${file} ${args.join(" ")} ${why}`, ...said].join("\n").trim());
      this.#waiting?.reject(this.#ended);
    };
    this.#process.on("error", (error) => end(error.message));
    this.#process.on("close", (code, signal) => end(`ended (${signal ?? code})`));
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw this.#ended ?? new Error("the worker has not started");
    return pid;
  }

  send(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  /** The next line that the worker writes, parsed. @param within milliseconds until it is given up. */
  answer<T>(within: number): Promise<T> {
    const next = this.#answers.shift();
    if (next !== undefined) return Promise.resolve(next as T);
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        reject(new Error(`no answer within ${within} ms from ${this.#process.spawnargs.join(" ")}\n${this.#said}`));
      }, within);
      this.#waiting = {
        resolve: (answer) => (clearTimeout(timer), resolve(answer as T)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      };
    });
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null || this.#ended) return;
    const closed = new Promise((resolve) => this.#process.once("close", resolve));
    // A profile is written at the exit that the end of its input asks for; without one there is nothing to wait for.
    if (process.env["ZURUF_BENCH_PROFILE"] !== undefined) {
      this.#process.stdin?.end();
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 10_000).unref())]);
    }
    this.#process.kill("SIGKILL");
    await closed;
  }
}
