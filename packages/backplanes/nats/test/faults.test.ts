import { randomBytes } from "node:crypto";
import { cp, rm } from "node:fs/promises";
import { join as path } from "node:path";
import { connect } from "@nats-io/transport-node";
import { memoryBackplane, MemoryBroker } from "@zuruf/hub";
import { compose } from "@zuruf/compose";
import { describe, expect, test } from "vitest";
import { Member, retention } from "../../../../test/brokers/member.ts";
import { Proxy } from "../../../../test/brokers/proxy.ts";
import { NatsProcess } from "../../../../test/services/nats.ts";
import {
  freePort,
  probeTcp,
  removeFolder,
  startProcess,
  temporaryFolder,
  untilReady,
  type ServerProcess,
} from "../../../../test/services/process.ts";
import { programs } from "../../../../test/services/programs.ts";
import { nats, type NatsOptions } from "../src/index.ts";

const program = programs.nats.find();
/** What the design promises within 5 s, in milliseconds, and time for a busy machine. */
const foundWithin = 8000;

type Ends = (end: () => Promise<void>) => void;
async function start(ends: Ends): Promise<NatsProcess> {
  const server = await NatsProcess.start(program ?? "");
  ends(() => server.dispose());
  return server;
}
/** A server with other options, without JetStream unless they say so. */
async function startPlain(ends: Ends, port: number, ...options: string[]): Promise<ServerProcess> {
  const server = startProcess(program ?? "", ["-a", "127.0.0.1", "-p", `${port}`, ...options]);
  ends(() => server.stop("SIGKILL"));
  await untilReady(server, () => probeTcp(port, "", "INFO"), 10_000);
  return server;
}
/** Asks JetStream as an operator does. */
async function ask(port: number, what: string, body: object = {}): Promise<{ state?: { messages: number } }> {
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  const answer = await connection.request(`$JS.API.${what}`, JSON.stringify(body));
  await connection.close();
  return answer.json();
}
async function join(port: number, name: string, ends: Ends, options: NatsOptions = {}): Promise<Member> {
  const member = await Member.start(nats(`nats://127.0.0.1:${port}`, options), name);
  ends(() => member.backplane.close());
  return member;
}
const failure = (url: string, options?: NatsOptions): Promise<unknown> =>
  Member.start(nats(url, options), "a").catch((error: unknown) => error);
const line = (text: RegExp): unknown => expect.stringMatching(new RegExp(`^NATS at .*${text.source}.*$`));

describe("URLs and options", () => {
  test.each(["http://h", "nats://", "nats://a:b:c", "nats://h/x/y"])("%s is refused", (url) => {
    expect(() => nats(url)).toThrow(/must look like nats:/);
  });
  test.each([{ stream: "a b" }, { replicas: 0 }, { maxBytes: -1 }, { domain: "a.b" }])(
    "history %o is refused",
    (history) => {
      expect(() => nats("nats://h", { history })).toThrow(/the NATS option history\./);
    },
  );
});

