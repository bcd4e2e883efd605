import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Member, retention } from "../../../../test/brokers/member.ts";
import { PostgresProcess } from "../../../../test/services/postgres.ts";
import { programs } from "../../../../test/services/programs.ts";
import { postgres, schemaSql } from "../src/index.ts";

const bin = programs.postgres.find();

describe.skipIf(bin === undefined)("postgres, at the edges", () => {
  let server: PostgresProcess;
  let client: Client;
  const members: Member[] = [];
  const join = async (schema: string, url = server.url, migrate = true): Promise<Member> => {
    const member = await Member.start(postgres(url, { schema, migrate }), `${schema}-${members.length}`);
    members.push(member);
    return member;
  };
  beforeAll(async () => {
    server = await PostgresProcess.start(bin ?? "");
    client = new Client({ connectionString: server.url });
    await client.connect();
  });
  afterAll(async () => {
    await Promise.all(members.map(({ backplane }) => backplane.close()));
    await client.end();
    await server.dispose();
  });

  test("a repeat keeps its position though what it travelled with is refused", async () => {
    const [a, b] = [await join("refused"), await join("refused")];
    const first = await a.publish("c", "one", "1");
    await client.query(`create function refused.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
      create trigger refuse before insert on refused.log execute function refused.refuse()`);
    const line = { failed: false };
    const [repeat, fresh] = await Promise.allSettled([
      b.backplane.publish("c", Buffer.from("one"), { retention, key: "1", line }),
      b.publish("c", "two", "2"),
    ]);
    expect(repeat).toEqual({ status: "fulfilled", value: first });
    expect(line.failed).toBe(false);
    expect(fresh).toMatchObject({ status: "rejected", reason: { code: "notStored" } });
  });

  test("an outbox that the server refuses to move is said, once", async () => {
    const a = await join("stuck");
    await client.query(`create function stuck.refuse() returns trigger language plpgsql as $$ begin raise exception 'the log is shut'; end $$;
      create trigger refuse before insert on stuck.log execute function stuck.refuse()`);
    const warnings: string[] = [];
    const listen = ({ name, message }: Error): void => {
      if (name === "ZurufPostgresWarning") warnings.push(message);
    };
    process.on("warning", listen);
    const publication = { channel: "c", data: Buffer.from("1"), options: { retention } };
    await postgres(server.url, { schema: "stuck" }).publishInTransaction(client, publication);
    await expect.poll(() => warnings, { timeout: 5000 }).toHaveLength(1);
    expect(warnings[0]).toContain("the log is shut");
    // It is there still, and tried again.
    await client.query("drop trigger refuse on stuck.log");
    await expect.poll(async () => (await a.backplane.heads(["c"])).get("c")?.offset, { timeout: 5000 }).toBe(1);
    process.off("warning", listen);
    expect(warnings).toHaveLength(1);
  });

  test("what retention does not keep goes within seconds, however many channels grow", async () => {
    const a = await join("many");
    const channels = Array.from({ length: 600 }, (_, i) => `c${i}`);
    const options = { retention: { ...retention, size: 1 } };
    for (const text of ["one", "two"])
      await Promise.all(channels.map((channel) => a.backplane.publish(channel, Buffer.from(text), options)));
    const rows = async (): Promise<number | null> => (await client.query("select from many.log")).rowCount;
    await expect.poll(rows, { timeout: 4000 }).toBe(600);
  });

  test("an outbox larger than a transaction should be is moved bit by bit, in order", async () => {
    const a = await join("outbox");
    const publication = postgres(server.url, { schema: "outbox" });
    await client.query("begin");
    const data = Buffer.alloc(1024 * 1024);
    for (let i = 0; i < 10; i++) {
      data.writeUInt32BE(i);
      await publication.publishInTransaction(client, { channel: "c", data, options: { retention } });
    }
    await client.query("commit");
    const moved = async (): Promise<number> => (await a.backplane.heads(["c"])).get("c")?.offset ?? 0;
    await expect.poll(moved, { timeout: 10_000 }).toBe(10);
    const { items } = await a.backplane.history("c", { limit: 100 });
    expect(items.map((item) => Buffer.from(item.data).readUInt32BE())).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const { rows } = await client.query<{ most: number }>("select max(octet_length(data)) as most from outbox.log");
    expect(rows[0]?.most).toBeLessThan(5 * 1024 * 1024);
  });

  test("a schema of the version before is brought up to this one, with what it holds; one of a later version is left alone", async () => {
    const options = { retention: { ...retention, size: 1 } };
    const a = await join("grown");
    const first = await a.backplane.publish("c", Buffer.from("one"), options);
    await a.backplane.close();
    await client.query(`drop function grown.trim_2; drop function grown.move_outbox_2; drop function grown.forget_2;
      delete from grown.version; insert into grown.version values (1)`);
    await expect(join("grown", server.url, false)).rejects.toMatchObject({ code: "unusable" });
    const b = await join("grown");
    expect(await b.backplane.publish("c", Buffer.from("two"), options)).toEqual({ ...first, offset: 2 });
    const rows = async (): Promise<number | null> => (await client.query("select from grown.log")).rowCount;
    await expect.poll(rows, { timeout: 4000 }).toBe(1);
    const versions = async (): Promise<number[]> =>
      (await client.query<{ version: number }>("select version from grown.version order by 1")).rows.map(
        ({ version }) => version,
      );
    expect(await versions()).toEqual([1, 2]);
    await client.query("insert into grown.version values (1000)");
    await join("grown", server.url, false);
    expect(await versions()).toEqual([1, 2, 1000]);
  });

  test("a schema is brought up to a new version while others read for long, and publish", async () => {
    const a = await join("busy");
    await a.publish("c", "one");
    await client.query("insert into busy.version values (1); delete from busy.version where version > 1");
    // As a backup does.
    await client.query("begin; select from busy.log");
    const [b, second] = await Promise.all([join("busy"), a.publish("c", "two")]);
    await client.query("commit");
    expect(second?.offset).toBe(2);
    expect((await b.publish("c", "three"))?.offset).toBe(3);
  });

  test("heads over their time go, the others stay", async () => {
    const a = await join("old");
    for (const channel of ["a", "b", "c"]) await a.publish(channel, "x");
    await client.query("update old.head set expires = now() - interval '1 minute' where channel <> 'c'");
    const forget = async (): Promise<unknown> => (await client.query("select old.forget_2(10)")).rows[0];
    expect(await forget()).toEqual({ forget_2: 2 });
    expect(await forget()).toEqual({ forget_2: 0 });
    expect((await a.publish("a", "y"))?.offset).toBe(1);
    expect((await a.publish("c", "y"))?.offset).toBe(2);
  });

  test("retention by bytes: what is deleted is what a page leaves out", async () => {
    const a = await join("weighed");
    const options = { retention: { ...retention, size: 100, bytes: 25 } };
    for (let i = 0; i < 5; i++) await a.backplane.publish("c", Buffer.alloc(10, `${i}`), options);
    const firsts = async (): Promise<unknown[]> =>
      (await client.query<{ first: string }>("select first from weighed.log order by 1")).rows.map(
        ({ first }) => first,
      );
    // The third is needed for none of its bytes, but kept as long as a part of it was within the bound.
    await expect.poll(firsts, { timeout: 4000 }).toEqual(["3", "4", "5"]);
    const { items } = await a.backplane.history("c", { limit: 100 });
    expect(items.map(({ offset }) => offset)).toEqual([4, 5]);
  });

  test("a user with just the rights that docs/backplanes.md lists, in a schema that a DBA made", async () => {
    const url = server.url.replace("zuruf@", "app@");
    await client.query(schemaSql("made"));
    await client.query(`create role app login;
      create role writer;
      grant usage on schema made to writer;
      grant insert on made.outbox to writer;
      grant usage on schema made to app;
      grant select, insert, update, delete on all tables in schema made to app;
      grant usage on all sequences in schema made to app`);
    const [a, b] = [await join("made", url, false), await join("made", url, false)];
    await b.backplane.subscribe(["c", "plain"]);
    await a.publish("c", "one", "1");
    await a.backplane.publish("plain", Buffer.from("two"), {});
    await a.backplane.control(Buffer.from("three"));
    await client.query("set role writer");
    await postgres(url, { schema: "made" }).publishInTransaction(client, {
      channel: "c",
      data: Buffer.from("four"),
      options: { retention, key: "4" },
    });
    await client.query("reset role");
    await b.until("all", () => b.items.length === 3 && b.messages.length === 1);
    expect(b.texts("c")).toEqual(["one", "four"]);
  });
});
