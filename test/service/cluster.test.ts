import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { PacketClient } from "./packet-client.ts";
import { ZurufProcess } from "./zuruf-process.ts";

const redis = process.env["ZURUF_TEST_REDIS_URL"];
const folder = mkdtempSync(join(tmpdir(), "zuruf-cluster-"));
afterAll(() => rmSync(folder, { recursive: true }));
// Says its process id, so that tests can end one instance; and dies when asked.
const app = join(folder, "app.mjs");
writeFileSync(
  app,
  `export default (zuruf, http) => {
     zuruf.channel("room:*", { history: { size: 100, ttl: "1h" }, publish: "anyone" });
     http.get("/pid", () => ({ pid: process.pid, instance: zuruf.instance }));
   };`,
);
const processes: ZurufProcess[] = [];
afterEach(async () => {
  await Promise.all(processes.splice(0).map((zuruf) => zuruf.end()));
});

function start(...args: string[]): ZurufProcess {
  const cluster = ["--port", "0", "--instances", "3", "--backplane", redis ?? "", "--app", app];
  return new ZurufProcess(["serve", ...cluster, ...args]);
}

/** Until the test ends. */
function serve(...args: string[]): ZurufProcess {
  const zuruf = start(...args);
  processes.push(zuruf);
  return zuruf;
}

/** The answer to the first half of a request, once the connection is closed. */
async function answerToHalf(url: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1").setEncoding("latin1");
  socket.write("GET / HTTP/1.1\r\n");
  let answer = "";
  for await (const text of socket) answer += text;
  return answer;
}

interface Health {
  readonly status: string;
  readonly instance: string;
  readonly instances: readonly { name: string; state: string; connections: number; restarts: number }[];
}
const health = async (url: string): Promise<Health> => (await (await fetch(`${url}/healthz`)).json()) as Health;

/** Clients on at least two different instances. */
async function spread(url: string): Promise<[PacketClient, PacketClient]> {
  const first = await PacketClient.open(url);
  const name = instanceOf(await first.answer(1));
  for (;;) {
    const other = await PacketClient.open(url);
    if (instanceOf(await other.answer(1)) !== name) return [first, other];
    other.close();
  }
}
const instanceOf = (connected: unknown[]): string => (connected[2] as { instance: string }).instance;

