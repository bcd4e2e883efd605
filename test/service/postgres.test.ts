import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PostgresProcess } from "../services/postgres.ts";
import { programs } from "../services/programs.ts";
import { run } from "./zuruf-process.ts";

const bin = programs.postgres.find();

// Without PostgreSQL's programs (npm test installs them) there is nothing that could refuse.
describe.skipIf(bin === undefined)("what PostgreSQL refuses is one line and exit code 1, without the password", () => {
  let server: PostgresProcess;
  beforeAll(async () => {
    server = await PostgresProcess.start(bin ?? "");
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query("create role ada login password 'right-secret'; create role guest login");
    // From now on it asks ada for her password; who is connected stays so.
    await client.query(`do $$ begin
      execute format('copy (select unnest(array[''host all ada 127.0.0.1/32 scram-sha-256'', ''host all all 127.0.0.1/32 trust''])) to %L', current_setting('hba_file'));
      perform pg_reload_conf();
    end $$`);
    await client.end();
  });
  afterAll(() => server.dispose());

  test.each([
    ["a wrong password", "ada:wrong-secret", "postgres", /refuses the user name or password: .*for user "ada"$/],
    ["no password", "ada", "postgres", /asks for a password: put it into the URL, or into PGPASSWORD$/],
    ["an unknown user", "nobody", "postgres", /refuses the user name or password: role "nobody" does not exist$/],
    [
      "an unknown database",
      "zuruf",
      "none",
      /: database "none" does not exist: create it, or name another in the URL$/,
    ],
    [
      "a missing right",
      "guest",
      "postgres",
      /denies this user a right: permission denied .*: grant it, or let a DBA run/,
    ],
  ])("%s", async (_what, user, database, line) => {
    const url = server.url.replace("zuruf@", `${user}@`).replace(/\/postgres$/, `/${database}`);
    const { code, stdout, stderr } = await run(["serve", "--port", "0", "--backplane", url], {
      env: { PGPASSWORD: "" },
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^zuruf: PostgreSQL at 127\.0\.0\.1:\d+\/[^\n]+\n$/);
    expect(stderr.trimEnd()).toMatch(line);
    expect(stderr).not.toContain("secret");
  });
});
