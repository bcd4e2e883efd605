import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database } from "../src/server/database.ts";
import { openEmbedded } from "../src/server/embedded-database.ts";
import { entryStore } from "../src/server/entry-store.ts";
import { migrate } from "../src/server/migration.ts";
import { openPostgres } from "../src/server/postgres-database.ts";

const postgresUrl = process.env["ZURUF_TEST_POSTGRES_URL"];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zuruf-guestbook-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A database of its own on the test server. */
async function freshPostgres(): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `guestbook_${Math.random().toString(36).slice(2)}`;
  const admin = async (sql: string): Promise<void> => {
    const client = new Client({ connectionString: postgresUrl });
    await client.connect();
    await client.query(sql);
    await client.end();
  };
  await admin(`create database ${name}`);
  const url = new URL(postgresUrl ?? "");
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => admin(`drop database ${name} with (force)`) };
}

/** What both databases must do, with the same SQL. */
function behavesLikeAStore(open: () => Database): void {
  test("entries come back newest first, in pages, with the time they were stored", async () => {
    const store = entryStore(open());
    const before = Date.now();
    const added = [];
    for (const name of ["a", "b", "c", "d", "e"])
      added.push(await store.add({ name, message: `from ${name}` }, undefined));
    expect(await store.list({ limit: 2 })).toEqual([added[4], added[3]]);
    expect(await store.list({ before: added[3]?.id, limit: 2 })).toEqual([added[2], added[1]]);
    expect(await store.list({ before: added[0]?.id, limit: 2 })).toEqual([]);
    expect(added[0]?.id).toBeTypeOf("number");
    expect(Math.abs((added[0]?.time ?? 0) - before)).toBeLessThan(5000);
  });

  test("the same key stores once, also at the same moment", async () => {
    const store = entryStore(open());
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, index) => store.add({ name: "k", message: `try ${index}` }, "key-1")),
    );
    expect(new Set(results.map(({ id }) => id)).size).toBe(1);
    expect(new Set(results.map(({ message }) => message)).size).toBe(1);
    const listed = await store.list({ limit: 100 });
    expect(listed.filter(({ name }) => name === "k")).toEqual([results[0]]);
  });

  test("text is kept as it is, SQL and HTML included", async () => {
    const store = entryStore(open());
    const draft = {
      name: "'); drop table guestbook_entries; --",
      message: '<script>alert("1")</script> 😀\n\\x00 %s $1',
    };
    expect(await store.add(draft, undefined)).toMatchObject(draft);
    expect(await store.list({ limit: 1 })).toMatchObject([draft]);
  });

  test("migrating again changes nothing", async () => {
    const database = open();
    const before = await entryStore(database).list({ limit: 100 });
    await Promise.all([migrate(database), migrate(database)]);
    expect(await entryStore(database).list({ limit: 100 })).toEqual(before);
  });

  test("tables of a newer version are left alone", async () => {
    const database = open();
    await database.query("insert into guestbook_migrations (version) values (99)");
    await expect(migrate(database)).rejects.toMatchObject({
      code: "databaseNewer",
      message: expect.not.stringContaining("\n"),
    });
    await database.query("delete from guestbook_migrations where version = 99");
  });
}