// A Redis is named by the environment; `npm test` starts one.
describe.skipIf(redis === undefined)("three instances behind one port", () => {
  /** What is answered to a connection that says nothing: takes 10 s and more, so the other tests run meanwhile. */
  let silent: { readonly zuruf: ZurufProcess; readonly answer: Promise<string> };
  beforeAll(async () => {
    const zuruf = start();
    silent = { zuruf, answer: answerToHalf(await zuruf.url()) };
  });
  afterAll(() => silent.zuruf.end());

  test("clients on different instances reach each other", async () => {
    const zuruf = serve();
    const url = await zuruf.url();
    await zuruf.printed(/Stop it with/);
    expect(zuruf.stdout).toBe(`Zuruf is at ${url} (3 instances)\nStop it with Ctrl+C\n`);
    const [ada, bob] = await spread(url);
    const room = `room:${Math.random().toString(36).slice(2)}`;
    await bob.ask("subscribe", 2, room, {});
    for (let i = 0; i < 20; i++) await ada.ask("publish", 10 + i, room, {}, i);
    for (let i = 0; i < 20; i++) expect((await bob.next(([word]) => word === "msg")).at(-1)).toBe(i);
  });

  test("connections go where the fewest are open, whatever else a visitor opens", async () => {
    const url = await serve().url();
    const perInstance = async (): Promise<number[]> =>
      (await health(url)).instances.map(({ connections }) => connections).toSorted((a, b) => a - b);
    const clients: [PacketClient, instance: string][] = [];
    const open = async (): Promise<void> => {
      const client = await PacketClient.open(url);
      clients.push([client, instanceOf(await client.answer(1))]);
    };
    for (let i = 0; i < 12; i++) await open();
    const counts = await perInstance();
    expect(counts.reduce((sum, count) => sum + count)).toBe(12);
    expect(counts[0]).toBeGreaterThan(2); // the connection that asks for health counts too
    // All of one instance leave: the next ones go there, from when the port has heard of it.
    for (const [client, instance] of clients) if (instance === clients[0]?.[1]) client.close();
    await expect.poll(async () => (await perInstance())[0]).toBe(0);
    const apart = async (): Promise<number> => {
      await open();
      const [least = 0, , most = 0] = await perInstance();
      return most - least;
    };
    await expect.poll(apart).toBeLessThan(3);
    expect(clients.length).toBeLessThan(12 + 8);
  });

  test("health of any instance covers all of them, each by name", async () => {
    const url = await serve().url();
    const client = await PacketClient.open(url);
    const name = instanceOf(await client.answer(1));
    const answers = await Promise.all(Array.from({ length: 9 }, () => health(url)));
    expect(new Set(answers.map(({ instance }) => instance)).size).toBeGreaterThan(1);
    for (const { status, instances } of answers) {
      expect(status).toBe("ready");
      expect(instances.map((one) => one.name.replace(/-[\da-z]{6}$/, ""))).toEqual(["i1", "i2", "i3"]);
      expect(instances.find((one) => one.name === name)?.connections).toBe(1);
    }
  });

  test("metrics of any instance cover all of them", async () => {
    const url = await serve("--metrics").url();
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text.match(/^# TYPE zuruf_connections gauge$/gm)).toHaveLength(1);
    expect(text.match(/^zuruf_connections\{instance="i\d-[\da-z]{6}"\} 0$/gm)).toHaveLength(3);
  });

  test("an instance that dies is started again under a new name, while the others serve", async () => {
    const zuruf = serve("--log-level", "fatal");
    const url = await zuruf.url();
    const { pid, instance } = (await (await fetch(`${url}/pid`)).json()) as { pid: number; instance: string };
    process.kill(pid, "SIGKILL");
    await expect
      .poll(async () => (await health(url)).instances.reduce((sum, { restarts }) => sum + restarts, 0))
      .toBe(1);
    await expect.poll(async () => (await health(url)).instances.every(({ state }) => state === "ready")).toBe(true);
    const names = (await health(url)).instances.map(({ name }) => name);
    expect(names).not.toContain(instance);
    expect(names.filter((name) => name.startsWith(instance.slice(0, 3)))).toHaveLength(1);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  test("an instance told to end by itself drains, and comes back", async () => {
    const url = await serve("--log-level", "fatal").url();
    const clients = await Promise.all(Array.from({ length: 6 }, () => PacketClient.open(url)));
    const names = await Promise.all(clients.map(async (client) => instanceOf(await client.answer(1))));
    const { pid, instance } = (await (await fetch(`${url}/pid`)).json()) as { pid: number; instance: string };
    process.kill(pid, "SIGTERM");
    await Promise.all(
      clients
        .filter((_, at) => names[at] === instance)
        .map(async (client) => expect((await client.closed).code).toBe(4400)),
    );
    await expect.poll(async () => (await health(url)).instances.every(({ state }) => state === "ready")).toBe(true);
    for (const [at, client] of clients.entries())
      if (names[at] !== instance) expect((await client.ask("ping", 5))[0]).toBe("pong");
  });

  test("SIGTERM drains all of them, and exits with 0", async () => {
    const zuruf = serve();
    const url = await zuruf.url();
    const clients = await Promise.all(Array.from({ length: 6 }, () => PacketClient.open(url)));
    await Promise.all(clients.map((client) => client.answer(1)));
    zuruf.kill("SIGTERM");
    for (const client of clients) expect((await client.closed).code).toBe(4400);
    expect(await zuruf.exited).toEqual({ code: 0, signal: null });
  });

  test("Ctrl+C, which reaches every process of the terminal, drains all of them too", async () => {
    const zuruf = serve();
    const url = await zuruf.url();
    const clients = await Promise.all(Array.from({ length: 6 }, () => PacketClient.open(url)));
    await Promise.all(clients.map((client) => client.answer(1)));
    zuruf.killAll("SIGINT");
    for (const client of clients) expect((await client.closed).code).toBe(4400);
    expect(await zuruf.exited).toEqual({ code: 0, signal: null });
    expect(zuruf.stderr).toBe("zuruf: stopping; once more to stop at once\n");
  });

  test("when the primary process is killed no instance stays", async () => {
    const zuruf = serve();
    const url = await zuruf.url();
    const pids = new Set<number>();
    while (pids.size < 3)
      pids.add(
        ((await (await fetch(`${url}/pid`, { headers: { connection: "close" } })).json()) as { pid: number }).pid,
      );
    zuruf.kill("SIGKILL");
    await expect.poll(() => [...pids].filter(isAlive)).toEqual([]);
  });

  test("an application that fails is one line, and nothing stays", async () => {
    const fails = join(folder, "fails.mjs");
    writeFileSync(fails, "export default async () => { throw new Error('no database'); }");
    const zuruf = serve("--app", fails);
    expect(await zuruf.exited).toEqual({ code: 1, signal: null });
    expect([zuruf.stdout, zuruf.stderr]).toEqual(["", "zuruf: no database\n"]);
  });

  test("a connection that says nothing is closed, as on a server of its own", { timeout: 30_000 }, async () => {
    expect(await silent.answer).toMatch(/^HTTP\/1\.1 408 /);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