describe.skipIf(program === undefined).concurrent("nats, when it fails", () => {
  test(
    "stopped, killed, frozen, started again: nothing acknowledged is lost or doubled, old positions hold, and each life of the server is an epoch",
    { timeout: 90_000 },
    async ({ onTestFinished: ends }) => {
      const server = await start(ends);
      const [a, b] = [await join(server.port, "a", ends), await join(server.port, "b", ends)];
      await b.backplane.subscribe(["c"]);
      const first = await a.publish("c", "1", "key 1");
      const epochs = new Set([first?.epoch]);
      const sent = ["1"];
      let number = 1;
      for (const fault of ["SIGTERM", "SIGKILL", "SIGSTOP"] as const) {
        if (fault === "SIGSTOP") server.signal(fault);
        else await server.stop(fault);
        await Promise.all([a.until("down", () => !a.isUp, foundWithin), b.until("down", () => !b.isUp, foundWithin)]);
        await expect(a.publish("c", "while it is gone")).rejects.toMatchObject({ code: "notStored" });
        await expect(a.backplane.heads(["c"])).rejects.toMatchObject({ code: "unavailable" });
        if (fault === "SIGSTOP") server.signal("SIGCONT");
        else await server.start();
        await Promise.all([a.until("up", () => a.isUp), b.until("up", () => b.isUp)]);
        const text = `${++number}`;
        epochs.add((await a.publish("c", text))?.epoch);
        sent.push(text);
        await b.until("delivery", () => b.texts("c").includes(text));
      }
      // Two lives ended; the frozen one went on.
      expect(epochs.size).toBe(3);
      expect(await b.after("c", first?.epoch ?? "", first?.offset ?? 0)).toEqual(sent.slice(1));
      expect(b.texts("c")).toEqual(sent);
      // The key is still known.
      expect(await a.publish("c", "1", "key 1")).toEqual(first);
    },
  );

  test(
    "a store that forgot: offsets given out again have another epoch, and positions above are told",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const [port, folder] = [await freePort(), await temporaryFolder("nats")];
      ends(() => removeFolder(folder));
      const [data, copy] = [path(folder, "data"), path(folder, "copy")];
      let server = await startPlain(ends, port, "-js", "-sd", data);
      const before = await join(port, "before", ends);
      await before.publish("c", "1");
      const second = await before.publish("c", "2");
      // What it has on disk now, in the same life, is all that it will know later: its newest message is gone, and its sequence given out again.
      server.child.kill("SIGSTOP");
      await cp(data, copy, { recursive: true });
      server.child.kill("SIGCONT");
      const third = await before.publish("c", "3");
      await server.stop("SIGKILL");
      await rm(data, { recursive: true });
      await cp(copy, data, { recursive: true });
      await before.until("down", () => !before.isUp);
      server = await startPlain(ends, port, "-js", "-sd", data);
      await before.until("up", () => before.isUp);
      const again = await before.publish("c", "not 3");
      expect(again?.epoch).not.toBe(third?.epoch);
      expect(await before.after("c", third?.epoch ?? "", third?.offset ?? 0)).toBe("rollback");
      expect(await before.after("c", second?.epoch ?? "", second?.offset ?? 0)).toEqual(["not 3"]);
    },
  );

  test(
    "a stream that is deleted is made again: another history, and everybody is told",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const server = await start(ends);
      const [a, b] = [await join(server.port, "a", ends), await join(server.port, "b", ends)];
      await b.backplane.subscribe(["c"]);
      const first = await a.publish("c", "1");
      await ask(server.port, "STREAM.DELETE.zuruf");
      await expect(a.publish("c", "nowhere")).rejects.toMatchObject({ code: "notStored" });
      await a.until("up", () => a.states.length >= 3 && a.isUp);
      await b.until("suspect", () => b.suspects.length > 0 || b.states.length >= 3);
      const again = await a.publish("c", "2");
      expect(again?.epoch).not.toBe(first?.epoch);
      expect(await b.after("c", first?.epoch ?? "", first?.offset ?? 0)).toBe("epoch");
      await b.until("delivery", () => b.items.some(({ item }) => item.epoch === again?.epoch));
    },
  );

  test(
    "a black hole: publishes end within their deadline, it is found, and retries make no doubles",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const server = await start(ends);
      const proxy = await Proxy.start(server.port);
      ends(() => proxy.close());
      const [a, b] = [await join(proxy.port, "a", ends, { deadline: 1000 }), await join(server.port, "b", ends)];
      await a.publish("c", "1");
      // What is sent arrives, and no answer comes back: the worst case for a retry.
      proxy.swallow = (direction) => direction === "down";
      await expect(a.publish("c", "2", "key")).rejects.toMatchObject({ code: "unknown" });
      await a.until("down", () => !a.isUp, foundWithin);
      await expect(a.publish("c", "3", "key")).rejects.toMatchObject({ code: "notStored" });
      proxy.swallow = () => false;
      await a.until("up", () => a.isUp);
      await a.publish("c", "2", "key");
      const { items } = await b.backplane.history("c", { limit: 10 });
      expect(items.map(({ data }) => Buffer.from(data).toString())).toEqual(["1", "2"]);
    },
  );

  test("connected but deaf: found, and healed", { timeout: 60_000 }, async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const proxy = await Proxy.start(server.port);
    ends(() => proxy.close());
    const [a, b] = [await join(proxy.port, "a", ends), await join(server.port, "b", ends)];
    await a.backplane.subscribe(["c"]);
    // The server takes all of its subscriptions for withdrawn; commands are still answered.
    proxy.inject("zuruf:a", Array.from({ length: 20 }, (_, i) => `UNSUB ${i + 1}\r\n`).join(""));
    await a.until("down", () => !a.isUp, foundWithin);
    await a.until("up", () => a.isUp);
    await b.publish("c", "heard");
    await a.until("delivery", () => a.texts("c").includes("heard"));
    expect(a.states.filter((state) => state === "up")).toHaveLength(2);
  });

  test(
    "as a relay: with another store nothing acknowledged is lost",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const server = await start(ends);
      const logs = new MemoryBroker();
      const [a, b] = await Promise.all(
        ["a", "b"].map(async (name) => {
          const relay = nats(server.url, { history: false });
          const member = await Member.start(compose({ relay, store: memoryBackplane(logs) }), name);
          ends(() => member.backplane.close());
          return member;
        }),
      );
      if (a === undefined || b === undefined) throw new Error("two members");
      await b.backplane.subscribe(["c"]);
      const first = await a.publish("c", "1");
      await server.stop("SIGKILL");
      await Promise.all([a.until("down", () => !a.isUp), b.until("down", () => !b.isUp)]);
      expect(await a.publish("c", "2")).toMatchObject({ offset: 2 });
      await server.start();
      await Promise.all([a.until("up", () => a.isUp), b.until("up", () => b.isUp)]);
      await a.publish("c", "3");
      await b.until("delivery", () => b.texts("c").includes("3"));
      expect(await b.after("c", first?.epoch ?? "", 1)).toEqual(["2", "3"]);
    },
  );
});

