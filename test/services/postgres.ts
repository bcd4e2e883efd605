/** A PostgreSQL server of its own that a test may stop, kill, freeze and start again on the same port with the same data. */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  removeFolder,
  signalTo,
  started,
  startProcess,
  temporaryFolder,
  untilReady,
  withPort,
  type ServerProcess,
  type ServerUser,
} from "./process.ts";

/** PostgreSQL refuses to run as root: its package's user, else `nobody`, runs it then. */
async function unprivileged(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  const user = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody");
  const [, , uid, gid] = user ?? [];
  if (uid === undefined || gid === undefined)
    throw new Error(
      "PostgreSQL does not run as root, and there is no user postgres or nobody: run tests as a normal user",
    );
  return { uid: Number(uid), gid: Number(gid) };
}

export class PostgresProcess {
  readonly port: number;
  readonly url: string;
  readonly #bin: string;
  readonly #folder: string;
  readonly #user: ServerUser | undefined;
  readonly #fsync: boolean;
  #process: ServerProcess | undefined;

  private constructor(bin: string, port: number, folder: string, user: ServerUser | undefined, fsync: boolean) {
    this.#fsync = fsync;
    this.port = port;
    this.url = `postgres://zuruf@127.0.0.1:${port}/postgres`;
    this.#bin = bin;
    this.#folder = folder;
    this.#user = user;
  }

  /** A new server with empty data. @param bin the folder with `initdb` and `postgres`. @param fsync what is committed is on the disk, as in production. */
  static async start(bin: string, { fsync = false }: { readonly fsync?: boolean } = {}): Promise<PostgresProcess> {
    const user = await unprivileged();
    return withPort(async (port) => {
      const folder = await temporaryFolder("postgres", user);
      return started(new PostgresProcess(bin, port, folder, user, fsync));
    });
  }

  async #initialise(): Promise<void> {
    const who = ["-U", "zuruf", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
    const options = { cwd: this.#folder, ...this.#user };
    await promisify(execFile)(join(this.#bin, "initdb"), ["-D", join(this.#folder, "data"), ...who], options);
  }

  async start(): Promise<void> {
    if (this.#process === undefined) await this.#initialise();
    // Tests kill servers, never the machine: without fsync nothing that they could see is lost.
    const settings = [`fsync=${this.#fsync ? "on" : "off"}`, "max_connections=200"].flatMap((setting) => [
      "-c",
      setting,
    ]);
    const data = ["-D", join(this.#folder, "data"), "-p", `${this.port}`, "-h", "127.0.0.1", "-k", this.#folder];
    const options = { cwd: this.#folder, ...(this.#user === undefined ? {} : { user: this.#user }) };
    const probe = async (): Promise<void> => {
      await promisify(execFile)(join(this.#bin, "pg_isready"), ["-h", "127.0.0.1", "-p", `${this.port}`]);
    };
    for (let attempt = 1; ; attempt++) {
      this.#process = startProcess(join(this.#bin, "postgres"), [...data, ...settings], options);
      try {
        await untilReady(this.#process, probe, 30_000);
        return;
      } catch (error) {
        await this.#process.stop("SIGKILL");
        // After kill -9 its children hold the shared memory until they notice.
        if (attempt === 20 || !this.#process.output().includes("shared memory")) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** SIGINT is PostgreSQL's fast shutdown: it does not wait for clients. */
  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<void> {
    await this.#process?.stop(signal);
  }

  /** Signals the server and all of its processes, each of which is in a group of its own. */
  async signalAll(signal: NodeJS.Signals): Promise<void> {
    const parent = this.#process?.child.pid;
    if (parent === undefined) return;
    signalTo(parent, signal);
    for (const entry of await readdir("/proc")) {
      if (!/^\d+$/.test(entry)) continue;
      // One that ended meanwhile has no file any more.
      const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent) signalTo(Number(entry), signal);
    }
  }

  async dispose(): Promise<void> {
    await this.signalAll("SIGCONT");
    await this.stop();
    await removeFolder(this.#folder);
  }
}
