import { connect as connectTo, createServer, type AddressInfo } from "node:net";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import type { Position } from "@zuruf/hub";
import { Member, retention } from "../../../../test/brokers/member.ts";
import { Proxy } from "../../../../test/brokers/proxy.ts";
import { PostgresProcess } from "../../../../test/services/postgres.ts";
import { programs } from "../../../../test/services/programs.ts";
import { postgres, type PostgresBackplane, type PostgresOptions } from "../src/index.ts";

const bin = programs.postgres.find();
/** Milliseconds within which a connection that delivers nothing is found, as docs/backplanes.md promises. */
const foundWithin = 5000;
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);

type Ends = (end: () => Promise<void>) => void;
async function start(ends: Ends): Promise<PostgresProcess> {
  const server = await PostgresProcess.start(bin ?? "");
  ends(() => server.dispose());
  return server;
}
async function join(
  url: string,
  name: string,
  ends: Ends,
  options?: PostgresOptions,
): Promise<Member & { backplane: PostgresBackplane }> {
  const backplane = postgres(url, options);
  const member = await Member.start(backplane, name);
  ends(() => backplane.close());
  return Object.assign(member, { backplane });
}
async function proxyTo(server: PostgresProcess, ends: Ends): Promise<{ proxy: Proxy; url: string }> {
  const proxy = await Proxy.start(server.port);
  ends(() => proxy.close());
  return { proxy, url: server.url.replace(`:${server.port}`, `:${proxy.port}`) };
}
async function connect(url: string, ends: Ends): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  ends(() => client.end());
  return client;
}
async function publishAll(member: Member, channel: string, from: number, to: number): Promise<string> {
  let epoch = "";
  for (let i = from; i <= to; i++) epoch = (await member.publish(channel, `${i}`))?.epoch ?? "";
  return epoch;
}

describe.skipIf(bin === undefined).concurrent("postgres, when it fails", () => {
  test.for(["SIGINT", "SIGKILL"] as const)(
    "%s and a start: nothing acknowledged is lost, positions stay good, deliveries go on",
    { timeout: 60_000 },
    async (signal, { onTestFinished: ends }) => {
      const server = await start(ends);
      const [a, b] = [await join(server.url, "a", ends), await join(server.url, "b", ends)];
      await b.backplane.subscribe(["chat:lobby"]);
      const epoch = await publishAll(a, "chat:lobby", 1, 20);
      await server.stop(signal);
      await Promise.all([a.until("down", () => !a.isUp), b.until("down", () => !b.isUp)]);
      await expect(a.publish("chat:lobby", "lost")).rejects.toMatchObject({
        name: "BackplaneError",
        code: "notStored",
      });
      await expect(a.backplane.heads(["chat:lobby"])).rejects.toMatchObject({ code: "unavailable" });
      await expect(a.backplane.subscribe(["x"])).rejects.toMatchObject({ code: "unavailable" });
      await server.start();
      await Promise.all([a.until("up", () => a.isUp), b.until("up", () => b.isUp)]);
      const next = await a.publish("chat:lobby", "21");
      await b.until("delivery", () => b.texts("chat:lobby").includes("21"));
      expect(await b.after("chat:lobby", epoch, 15)).toEqual(numbers(16, 21));
      // Another life of the server: what it might have forgotten could be told apart.
      expect(next?.epoch).not.toBe(epoch);
      expect(await b.after("chat:lobby", epoch, 21)).toBe("rollback");
    },
  );

  test(
    "frozen for longer than the deadline: calls end in time, down within 5 s, and a retry makes no double",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const server = await start(ends);
      const a = await join(server.url, "a", ends, { deadline: 1000 });
      await a.backplane.subscribe(["c"]);
      await a.publish("c", "before");
      await server.signalAll("SIGSTOP");
      await expect(a.publish("c", "while frozen", "key")).rejects.toMatchObject({ code: "unknown" });
      await expect(a.backplane.history("c", { limit: 1 })).rejects.toMatchObject({ code: "unavailable" });
      await a.until("down", () => !a.isUp, foundWithin);
      await server.signalAll("SIGCONT");
      await a.until("up", () => a.isUp);
      const head = await a.publish("c", "while frozen", "key");
      expect(await a.after("c", head?.epoch ?? "", 0)).toEqual(["before", "while frozen"]);
    },
  );

  test(
    "black-holed, or only deaf: found within 5 s, and healed when bytes pass again",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const server = await start(ends);
      const { proxy, url } = await proxyTo(server, ends);
      const [a, b] = [await join(url, "a", ends), await join(server.url, "b", ends)];
      await a.backplane.subscribe(["c"]);
      for (const [round, swallow] of [
        () => true,
        (direction: "up" | "down", greeting: string): boolean => direction === "down" && greeting.includes(":listener"),
      ].entries()) {
        proxy.swallow = swallow;
        await b.publish("c", `unheard ${round}`);
        await a.until("down", () => !a.isUp, foundWithin);
        proxy.swallow = () => false;
        await a.until("up", () => a.isUp);
        await b.publish("c", `heard ${round}`);
        await a.until("delivery", () => a.texts("c").includes(`heard ${round}`));
      }
      expect(a.states).toHaveLength(5);
    },
  );

  test.for(["writer", "questions", "fetcher"])(
    "when the connection of the %s alone stalls it is found within 5 s, too",
    { timeout: 60_000 },
    async (role, { onTestFinished: ends }) => {
      const server = await start(ends);
      const { proxy, url } = await proxyTo(server, ends);
      // With the default deadline, which is as long as the promise.
      const [a, b] = [await join(url, "a", ends), await join(server.url, "b", ends)];
      await a.backplane.subscribe(["c"]);
      proxy.swallow = (_direction, greeting) => greeting.includes(`:${role}`);
      const asked = performance.now();
      const [lost] = await Promise.allSettled([
        a.publish("c", "1", "key"),
        a.backplane.heads(["c"]).catch(() => undefined),
        b.publish("c", "2"),
        a.until("down", () => !a.isUp, foundWithin),
      ]);
      expect(performance.now() - asked).toBeLessThan(foundWithin + 500);
      expect(a.states.at(-1)).not.toBe("up");
      if (role === "writer") expect(lost).toMatchObject({ reason: { code: "unknown" } });
      proxy.swallow = () => false;
      await a.until("up", () => a.isUp);
      const again = await a.publish("c", "1", "key");
      expect(await a.after("c", again?.epoch ?? "", 0)).toHaveLength(2);
    },
  );

  test("a deadline shorter than what finds a stalled connection ends the calls in time", async ({
    onTestFinished: ends,
  }) => {
    const server = await start(ends);
    const { proxy, url } = await proxyTo(server, ends);
    const a = await join(url, "a", ends, { deadline: 1000 });
    proxy.swallow = (_direction, greeting) => greeting.includes(":writer");
    const asked = performance.now();
    await expect(a.publish("c", "1")).rejects.toMatchObject({ code: "unknown" });
    expect(performance.now() - asked).toBeLessThan(2000);
    await a.until("down", () => !a.isUp, foundWithin);
    proxy.swallow = () => false;
    await a.until("up", () => a.isUp);
    expect(await a.publish("c", "2")).toMatchObject({ offset: 1 });
  });
});

