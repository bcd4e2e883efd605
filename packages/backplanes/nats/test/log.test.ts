import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Position } from "@zuruf/hub";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Member, retention } from "../../../../test/brokers/member.ts";
import { NatsProcess } from "../../../../test/services/nats.ts";
import { programs } from "../../../../test/services/programs.ts";
import { mostInBlock } from "../src/entry.ts";
import { Epochs } from "../src/epochs.ts";
import { nats } from "../src/index.ts";
import { Log } from "../src/log.ts";
import { Subjects } from "../src/subjects.ts";
import { Writer } from "../src/writer.ts";
import { OneSubject } from "./one-subject.ts";

test("what is removed while a page is read is said: no page has a hole", async () => {
  const stream = new OneSubject();
  const subjects = new Subjects("z");
  const epochs = new Epochs(subjects.epochs);
  epochs.adopt(Buffer.from("zuruf 2\nlife\ne:0"));
  const writer = new Writer(stream, epochs, subjects, () => undefined);
  onTestFinished(() => writer.close());
  const positions: (Position | undefined)[] = [];
  for (let i = 0; i < 5; i++)
    positions.push(...(await writer.append("c", [{ data: Buffer.from(`${i}`), options: { retention } }], 1000)));
  const log = new Log(stream, epochs, subjects);
  const range = { after: positions[0] as Position, limit: 10 };
  expect((await log.history("c", range)).items).toHaveLength(4);
  stream.log.splice(2, 2);
  expect(await log.history("c", range)).toMatchObject({ items: [], complete: false, reason: "retention" });
});

const program = programs.nats.find();

