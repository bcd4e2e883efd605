import type { Database } from "./database.ts";
import { GuestbookError } from "./errors.ts";

/** Never change one that was released: add another. The number of the last one applied is kept in `guestbook_migrations`. */
const migrations: readonly string[] = [
  `create table guestbook_entries (
     id bigint generated always as identity primary key,
     name text not null check (name <> ''),
     message text not null check (message <> ''),
     time timestamptz not null default now(),
     key text unique
   )`,
];

/**
 * Brings the tables up to date in one transaction; safe when several instances start at once.
 * Rejects with `databaseNewer` when a newer version was here before.
 */
export async function migrate(database: Database): Promise<void> {
  await database.transaction(async (query) => {
    // Whoever comes second waits here, and then finds the work done.
    await query("select pg_advisory_xact_lock(hashtextextended('zuruf.guestbook', 0))");
    await query("create table if not exists guestbook_migrations (version integer primary key)");
    const [row] = await query("select coalesce(max(version), 0) as version from guestbook_migrations");
    const version = Number(row?.["version"]);
    if (version > migrations.length)
      throw new GuestbookError(
        "databaseNewer",
        `The database has version ${version} of the guestbook's tables, this program knows ${migrations.length}: update the program.`,
      );
    for (const [index, sql] of migrations.entries()) {
      if (index < version) continue;
      await query(sql);
      await query("insert into guestbook_migrations (version) values ($1)", [index + 1]);
    }
  });
}
