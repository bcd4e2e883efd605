import { randomBytes } from "node:crypto";
import { createServer, type AddressInfo } from "node:net";
import { memoryBackplane, MemoryBroker } from "@zuruf/hub";
import { compose } from "@zuruf/compose";
import { Connection } from "rabbitmq-client";
import { describe, expect, test } from "vitest";
import { Member } from "../../../../test/brokers/member.ts";
import { Proxy } from "../../../../test/brokers/proxy.ts";
import { RabbitmqProcess } from "../../../../test/services/rabbitmq.ts";
import { programs } from "../../../../test/services/programs.ts";
import { rabbitmq } from "../src/index.ts";
import { Interest, partitionOf } from "../src/partitions.ts";
import type { RabbitmqOptions } from "../src/options.ts";
import { isTooOld } from "../src/version.ts";

const url = process.env["ZURUF_TEST_RABBITMQ_URL"];
/** Milliseconds within which a connection that delivers nothing is found, as docs/backplanes.md promises. */
const foundWithin = 5000;
const fresh = (): string => `test-${randomBytes(6).toString("hex")}`;

type Ends = (end: () => Promise<void>) => void;
async function join(to: string, name: string, ends: Ends, options: RabbitmqOptions): Promise<Member> {
  const member = await Member.start(rabbitmq(to, options), name);
  ends(() => member.backplane.close());
  return member;
}
const announce = (member: Member, channel: string, text: string): Promise<unknown> =>
  member.backplane.publish(channel, Buffer.from(text), {});

describe("partitions", () => {
  test("begin with their first channel and cease with their last", () => {
    const interest = new Interest(2);
    const [zero, one] = [0, 1].map((partition) =>
      Array.from({ length: 50 }, (_, i) => `c${i}`).filter((name) => partitionOf(name, 2) === partition),
    );
    expect(interest.add(zero?.slice(0, 2) ?? [])).toEqual([0]);
    expect(interest.add([...(zero ?? []), ...(one ?? [])])).toEqual([1]);
    expect(interest.remove(zero?.slice(1) ?? [])).toEqual([]);
    expect(interest.remove([zero?.[0] ?? "", "unknown"])).toEqual([0]);
    expect(interest.partitions()).toEqual([1]);
  });
  // FNV-1a's published values: "" 811c9dc5, "a" e40c292c, "foobar" bf9cf968.
  test("are the same in every version", () => {
    expect(["", "a", "foobar"].map((name) => partitionOf(name, 64))).toEqual([0x05, 0x2c, 0x28]);
  });
});

describe("a server that is too old", () => {
  test.each(["3.8.34", "2.8.7", "3.9.0", "3.10.8", "4.1.0"])("%s", async (version) => {
    const old = version.startsWith("3.8") || version.startsWith("2");
    expect(isTooOld(version)).toBe(old);
    if (!old) return;
    const field = Buffer.concat([
      Buffer.from("\x07versionS"),
      Buffer.from([0, 0, 0, version.length]),
      Buffer.from(version),
    ]);
    const properties = Buffer.concat([Buffer.from([0, 0, 0, field.length]), field]);
    const text = (value: string): Buffer => Buffer.from([0, 0, 0, value.length, ...Buffer.from(value)]);
    // connection.start of AMQP 0-9-1: class 10, method 10, version 0.9.
    const method = Buffer.concat([Buffer.from([0, 10, 0, 10, 0, 9]), properties, text("PLAIN"), text("en_US")]);
    const frame = Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, method.length]), method, Buffer.from([0xce])]);
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      // In two pieces, as a network may.
      socket.once("data", () => {
        socket.write(frame.subarray(0, 20));
        setImmediate(() => socket.write(frame.subarray(20)));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const error = await Member.start(rabbitmq(`amqp://u:secret@127.0.0.1:${port}`), "a").catch((e: unknown) => e);
    expect(error).toMatchObject({
      name: "BackplaneError",
      code: "unusable",
      message: `RabbitMQ ${version} at 127.0.0.1:${port} is too old: Zuruf needs 3.9 or newer`,
    });
    await new Promise((resolve) => server.close(resolve));
  });
});

