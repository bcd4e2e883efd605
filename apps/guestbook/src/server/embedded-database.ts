import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import type { Database } from "./database.ts";
import { GuestbookError, reasonOf } from "./errors.ts";
import { FolderLockedError, lockFolder, type FolderLock } from "./folder-lock.ts";

/**
 * Opens the embedded PostgreSQL in `folder`, and creates it on the first start (a few seconds, announced through `say`).
 * One process at a time: rejects with `folderInUse` when another one has it, `folderUnusable` when it cannot be written.
 */
export async function openEmbedded(folder: string, say: (line: string) => void): Promise<Database> {
  const shown = relative(process.cwd(), folder) || ".";
  const lock = await take(folder, shown);
  try {
    const data = join(folder, "postgres");
    if (existsSync(data)) {
      say(`Entries are kept in ${shown} (embedded PostgreSQL).`);
    } else {
      say(`Creating the embedded PostgreSQL in ${shown}: this first start takes a few seconds …`);
      await create(data);
    }
    const pglite = await PGlite.create({ dataDir: data });
    return {
      query: async (sql, parameters = []) => (await pglite.query<Record<string, unknown>>(sql, [...parameters])).rows,
      transaction: (work) =>
        pglite.transaction((transaction) =>
          work(
            async (sql, parameters = []) =>
              (await transaction.query<Record<string, unknown>>(sql, [...parameters])).rows,
          ),
        ),
      async close() {
        await pglite.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw new GuestbookError(
      "folderUnusable",
      `The embedded database in ${shown} cannot be opened (${reasonOf(error)}): restore the folder from a copy, or move it away to start anew.`,
      error,
    );
  }
}

async function take(folder: string, shown: string): Promise<FolderLock> {
  try {
    await mkdir(folder, { recursive: true });
    return await lockFolder(folder);
  } catch (error) {
    if (error instanceof FolderLockedError)
      throw new GuestbookError(
        "folderInUse",
        `${shown} is used by process ${error.pid}: stop that one, start this one in another folder, or set DATABASE_URL to share a PostgreSQL server.`,
        error,
      );
    throw new GuestbookError(
      "folderUnusable",
      `${shown} cannot be written (${reasonOf(error)}): start in a folder that can, or set DATABASE_URL to use a PostgreSQL server.`,
      error,
    );
  }
}

/** Creates the data folder beside its place and moves it there when it is whole: a first start that was interrupted leaves no half database. */
async function create(data: string): Promise<void> {
  const draft = `${data}.new`;
  await rm(draft, { recursive: true, force: true });
  const pglite = await PGlite.create({ dataDir: draft });
  await pglite.close();
  await rename(draft, data);
}
