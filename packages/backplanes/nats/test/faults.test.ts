import { memoryBackplane, MemoryBroker } from "@zuruf/hub";
import { compose } from "@zuruf/compose";
import { describe, expect, test } from "vitest";
import { Member } from "../../../../test/brokers/member.ts";
import { Proxy } from "../../../../test/brokers/proxy.ts";
import { freePort, probeTcp, startProcess, untilReady, type ServerProcess } from "../../../../test/services/process.ts";
import { programs } from "../../../../test/services/programs.ts";
import { nats } from "../src/index.ts";

const program = programs.nats.find();
/** What the design promises within 5 s, in milliseconds, and time for a busy machine. */
const foundWithin = 8000;

type Ends = (end: () => Promise<void>) => void;
async function start(port: number, ends: Ends, ...options: string[]): Promise<ServerProcess> {
  const server = startProcess(program ?? "", ["-a", "127.0.0.1", "-p", `${port}`, ...options]);
  ends(async () => {
    server.child.kill("SIGCONT");
    await server.stop("SIGKILL");
  });
  await untilReady(server, () => probeTcp(port, "", "INFO"), 10_000);
  return server;
}
async function join(port: number, name: string, ends: Ends): Promise<Member> {
  const member = await Member.start(nats(`nats://127.0.0.1:${port}`), name);
  ends(() => member.backplane.close());
  return member;
}
const announce = (member: Member, channel: string, text: string): Promise<unknown> =>
  member.backplane.publish(channel, Buffer.from(text), {});

describe("URLs", () => {
  test.each(["http://h", "nats://", "nats://a:b:c", "nats://h/x/y"])("%s is refused", (url) => {
    expect(() => nats(url)).toThrow(/must look like nats:/);
  });
});

describe.skipIf(program === undefined).concurrent("nats, when it fails", () => {
  test(
    "killed, frozen, started again: subscriptions come back; with a store nothing acknowledged is lost",
    { timeout: 60_000 },
    async ({ onTestFinished: ends }) => {
      const port = await freePort();
      let server = await start(port, ends);
      const logs = new MemoryBroker();
      const [a, b] = await Promise.all(
        ["a", "b"].map(async (name) => {
          const relay = nats(`nats://127.0.0.1:${port}`);
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
      server = await start(port, ends);
      await Promise.all([a.until("up", () => a.isUp), b.until("up", () => b.isUp)]);
      await a.publish("c", "3");
      await b.until("delivery", () => b.texts("c").includes("3"));
      server.child.kill("SIGSTOP");
      await b.until("down", () => !b.isUp, foundWithin);
      server.child.kill("SIGCONT");
      await Promise.all([a.until("up", () => a.isUp), b.until("up", () => b.isUp)]);
      await a.publish("c", "4");
      await b.until("delivery", () => b.texts("c").includes("4"));
      expect(await b.after("c", first?.epoch ?? "", 1)).toEqual(["2", "3", "4"]);
    },
  );

  test("connected but deaf: found, and healed", { timeout: 60_000 }, async ({ onTestFinished: ends }) => {
    const port = await freePort();
    await start(port, ends);
    const proxy = await Proxy.start(port);
    ends(() => proxy.close());
    const [a, b] = [await join(proxy.port, "a", ends), await join(port, "b", ends)];
    await a.backplane.subscribe(["c"]);
    proxy.swallow = (direction) => direction === "down";
    await a.until("down", () => !a.isUp, foundWithin);
    await expect(announce(a, "c", "lost")).rejects.toMatchObject({ code: "notStored" });
    proxy.swallow = () => false;
    await a.until("up", () => a.isUp);
    await announce(b, "c", "heard");
    await a.until("delivery", () => a.texts("c").includes("heard"));
  });

  test("what cannot be used is one line", async ({ onTestFinished: ends }) => {
    const port = await freePort();
    await start(port, ends, "--user", "ada", "--pass", "secret");
    const failure = (url: string): Promise<unknown> => Member.start(nats(url), "a").catch((error: unknown) => error);
    expect(await failure(`nats://ada:wrong@127.0.0.1:${port}`)).toMatchObject({
      code: "unusable",
      message: expect.stringMatching(/^NATS at 127.* refuses the user name.*$/) as unknown,
    });
    expect(await failure("nats://127.0.0.1:1")).toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^NATS at 127\.0\.0\.1:1 cannot be reached: .*$/) as unknown,
    });
    const member = await Member.start(nats(`nats://ada:secret@127.0.0.1:${port}`), "a");
    ends(() => member.backplane.close());
    await expect(announce(member, "c", "x".repeat(2_000_000))).rejects.toMatchObject({ code: "notStored" });
    await expect(member.publish("c", "x")).rejects.toThrow(/compose/);
  });
});