describe.skipIf(program === undefined).concurrent("nats, as it is found", () => {
  test("what cannot be used is one line", async ({ onTestFinished: ends }) => {
    const port = await freePort();
    await startPlain(ends, port, "--user", "ada", "--pass", "secret");
    expect(await failure(`nats://ada:wrong@127.0.0.1:${port}`)).toMatchObject({
      code: "unusable",
      message: line(/refuses the user name/),
    });
    expect(await failure("nats://127.0.0.1:1")).toMatchObject({
      code: "unavailable",
      message: line(/cannot be reached: /),
    });
    expect(await failure(`nats://ada:secret@127.0.0.1:${port}`)).toMatchObject({
      code: "unusable",
      message: line(/JetStream is off: start the server with -js, or keep history elsewhere/),
    });
    const url = `nats://ada:secret@127.0.0.1:${port}`;
    const member = await Member.start(nats(url, { history: false }), "a");
    ends(() => member.backplane.close());
    const large = Buffer.alloc(2_000_000);
    await expect(member.backplane.publish("c", large, {})).rejects.toMatchObject({ code: "notStored" });
    await expect(member.publish("c", "x")).rejects.toThrow(/keeps no history/);
  });

  test("a stream that is not ours is named, and left as it is", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    await ask(server.port, "STREAM.CREATE.zuruf", { name: "zuruf", subjects: ["other.>"] });
    expect(await failure(server.url)).toMatchObject({
      code: "unusable",
      message: line(/its subjects lack zuruf\.log\.>/),
    });
    await ask(server.port, "STREAM.CREATE.mine", {
      name: "mine",
      subjects: ["mine.log.>"],
      republish: { src: "mine.log.>", dest: "mine.live.>" },
      max_age: 300_000_000_000,
      allow_direct: true,
    });
    expect(await failure(server.url, { prefix: "mine" })).toMatchObject({ message: line(/max_age/) });
  });

  test("heads that nobody moved are one question, and one that moved is seen", async ({ onTestFinished: ends }) => {
    const [port, monitor, folder] = [await freePort(), await freePort(), await temporaryFolder("nats")];
    ends(() => removeFolder(folder));
    await startPlain(ends, port, "-m", `${monitor}`, "-js", "-sd", folder);
    const received = async (): Promise<number> => {
      const answer = await fetch(`http://127.0.0.1:${monitor}/varz`);
      return ((await answer.json()) as { in_msgs: number }).in_msgs;
    };
    const [a, b] = [await join(port, "a", ends), await join(port, "b", ends)];
    const channels = Array.from({ length: 3000 }, (_, i) => `idle:${i}`);
    await a.backplane.subscribe(channels);
    await a.backplane.heads(channels);
    await a.backplane.heads(channels);
    const before = await received();
    const idle = await a.backplane.heads(channels);
    expect((await received()) - before).toBeLessThan(50);
    const moved = await b.publish("idle:7", "x");
    const heads = await a.backplane.heads(channels);
    expect(heads.get("idle:7")).toEqual(moved);
    expect(heads.get("idle:8")).toEqual(idle.get("idle:8"));
  });

  test("as the store of another relay: announcements say only that there is something", async ({
    onTestFinished: ends,
  }) => {
    const server = await start(ends);
    const relays = new MemoryBroker();
    const [a, b] = await Promise.all(
      ["a", "b"].map(async (name) => {
        const backplane = compose({ relay: memoryBackplane(relays), store: nats(server.url) });
        ends(() => backplane.close());
        return Member.start(backplane, name);
      }),
    );
    await b?.backplane.subscribe(["c"]);
    const position = await a?.publish("c", "1");
    // A connection that came up may have said before that anything was missed.
    await b?.until("suspect", () => b.suspects.some((channels) => channels?.includes("c")));
    expect([b?.suspects.filter((channels) => channels !== undefined), b?.items]).toEqual([[["c"]], []]);
    expect((await b?.backplane.heads(["c"]))?.get("c")).toEqual(position);
  });

  test("what is too old is not shown, and its head stays", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const a = await join(server.port, "a", ends);
    const channel = "c";
    const publish = (text: string): ReturnType<typeof a.publish> =>
      a.backplane.publish(channel, Buffer.from(text), { retention: { ...retention, ttl: 500 } });
    const first = await publish("1");
    const second = await publish("2");
    await expect.poll(() => a.after(channel, first?.epoch ?? "", first?.offset ?? 0)).toBe("retention");
    expect((await a.backplane.history(channel, { limit: 10 })).items).toEqual([]);
    expect((await a.backplane.heads([channel])).get(channel)).toEqual(second);
    expect(await a.after(channel, second?.epoch ?? "", second?.offset ?? 0)).toEqual([]);
    await publish("3");
    expect(await a.after(channel, second?.epoch ?? "", second?.offset ?? 0)).toEqual(["3"]);
  });

  test("each announcement names the publication before it, also over markers", async ({ onTestFinished: ends }) => {
    const server = await start(ends);
    const [a, b] = [await join(server.port, "a", ends), await join(server.port, "b", ends)];
    await b.backplane.subscribe(["c", "d"]);
    const empty = (await b.backplane.heads(["c"])).get("c");
    const positions = [empty?.offset];
    for (const text of ["1", "2", "3"]) {
      positions.push((await a.publish("c", text))?.offset);
      await a.publish("d", randomBytes(4).toString("hex"));
    }
    await b.until("delivery", () => b.texts("c").length === 3);
    const items = b.items.filter(({ channel }) => channel === "c").map(({ item }) => [item.previous, item.offset]);
    expect(items).toEqual([1, 2, 3].map((i) => [positions[i - 1], positions[i]]));
  });
});