describe("embedded", () => {
  let database: Database;
  const said: string[] = [];
  beforeAll(async () => {
    database = await openEmbedded(join(folder, "book"), (line) => said.push(line));
    await migrate(database);
  });
  afterAll(() => database.close());

  behavesLikeAStore(() => database);

  test("the first start says where, and that it takes a while", () => {
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^Creating the embedded PostgreSQL in .*book: this first start takes a few seconds/);
  });

  test("a second opener is refused in one line that names the process", async () => {
    await expect(openEmbedded(join(folder, "book"), () => undefined)).rejects.toMatchObject({
      code: "folderInUse",
      message: expect.stringMatching(new RegExp(`^.*book is used by process ${process.pid}: .*DATABASE_URL.*$`)),
    });
  });

  test("entries survive closing and opening, and a crash leaves a lock that does not matter", async () => {
    const entries = await entryStore(database).list({ limit: 100 });
    await database.close();
    expect(existsSync(join(folder, "book", "lock"))).toBe(false);
    await writeFile(join(folder, "book", "lock"), '{"pid":999999999,"started":"1"}');
    database = await openEmbedded(join(folder, "book"), (line) => said.push(line));
    await migrate(database);
    expect(entries.length).toBeGreaterThan(0);
    expect(await entryStore(database).list({ limit: 100 })).toEqual(entries);
    expect(said.at(-1)).toMatch(/^Entries are kept in .*book/);
  });

  // A first start takes seconds, and many of them on a busy machine.
  test("what an interrupted first start left behind is made anew", { timeout: 60_000 }, async () => {
    const half = join(folder, "half");
    await mkdir(join(half, "postgres.new", "base"), { recursive: true });
    await writeFile(join(half, "postgres.new", "PG_VERSION"), "18\n");
    const opened = await openEmbedded(half, () => undefined);
    await migrate(opened);
    expect(await entryStore(opened).list({ limit: 1 })).toEqual([]);
    await opened.close();
  });

  test("a folder that cannot be made is one line that says what to do", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(openEmbedded(join(folder, "file"), () => undefined)).rejects.toMatchObject({
      code: "folderUnusable",
      message: expect.stringMatching(/^.*file cannot be written \(.*\): .*$/),
    });
  });
});

describe.skipIf(postgresUrl === undefined)("PostgreSQL server (ZURUF_TEST_POSTGRES_URL)", () => {
  let server: Awaited<ReturnType<typeof freshPostgres>>;
  let databases: Database[];
  beforeAll(async () => {
    server = await freshPostgres();
    databases = await Promise.all([0, 1, 2].map(() => openPostgres(server.url, () => undefined)));
    // Three instances that start at once.
    await Promise.all(databases.map(migrate));
  });
  afterAll(async () => {
    await Promise.all(databases.map((database) => database.close()));
    await server.drop();
  });

  behavesLikeAStore(() => databases[1] as Database);

  test("a transaction that fails leaves nothing", async () => {
    const [database] = databases as [Database];
    const before = await entryStore(database).list({ limit: 100 });
    await expect(
      database.transaction(async (query) => {
        await query("insert into guestbook_entries (name, message) values ('x', 'x')");
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(await entryStore(database).list({ limit: 100 })).toEqual(before);
  });

  test("a wrong database is refused in one line, without the password", async () => {
    const url = new URL(server.url);
    url.pathname = "/does_not_exist";
    url.password = "secret";
    await expect(openPostgres(url.href, () => undefined)).rejects.toMatchObject({
      code: "databaseUnreachable",
      message: expect.stringMatching(
        /^PostgreSQL at [^/]+\/does_not_exist cannot be used \((?!.*secret).*\): check DATABASE_URL.*$/,
      ),
    });
  });
});

describe("PostgreSQL that is not there", () => {
  test("it is refused in one line, without the password", async () => {
    await expect(openPostgres("postgres://user:secret@127.0.0.1:1/book", () => undefined)).rejects.toMatchObject({
      code: "databaseUnreachable",
      message: expect.stringMatching(
        /^PostgreSQL at 127.0.0.1:1\/book cannot be used \((?!.*secret).+\): check DATABASE_URL, or unset it.*$/,
      ),
    });
  });

  test.each(["not a url", "nonsense", "mysql://user:secret@h/book"])("%j is no address of one", async (url) => {
    await expect(openPostgres(url, () => undefined)).rejects.toMatchObject({
      code: "badDatabaseUrl",
      message: expect.stringMatching(/^DATABASE_URL is not the address of a PostgreSQL database: (?!.*secret).*$/),
    });
  });
});