describe.skipIf(program === undefined)("logs in JetStream", () => {
  let server: NatsProcess;
  let connection: NatsConnection;
  const members: Member[] = [];
  beforeAll(async () => {
    server = await NatsProcess.start(program ?? "");
    connection = await connect({ servers: server.url.replace("nats://", "") });
  });
  afterAll(async () => {
    await Promise.all(members.map(({ backplane }) => backplane.close()));
    await connection.close();
    await server.dispose();
  });
  const join = async (name: string, prefix = "log"): Promise<Member> => {
    const member = await Member.start(nats(server.url, { prefix }), name);
    members.push(member);
    return member;
  };
  const messagesIn = async (channel: string): Promise<number> => {
    const subject = new Subjects("log").log(channel);
    const answer = await connection.request("$JS.API.STREAM.INFO.log", JSON.stringify({ subjects_filter: subject }));
    const { state } = answer.json<{ state: { subjects?: Record<string, number> } }>();
    return state.subjects?.[subject] ?? 0;
  };

  test("what is published together is one message, up to 128 of it", async () => {
    const a = await join("a");
    const texts = Array.from({ length: 3 * mostInBlock }, (_, i) => `${i}`);
    const positions = await Promise.all(texts.map((text) => a.publish("together", text)));
    expect(await messagesIn("together")).toBe(3);
    expect(positions.map((position) => (position?.offset ?? 0) - (positions[0]?.offset ?? 0))).toEqual(
      texts.map((_, i) => i),
    );
    const { items } = await a.backplane.history("together", { limit: 200 });
    expect(items.map(({ data }) => Buffer.from(data).toString())).toEqual(texts.slice(-200));
  });

  test("a retry finds its key wherever it goes, also with others than before, also at an instance that was not there", async () => {
    const [a, b] = [await join("a"), await join("b")];
    const publish = (member: Member, keys: readonly string[]): Promise<(Position | undefined)[]> =>
      Promise.all(keys.map((key) => member.publish("retry", key, key)));
    const first = await publish(a, ["1", "2", "3"]);
    const again = await publish(b, ["2", "3", "4"]);
    expect(again.slice(0, 2)).toEqual(first.slice(1));
    expect(await publish(a, ["4", "5", "1"])).toMatchObject([again[2], {}, first[0]]);
    const c = await join("c");
    expect(await publish(c, ["3", "6", "1"])).toMatchObject([first[2], {}, first[0]]);
    const { items } = await c.backplane.history("retry", { limit: 10 });
    expect(items.map(({ data }) => Buffer.from(data).toString())).toEqual(["1", "2", "3", "4", "5", "6"]);
  });

  test("instances that publish the same keys at the same time store each once, and agree on where", async () => {
    const all = await Promise.all(["a", "b", "c"].map((name) => join(name)));
    // One of them hears what the others do; the others have to ask.
    await all[0]?.backplane.subscribe(["same"]);
    const keys = Array.from({ length: 301 }, (_, i) => `${i}`);
    const positions = await Promise.all(
      all.map((member, m) =>
        Promise.all(
          keys.map(async (_, i) => {
            // Not in the same order, and not at once.
            const key = keys[(i * (m + 1)) % keys.length] ?? "";
            await new Promise((resolve) => setTimeout(resolve, i % 20));
            return [key, await member.publish("same", key, key)] as const;
          }),
        ),
      ),
    );
    const [first, ...others] = positions.map((each) => new Map(each));
    for (const key of keys) for (const other of others) expect([key, other.get(key)]).toEqual([key, first?.get(key)]);
    const { items } = await (all[1] as Member).backplane.history("same", { limit: 1000 });
    const texts = items.map(({ data }) => Buffer.from(data).toString());
    expect(texts.toSorted()).toEqual(keys.toSorted());
    await all[0]?.until("delivery", () => all[0]?.texts("same").length === keys.length);
    expect(all[0]?.texts("same")).toEqual(texts);
  });

  test("the newest page is found among many other channels, whichever publications went together", async () => {
    const a = await join("a");
    const sent: string[] = [];
    for (let round = 0; round < 40; round++) {
      const texts = Array.from({ length: 1 + (round % 7) }, (_, i) => `${round}:${i}`);
      sent.push(...texts);
      await Promise.all(texts.map((text) => a.publish("sparse", text)));
      await Promise.all(Array.from({ length: 30 }, (_, i) => a.publish(`other ${i}`, "x")));
    }
    const page = async (limit: number, before?: Position): Promise<string[]> => {
      const range = { limit, ...(before !== undefined && { before }) };
      return (await a.backplane.history("sparse", range)).items.map(({ data }) => Buffer.from(data).toString());
    };
    for (const limit of [1, 2, 5, 17, 100, 1000]) expect(await page(limit)).toEqual(sent.slice(-limit));
    const { items } = await a.backplane.history("sparse", { limit: 1000 });
    for (const at of [3, 50, 100]) {
      const { epoch, offset } = items[at] ?? { epoch: "", offset: 0 };
      expect(await page(10, { epoch, offset })).toEqual(sent.slice(Math.max(0, at - 10), at));
      expect(await a.after("sparse", epoch, offset)).toEqual(sent.slice(at + 1));
    }
  });

  test("what count and bytes do not keep is not shown, and positions before it are told", async () => {
    const a = await join("a");
    const publish = (text: string, bytes: number): Promise<Position | undefined> =>
      a.backplane.publish("kept", Buffer.from(text), { retention: { ...retention, size: 5, bytes } });
    const all = await Promise.all(["0", "1", "2", "3", "4", "5", "6", "7"].map((text) => publish(text, 0)));
    const texts = async (): Promise<string[]> =>
      (await a.backplane.history("kept", { limit: 100 })).items.map(({ data }) => Buffer.from(data).toString());
    expect(await texts()).toEqual(["3", "4", "5", "6", "7"]);
    expect(await a.after("kept", all[2]?.epoch ?? "", all[2]?.offset ?? 0)).toHaveLength(5);
    expect(await a.after("kept", all[1]?.epoch ?? "", all[1]?.offset ?? 0)).toBe("retention");
    await publish("8", 3);
    expect(await texts()).toEqual(["6", "7", "8"]);
    // One that is larger than all that is kept is kept nevertheless.
    await publish("large", 3);
    expect(await texts()).toEqual(["large"]);
  });

  test("a log that an operator has emptied goes on", async () => {
    const [a, b] = [await join("a"), await join("b")];
    const empty = async (): Promise<void> => {
      const filter = new Subjects("log").log("emptied");
      await connection.request("$JS.API.STREAM.PURGE.log", JSON.stringify({ filter }));
    };
    const before = await a.publish("emptied", "1", "1");
    await empty();
    const after = await a.publish("emptied", "2", "2");
    expect(await b.publish("emptied", "3", "3")).toMatchObject({ epoch: before?.epoch });
    expect(await b.after("emptied", after?.epoch ?? "", after?.offset ?? 0)).toEqual(["3"]);
    expect(await b.after("emptied", before?.epoch ?? "", before?.offset ?? 0)).toBe("retention");
    await empty();
    expect((await b.backplane.heads(["emptied"])).get("emptied")?.offset).toBe(0);
    expect(await b.after("emptied", after?.epoch ?? "", after?.offset ?? 0)).toBe("retention");
  });

  test("a chain of epochs that is gone is begun again as it was", async () => {
    const prefix = "chainless";
    const before = await (await join("a", prefix)).publish("c", "1");
    await connection.request(`$JS.API.STREAM.PURGE.${prefix}`, JSON.stringify({ filter: new Subjects(prefix).epochs }));
    const b = await join("b", prefix);
    expect((await b.publish("c", "2"))?.epoch).toBe(before?.epoch);
    expect(await b.after("c", before?.epoch ?? "", before?.offset ?? 0)).toEqual(["2"]);
  });

  test("a stream of another layout is refused with one line; a message that is not ours is said, and announced as doubt", async () => {
    const subjects = new Subjects("older");
    const a = await join("a", "older");
    await a.backplane.subscribe(["c"]);
    await connection.request(subjects.log("c"), "x");
    await a.until("doubt", () => a.suspects.some((channels) => channels?.includes("c")));
    await expect(a.backplane.heads(["c"])).rejects.toThrow(/message \d+ is not Zuruf's, or another version's/);
    await expect(a.publish("c", "x")).rejects.toMatchObject({ code: "notStored" });
    await connection.request(subjects.epochs, "incarnation\nepoch:0");
    await expect(join("b", "older")).rejects.toMatchObject({
      code: "unusable",
      message: expect.stringMatching(/^NATS at .*another version's.*history\.stream.*$/) as unknown,
    });
  });
});