describe.skipIf(bin === undefined).concurrent("postgres, in use", () => {
  test("a publication within the application's transaction is there if and only if that commits", async ({
    onTestFinished: ends,
  }) => {
    const server = await start(ends);
    const [a, b] = [await join(server.url, "a", ends), await join(server.url, "b", ends)];
    await b.backplane.subscribe(["c"]);
    const client = await connect(server.url, ends);
    for (const [text, end] of [
      ["undone", "rollback"],
      ["kept", "commit"],
    ] as const) {
      await client.query("begin");
      await a.backplane.publishInTransaction(client, {
        channel: "c",
        data: Buffer.from(text),
        options: { retention, key: text },
      });
      await client.query(end);
    }
    await b.until("delivery", () => b.texts("c").length === 1);
    expect(b.texts("c")).toEqual(["kept"]);
    // The key counts there, too.
    expect(await a.publish("c", "kept", "kept")).toMatchObject({ offset: 1 });
    expect((await client.query("select from zuruf.outbox")).rowCount).toBe(0);
  });

  test("the instance that moves an outbox hears of it at once, not by polling", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const a = await join(server.url, "a", ends);
    await a.backplane.subscribe(["c"]);
    const client = await connect(server.url, ends);
    const times: number[] = [];
    for (let i = 1; i <= 5; i++) {
      const begin = performance.now();
      const publication = { channel: "c", data: Buffer.from(`${i}`), options: { retention } };
      await a.backplane.publishInTransaction(client, publication);
      await a.until("delivery", () => a.items.length === i);
      times.push(performance.now() - begin);
    }
    // Polling is a second apart: but for the first, each would take as long.
    expect(Math.min(...times.slice(1))).toBeLessThan(700);
  });

  test(
    "many publishers on many channels: no deadlock, no hole, each publisher's order kept",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const server = await start(ends);
      const members = await Promise.all(["a", "b", "c"].map((name) => join(server.url, name, ends)));
      const channels = Array.from({ length: 20 }, (_, i) => `c${i}`);
      const [first] = members;
      if (first === undefined) throw new Error("three members");
      await first.backplane.subscribe(channels);
      const each = 20;
      await Promise.all(
        members.flatMap((member, m) =>
          Array.from({ length: each }, (_, i) =>
            [...channels].sort(() => Math.random() - 0.5).map((channel) => member.publish(channel, `${m}:${i}`)),
          ).flat(),
        ),
      );
      await first.until("all delivered", () => first.items.length === members.length * each * channels.length);
      for (const channel of channels) {
        const { items } = await first.backplane.history(channel, { limit: 1000 });
        expect(items.map(({ offset }) => offset)).toEqual(
          Array.from({ length: members.length * each }, (_, i) => i + 1),
        );
        const texts = items.map(({ data }) => Buffer.from(data).toString());
        for (const m of members.keys())
          expect(texts.filter((text) => text.startsWith(`${m}:`))).toEqual(
            Array.from({ length: each }, (_, i) => `${m}:${i}`),
          );
      }
    },
  );

  test("pages and retention cut through what one commit appended", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const [a, b] = [await join(server.url, "a", ends), await join(server.url, "b", ends)];
    const client = await connect(server.url, ends);
    for (const member of [a, b]) await member.backplane.subscribe(["all", "few", "small"]);
    const bounds = { all: {}, few: { size: 5 }, small: { bytes: 12 } };
    const heads = new Map<string, Position>();
    for (const [channel, bound] of Object.entries(bounds)) {
      const options = { retention: { ...retention, ...bound } };
      const texts = numbers(11, 40).map((text) => Buffer.from(text));
      const positions = await Promise.all(texts.map((data) => a.backplane.publish(channel, data, options)));
      expect(positions.map((position) => position?.offset)).toEqual(numbers(1, 30).map(Number));
      const head = positions.at(-1);
      if (head !== undefined) heads.set(channel, head);
    }
    expect((await client.query("select from zuruf.log")).rowCount).toBe(3);
    const page = async (
      channel: string,
      range: { after?: number; before?: number; limit: number },
    ): Promise<unknown> => {
      const { epoch = "" } = heads.get(channel) ?? {};
      const at = (offset: number): Position => ({ epoch, offset });
      const { items, complete, reason } = await a.backplane.history(channel, {
        limit: range.limit,
        ...(range.after !== undefined && { after: at(range.after) }),
        ...(range.before !== undefined && { before: at(range.before) }),
      });
      return complete ? items.map(({ offset, data }) => [offset, Buffer.from(data).toString()].join(":")) : reason;
    };
    expect(await page("all", { after: 7, limit: 2 })).toEqual(["8:18", "9:19"]);
    expect(await page("all", { before: 7, limit: 2 })).toEqual(["5:15", "6:16"]);
    expect(await page("all", { before: 3, limit: 9 })).toEqual(["1:11", "2:12"]);
    expect(await page("all", { after: 30, limit: 9 })).toEqual([]);
    expect(await page("few", { limit: 9 })).toEqual(["26:36", "27:37", "28:38", "29:39", "30:40"]);
    expect(await page("few", { after: 25, limit: 2 })).toEqual(["26:36", "27:37"]);
    expect(await page("few", { after: 24, limit: 2 })).toBe("retention");
    expect(await page("small", { limit: 9 })).toEqual(["25:35", "26:36", "27:37", "28:38", "29:39", "30:40"]);
    expect(await page("small", { after: 23, limit: 9 })).toBe("retention");
    for (const member of [a, b]) {
      await member.until("delivery", () => member.items.length === 90);
      expect(member.texts("few")).toEqual(numbers(11, 40));
    }
  });

  test("one commit with publications of which one was made before: that keeps its position, the others are appended", async ({
    onTestFinished: ends,
  }) => {
    const server = await start(ends);
    const [a, b] = [await join(server.url, "a", ends), await join(server.url, "b", ends)];
    await b.backplane.subscribe(["c"]);
    const first = await a.publish("c", "one", "1");
    // Over another instance, in one go.
    const positions = await Promise.all([
      b.publish("c", "zero", "0"),
      b.publish("c", "one", "1"),
      b.publish("c", "two", "2"),
      b.publish("d", "other", "1"),
    ]);
    expect(positions).toMatchObject([{ offset: 2 }, first, { offset: 3 }, { offset: 1 }]);
    await b.until("delivery", () => b.texts("c").length === 3);
    expect(b.texts("c")).toEqual(["one", "zero", "two"]);
  });

  test("whoever publishes while it closes knows what became of it", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const a = await join(server.url, "a", ends);
    const client = await connect(server.url, ends);
    // The first ones wait for this lock when it closes.
    await a.publish("c", "0");
    await client.query("begin; lock zuruf.head");
    const under = a.publish("c", "1");
    const waits = async (): Promise<boolean> => {
      const sql = "select from pg_stat_activity where wait_event_type = 'Lock' and application_name like 'zuruf:%'";
      return (await client.query(sql)).rowCount !== 0;
    };
    while (!(await waits())) await new Promise((resolve) => setTimeout(resolve, 10));
    const late = a.publish("c", "2").catch((error: unknown) => error);
    const closed = a.backplane.close();
    await client.query("commit");
    await closed;
    expect(await under).toMatchObject({ offset: 2 });
    expect(await late).toMatchObject({ code: "notStored" });
  });

  test("a publication whose hint got lost is found by polling", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const b = await join(server.url, "b", ends);
    const channels = Array.from({ length: 1500 }, (_, i) => `c${i}`);
    await b.backplane.subscribe(channels);
    const client = await connect(server.url, ends);
    // As an instance does it that dies before it announces what it committed.
    const publish = `select zuruf.publish_1($1, $2, $3, $4, $5, $6, $7, '{}', '{}', '{}', 'epoch', 300000)`;
    const data = Buffer.from([0, 0, 0, 1, 120]);
    const all = (value: number): number[] => channels.map(() => value);
    const blob = Buffer.concat(channels.map(() => data));
    await client.query(publish, [channels, all(1), all(5), blob, all(10), all(3_600_000), all(0)]);
    // Two looks for so many channels, a second apart.
    await b.until("delivery", () => b.items.length === channels.length, 8000);
    expect(new Set(b.items.map(({ channel }) => channel)).size).toBe(channels.length);
    expect(b.suspects).toEqual([]);
  });

  test("what retention does not keep is deleted in the background", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const a = await join(server.url, "a", ends);
    const client = await connect(server.url, ends);
    const count = async (): Promise<number> =>
      Number((await client.query<{ count: string }>("select count(*) from zuruf.log")).rows[0]?.count);
    for (let i = 0; i < 50; i++) {
      await a.backplane.publish("few", Buffer.from("x"), { retention: { ...retention, size: 5 } });
      await a.backplane.publish("small", Buffer.alloc(100), { retention: { ...retention, bytes: 1000 } });
      await a.backplane.publish("short", Buffer.from("x"), { retention: { ...retention, ttl: 100 } });
    }
    const end = Date.now() + 10_000;
    while ((await count()) > 15 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await count()).toBe(15);
    expect((await a.backplane.history("small", { limit: 100 })).items).toHaveLength(10);
  });

  test("a server that is too old is one line", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const client = await connect(server.url, ends);
    const { rows } = await client.query<{ server_version_num: string }>("show server_version_num");
    const actual = rows[0]?.server_version_num ?? "";
    // The real server, but for the number that it names.
    const older = createServer((socket) => {
      const upstream = connectTo(server.port, "127.0.0.1");
      socket.pipe(upstream);
      upstream.on("data", (chunk: Buffer) => {
        socket.write(Buffer.from(chunk.toString("latin1").replaceAll(actual, "120022"), "latin1"));
      });
      for (const one of [socket, upstream]) one.on("error", () => undefined);
      socket.on("close", () => upstream.destroy());
    });
    await new Promise<void>((resolve) => older.listen(0, "127.0.0.1", resolve));
    ends(() => void older.close());
    const { port } = older.address() as AddressInfo;
    const url = server.url.replace(`:${server.port}`, `:${port}`);
    await expect(Member.start(postgres(url), "a")).rejects.toMatchObject({
      code: "unusable",
      message: "PostgreSQL 12 is too old: Zuruf needs 13 or newer",
    });
  });

  test("what cannot be used is one line", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const failure = (url: string, options?: PostgresOptions): Promise<unknown> =>
      Member.start(postgres(url, options), "a").catch((error: unknown) => error);
    const nowhere = server.url.replace(`:${server.port}`, ":1");
    expect(await failure(nowhere)).toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(
        /^PostgreSQL at 127\.0\.0\.1:1\/postgres cannot be reached: .*ECONNREFUSED.*$/,
      ) as unknown,
    });
    expect(await failure(server.url.replace("/postgres", "/none"))).toMatchObject({
      code: "unusable",
      message: expect.stringContaining('database "none" does not exist') as unknown,
    });
    expect(await failure(server.url.replace("zuruf@", "nobody@"))).toMatchObject({
      code: "unusable",
      message: expect.stringContaining("refuses the user name or password") as unknown,
    });
    expect(await failure(server.url, { migrate: false })).toMatchObject({
      code: "unusable",
      message: expect.stringContaining("schemaSql()") as unknown,
    });
    const client = await connect(server.url, ends);
    await client.query("create role guest login");
    expect(await failure(server.url.replace("zuruf@", "guest@"))).toMatchObject({
      code: "unusable",
      message: expect.stringContaining("denies this user a right") as unknown,
    });
    expect(() => postgres("mysql://h")).toThrow(/must look like postgres:/);
    expect(() => postgres(server.url, { schema: "A" })).toThrow(/option schema/);
  });
});