describe.skipIf(url === undefined).concurrent("rabbitmq", () => {
  test("one queue per instance; partitions without interest bring nothing, the surplus is counted, and all goes at the end", async ({
    onTestFinished: ends,
  }) => {
    const exchange = fresh();
    const [a, b] = [await join(url ?? "", "a", ends, { exchange }), rabbitmq(url ?? "", { exchange })];
    const hearing = await Member.start(b, "b");
    const all = Array.from({ length: 2000 }, (_, i) => `c${i}`);
    const [wanted = ""] = all;
    await b.subscribe([wanted]);
    await Promise.all(all.map((channel) => announce(a, channel, channel)));
    await announce(a, wanted, "end");
    await hearing.until("delivery", () => hearing.texts(wanted).includes("end"));
    const sharing = all.filter((channel) => channel !== wanted && partitionOf(channel, 64) === partitionOf(wanted, 64));
    expect(b.surplus).toBe(sharing.length);
    await b.close();
  });

  test("what is published together to a partition is one message, confirmed once; every channel gets its own, in order", async ({
    onTestFinished: ends,
  }) => {
    const exchange = fresh();
    const [a, b] = [
      await join(url ?? "", "a", ends, { exchange, partitions: 1 }),
      await join(url ?? "", "b", ends, { exchange, partitions: 1 }),
    ];
    await b.backplane.subscribe(["c", "d"]);
    const connection = new Connection(url ?? "");
    ends(() => connection.close());
    const channel = await connection.acquire();
    const { queue } = await channel.queueDeclare({ exclusive: true });
    await channel.queueBind({ queue, exchange, routingKey: "p.0" });
    const texts = Array.from({ length: 200 }, (_, i) => `${i}`);
    await Promise.all(texts.flatMap((text) => [announce(a, "c", text), announce(a, "d", text)]));
    await b.until("delivery", () => b.items.length === 400);
    expect([b.texts("c"), b.texts("d")]).toEqual([texts, texts]);
    const { messageCount } = await channel.queueDeclare({ queue, passive: true });
    // 256 go together at most.
    expect(messageCount).toBe(2);
    await channel.close();
  });

  test("without a store there is no history, and that is said", async ({ onTestFinished: ends }) => {
    const a = await join(url ?? "", "a", ends, { exchange: fresh() });
    await expect(a.publish("c", "x")).rejects.toThrow(/compose\(\{ relay, store \}\)/);
    await expect(a.backplane.heads(["c"])).rejects.toMatchObject({ code: "unusable" });
  });

  test("black-holed, then healed", { timeout: 60_000 }, async ({ onTestFinished: ends }) => {
    const target = new URL(url ?? "");
    const proxy = await Proxy.start(Number(target.port));
    ends(() => proxy.close());
    target.port = `${proxy.port}`;
    const exchange = fresh();
    const [a, b] = [await join(target.href, "a", ends, { exchange }), await join(url ?? "", "b", ends, { exchange })];
    await a.backplane.subscribe(["c"]);
    proxy.swallow = () => true;
    await a.until("down", () => !a.isUp, foundWithin);
    await expect(announce(a, "c", "lost")).rejects.toMatchObject({ code: "notStored" });
    proxy.swallow = () => false;
    await a.until("up", () => a.isUp, 20_000);
    await announce(b, "c", "heard");
    await b.backplane.control(Buffer.from("hi"), "a");
    await a.until("delivery", () => a.texts("c").includes("heard") && a.messages.length === 1);
  });
});

// A broker of its own takes seconds to start: with the other long tests.
describe.skipIf(programs.rabbitmq.find() === undefined || process.env["ZURUF_TEST_FULL"] === undefined)(
  "rabbitmq, when it fails",
  () => {
    test(
      "killed and started again: its topology comes back; with a store nothing that was acknowledged is lost",
      { timeout: 120_000 },
      async ({ onTestFinished: ends }) => {
        const server = await RabbitmqProcess.start(programs.rabbitmq.find() ?? "");
        ends(() => server.dispose());
        const logs = new MemoryBroker();
        const [a, b] = await Promise.all(
          ["a", "b"].map(async (name) => {
            const member = await Member.start(
              compose({ relay: rabbitmq(server.url), store: memoryBackplane(logs) }),
              name,
            );
            ends(() => member.backplane.close());
            return member;
          }),
        );
        if (a === undefined || b === undefined) throw new Error("two members");
        await b.backplane.subscribe(["c"]);
        const first = await a.publish("c", "1");
        await b.until("delivery", () => b.texts("c").length === 1);
        await server.stop("SIGKILL");
        await Promise.all([a.until("down", () => !a.isUp), b.until("down", () => !b.isUp)]);
        expect(await a.publish("c", "2")).toMatchObject({ offset: 2 });
        await server.start();
        await Promise.all([a.until("up", () => a.isUp, 30_000), b.until("up", () => b.isUp, 30_000)]);
        await a.publish("c", "3");
        await b.until("delivery", () => b.texts("c").includes("3"));
        expect(await b.after("c", first?.epoch ?? "", 1)).toEqual(["2", "3"]);
      },
    );
  },
);
