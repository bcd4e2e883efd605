/**
 * The guestbook as an application of `zuruf serve --app`: one channel, one table, one page.
 * Entries are published by the page itself; the publish hook checks and stores them, so that what everybody receives is what is stored.
 */
import { resolve } from "node:path";
import { ZurufError, type Application } from "@zuruf/server";
import { channelName } from "../entry.ts";
import type { Database } from "./database.ts";
import { parseDraft } from "./draft.ts";
import { openEmbedded } from "./embedded-database.ts";
import { entryStore } from "./entry-store.ts";
import { GuestbookError, reasonOf } from "./errors.ts";
import { migrate } from "./migration.ts";
import { openPostgres } from "./postgres-database.ts";
import { serveEntries, servePage } from "./routes.ts";

/** Where the embedded database lives, below the working directory. */
const folder = "zuruf-data/guestbook";

function databaseUrl(): string | undefined {
  const url = process.env["DATABASE_URL"]?.trim();
  return url === "" ? undefined : url;
}

function say(line: string): void {
  console.log(line);
}

function warn(message: string): void {
  console.error(`guestbook: ${message}`);
}

/** Refuses what cannot work, before anything starts: several instances on the embedded database. */
export function check({ instances }: { readonly instances: number }): void {
  if (instances > 1 && databaseUrl() === undefined)
    throw new GuestbookError(
      "instancesNeedServer",
      `${instances} instances cannot share the embedded database: set DATABASE_URL=postgres://… to a PostgreSQL server, or start one instance.`,
    );
}

async function openDatabase(): Promise<Database> {
  const url = databaseUrl();
  const database = url === undefined ? await openEmbedded(resolve(folder), say) : await openPostgres(url, warn);
  try {
    await migrate(database);
  } catch (error) {
    await database.close();
    throw error instanceof GuestbookError
      ? error
      : new GuestbookError("databaseUnreachable", `The guestbook's tables cannot be made: ${reasonOf(error)}.`, error);
  }
  return database;
}

const guestbook: Application = async (zuruf, http) => {
  const database = await openDatabase();
  zuruf.onClose(() => database.close());
  const store = entryStore(database);

  zuruf.channel(channelName, {
    history: { size: 1000, ttl: "1h" },
    subscribe: "anyone",
    publish: "anyone",
    rate: { publishes: 5, per: 10_000 },
  });
  zuruf.onPublish(async ({ channel, data, key }) => {
    if (channel !== channelName) return undefined;
    const parsed = parseDraft(data);
    if ("wrong" in parsed) throw new ZurufError("rejected", parsed.wrong);
    try {
      return await store.add(parsed.draft, key);
    } catch (error) {
      warn(`an entry could not be stored: ${reasonOf(error)}`);
      throw new ZurufError("unavailable", "the entry could not be stored now", { cause: error });
    }
  });

  serveEntries(zuruf, http, store, warn);
  await servePage(http);
};
export default guestbook;
