import { randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Who holds a lock. `started` tells a living owner from a stranger that was given the same process id later. */
interface Owner {
  readonly pid: number;
  /** Start of the process in kernel ticks; null where the system does not tell (only Linux does). */
  readonly started: string | null;
}

export interface FolderLock {
  /** Removes the lock file; safe to call twice. */
  release(): Promise<void>;
}

/** Thrown by `lockFolder`. */
export class FolderLockedError extends Error {
  override readonly name = "FolderLockedError";
  readonly pid: number;
  constructor(pid: number) {
    super(`process ${pid} holds the lock`);
    this.pid = pid;
  }
}

function startOf(pid: number): string | null {
  try {
    // proc_pid_stat(5): the name in parentheses may hold anything, so count from the last one; starttime is field 22.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

function parse(text: string): Owner | undefined {
  try {
    const { pid, started } = JSON.parse(text) as Partial<Owner>;
    if (!Number.isSafeInteger(pid) || pid === undefined || pid <= 0) return undefined;
    return { pid, started: typeof started === "string" ? started : null };
  } catch {
    return undefined; // A power cut may leave an empty file; whoever wrote it is gone.
  }
}

function isAlive({ pid, started }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false; // EPERM: alive, and somebody else's
  }
  const now = startOf(pid);
  return started === null || now === null || now === started;
}

/**
 * Takes the file `lock` in `folder` (which must exist) for this process, and takes it over from a process that is gone.
 * Rejects with `FolderLockedError` when a living process holds it.
 */
export function lockFolder(folder: string): Promise<FolderLock> {
  return lockFile(join(folder, "lock"));
}

async function lockFile(file: string): Promise<FolderLock> {
  const own = JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Owner);
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  await writeFile(draft, own, { flag: "wx" });
  try {
    for (;;) {
      try {
        await link(draft, file); // Atomic, and with its content: nobody ever reads a half-written lock.
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const text = await read(file);
      if (text === undefined) continue;
      const owner = parse(text);
      if (owner !== undefined && isAlive(owner)) throw new FolderLockedError(owner.pid);
      await removeStale(file, text);
    }
  } finally {
    await rm(draft, { force: true });
  }
  return {
    async release() {
      if ((await read(file)) === own) await rm(file, { force: true });
    },
  };
}

/**
 * Removes a stale lock. Of several processes that judge it at once only one may, and only what it judged: it could be the lock that
 * another has just taken. So removing needs a lock of its own, which is taken over in the same way when its owner dies in that moment.
 */
async function removeStale(file: string, judged: string): Promise<void> {
  const right = await lockFile(`${file}.takeover`);
  if ((await read(file)) === judged) await rm(file, { force: true });
  await right.release();
}

async function read(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
