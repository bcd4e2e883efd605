import { Client } from "pg";
import { expect, test } from "vitest";
import { expectNoLeak } from "../../../../test/brokers/leaks.ts";
import { Member } from "../../../../test/brokers/member.ts";
import { PostgresProcess } from "../../../../test/services/postgres.ts";
import { programs } from "../../../../test/services/programs.ts";
import { postgres } from "../src/index.ts";

const bin = programs.postgres.find();

// A minute of restarts: with the other long tests.
test.skipIf(bin === undefined || process.env["ZURUF_TEST_FULL"] === undefined)(
  "over 50 restarts of PostgreSQL nothing is left behind: descriptors, memory, connections, listeners",
  { timeout: 240_000 },
  async ({ onTestFinished }) => {
    const server = await PostgresProcess.start(bin ?? "");
    onTestFinished(() => server.dispose());
    const member = await Member.start(postgres(server.url), "a");
    onTestFinished(() => member.backplane.close());
    await member.backplane.subscribe(Array.from({ length: 200 }, (_, i) => `c${i}`));
    const first = await member.publish("c0", "0");
    await expectNoLeak(server, member, 50, "SIGINT", (text) => member.publish("c0", text));
    // Every restart added a link to the chain, and every position is still good.
    expect(await member.after("c0", first?.epoch ?? "", 1)).toHaveLength(50);
    const client = new Client({ connectionString: server.url });
    await client.connect();
    onTestFinished(() => client.end());
    const connections = async (): Promise<number> => {
      const sql = "select count(*)::int as n from pg_stat_activity where application_name like 'zuruf:%'";
      return (await client.query<{ n: number }>(sql)).rows[0]?.n ?? -1;
    };
    expect(await connections()).toBe(4);
    await member.backplane.close();
    while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  },
);
