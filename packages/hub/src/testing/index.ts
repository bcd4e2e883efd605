import type { Backplane, Position, Retention } from "../backplane.ts";
import { bytes, eventually, RecordingSink, rejection, text, type Member, type TestRunner } from "./harness.ts";

export { RecordingSink, eventually, type TestRunner } from "./harness.ts";

/** Parts of the contract that a backplane can be excused from, each with the reason. */
export type ContractException =
  | "control order"
  | "bytes retention"
  | "time retention"
  | "before"
  | "no doubles announced";

export interface ContractOptions {
  readonly name: string;
  /** A new backplane object, not started, joined to the same broker as the others. */
  readonly create: () => Promise<Backplane>;
  readonly exceptions?: Partial<Record<ContractException, string>>;
  readonly test: TestRunner;
}

const keep: Retention = { size: 1000, ttl: 3_600_000, bytes: 0 };
let names = 0;

/** The tests that every backplane passes: what the hub relies on (packages/hub/src/backplane.ts). */
export function backplaneContract({ name, create, exceptions = {}, test: runner }: ContractOptions): void {
  const { describe, expect } = runner;
  const members: Member[] = [];
  const run = `${Date.now().toString(36)}${Math.floor(Math.random() * 1e9).toString(36)}`;
  const channelName = (): string => `contract:${run}:${++names}`;
  const join = async (): Promise<Member> => {
    const sink = new RecordingSink();
    const instance = `${run}-${++names}`;
    const backplane = await create();
    await backplane.start(instance, sink);
    const member = { backplane, sink, instance };
    members.push(member);
    return member;
  };
  const leave = async (): Promise<void> => {
    for (const { backplane } of members.splice(0)) await backplane.close();
  };
  const test = (title: string, body: () => Promise<void>, exception?: ContractException): void => {
    if (exception !== undefined && exceptions[exception] !== undefined) return;
    runner.test(title, async () => {
      try {
        await body();
      } finally {
        await leave();
      }
    });
  };
  const after = (member: Member, channel: string, position: Position, limit = 100): ReturnType<Backplane["history"]> =>
    member.backplane.history(channel, { after: position, limit });

  describe(`${name} keeps the contract`, () => {
    runner.afterAll(leave);

    test("start reports up", async () => {
      const { sink } = await join();
      await eventually(() => sink.states.includes("up"), "up");
    });

    test("a publication without history reaches every interested instance, the publisher's own too", async () => {
      const [a, b] = [await join(), await join()];
      const channel = channelName();
      await a.backplane.subscribe([channel]);
      await b.backplane.subscribe([channel]);
      expect(await a.backplane.publish(channel, bytes("hi"), {})).toBe(undefined);
      for (const { sink } of [a, b]) {
        await eventually(() => sink.items.length > 0, "the publication");
        expect(sink.items.map(({ channel, item }) => [channel, item.offset, text(item.data)])).toEqual([
          [channel, 0, "hi"],
        ]);
      }
    });

    test("bytes arrive as they were, none and all values, and large", async () => {
      const [a, b] = [await join(), await join()];
      const channel = channelName();
      await b.backplane.subscribe([channel]);
      const payloads = [
        new Uint8Array(0),
        Uint8Array.from({ length: 256 }, (_, i) => i),
        new Uint8Array(200_000).fill(7),
      ];
      for (const payload of payloads) await a.backplane.publish(channel, payload, {});
      await eventually(() => b.sink.items.length >= 3, "three publications");
      expect(b.sink.items.map(({ item }) => [...item.data])).toEqual(payloads.map((payload) => [...payload]));
    });

    test("channel names of every allowed kind are told apart", async () => {
      const a = await join();
      const base = channelName();
      const channels = ["*", ":", "ü€😀", "a.b", "a/b", "[x]", "?", "\\", "'\"", "%s", "A", "a"].map(
        (end) => `${base}:${end}`,
      );
      channels.push("x".repeat(200 - base.length - 1) + base);
      await a.backplane.subscribe(channels);
      for (const channel of channels) await a.backplane.publish(channel, bytes(channel), {});
      await eventually(() => a.sink.items.length >= channels.length, "one publication per channel");
      expect(a.sink.items.map(({ channel, item }) => channel === text(item.data)).every(Boolean)).toBe(true);
      expect(new Set(a.sink.items.map(({ channel }) => channel)).size).toBe(channels.length);
    });

    test("after unsubscribe, and without subscribe, nothing comes", async () => {
      const [a, b] = [await join(), await join()];
      const [left, kept] = [channelName(), channelName()];
      await b.backplane.subscribe([left, kept]);
      await b.backplane.unsubscribe([left]);
      await a.backplane.publish(left, bytes("no"), {});
      await a.backplane.publish(channelName(), bytes("no"), {});
      await a.backplane.publish(kept, bytes("yes"), {});
      await eventually(() => b.sink.texts(kept).length === 1, "the publication on the channel that was kept");
      expect(b.sink.texts(left)).toEqual([]);
    });

    test("interest comes back after unsubscribe and subscribe at once", async () => {
      const a = await join();
      const channel = channelName();
      for (let round = 0; round < 5; round++) {
        await a.backplane.subscribe([channel]);
        const gone = a.backplane.unsubscribe([channel]);
        const back = a.backplane.subscribe([channel]);
        await gone;
        await back;
      }
      await a.backplane.publish(channel, bytes("here"), {});
      await eventually(() => a.sink.texts(channel).length === 1, "the publication");
    });

    test("control reaches all others, or one, and never the sender", async () => {
      const [a, b, c] = [await join(), await join(), await join()];
      await a.backplane.control(bytes("all"));
      await a.backplane.control(bytes("b only"), b.instance);
      await a.backplane.control(bytes("all again"));
      await eventually(() => c.sink.controls.length >= 2 && b.sink.controls.length >= 3, "the control messages");
      expect(c.sink.controls).toEqual([
        { from: a.instance, text: "all" },
        { from: a.instance, text: "all again" },
      ]);
      expect(b.sink.controls.map((control) => control.text).toSorted()).toEqual(["all", "all again", "b only"]);
      expect(a.sink.controls).toEqual([]);
      await a.backplane.control(bytes("nobody"), "no-such-instance");
    });

    test(
      "control keeps its order per sender",
      async () => {
        const [a, b] = [await join(), await join()];
        const sent = Array.from({ length: 100 }, (_, i) => String(i));
        await Promise.all(
          sent.map((message, i) => a.backplane.control(bytes(message), i % 2 === 0 ? b.instance : undefined)),
        );
        await eventually(() => b.sink.controls.length >= 100, "100 control messages");
        expect(b.sink.controls.map((control) => control.text)).toEqual(sent);
      },
      "control order",
    );

    test("after close every call rejects with closed, and close may be called again", async () => {
      const a = await join();
      await a.backplane.close();
      await a.backplane.close();
      const channel = channelName();
      expect(await rejection(a.backplane.publish(channel, bytes("x"), {}))).toBe("closed");
      expect(await rejection(a.backplane.subscribe([channel]))).toBe("closed");
      expect(await rejection(a.backplane.heads([channel]))).toBe("closed");
      expect(await rejection(a.backplane.history(channel, { limit: 1 }))).toBe("closed");
      expect(await rejection(a.backplane.control(bytes("x")))).toBe("closed");
    });

    test("a store gives increasing offsets that instances agree on, and announces them", async () => {
      const [a, b] = [await join(), await join()];
      if (!a.backplane.can.history) return;
      const channel = channelName();
      await b.backplane.subscribe([channel]);
      const positions: Position[] = [];
      for (let i = 0; i < 10; i++) {
        const from = i % 2 === 0 ? a : b;
        positions.push((await from.backplane.publish(channel, bytes(`p${i}`), { retention: keep })) as Position);
      }
      for (let i = 1; i < 10; i++) {
        const [before, here] = [positions[i - 1] as Position, positions[i] as Position];
        if (a.backplane.can.contiguous) expect(here.offset).toBe(before.offset + 1);
        expect(here.offset).toBeGreaterThan(before.offset);
        expect(here.epoch).toBe(before.epoch);
      }
      await eventually(() => b.sink.texts(channel).length === 10, "ten announcements");
      for (const { item } of b.sink.items)
        expect([item.epoch, item.offset]).toEqual([
          positions[0]?.epoch,
          positions[Number(text(item.data).slice(1))]?.offset,
        ]);
      const head = (await b.backplane.heads([channel])).get(channel);
      expect(head).toEqual(positions.at(-1));
    });

    test("publications of one instance are stored in call order", async () => {
      const a = await join();
      if (!a.backplane.can.history) return;
      const channel = channelName();
      const sent = Array.from({ length: 100 }, (_, i) => String(i));
      const positions = await Promise.all(
        sent.map((data) => a.backplane.publish(channel, bytes(data), { retention: keep })),
      );
      const page = await a.backplane.history(channel, { limit: 1000 });
      expect(page.items.map((item) => text(item.data))).toEqual(sent);
      expect(page.items.map((item) => item.offset)).toEqual(positions.map((position) => position?.offset));
    });

    test("of a line that failed nothing more is stored, others go on", async () => {
      const a = await join();
      if (!a.backplane.can.history || a.backplane.can.ordered !== true) return;
      const channel = channelName();
      const line = { failed: false };
      const publish = (data: string, of?: { failed: boolean }): Promise<unknown> =>
        rejection(a.backplane.publish(channel, bytes(data), { retention: keep, key: data, ...(of && { line: of }) }));
      expect(await Promise.all([publish("a", line), publish("b", line)])).toEqual(["resolved", "resolved"]);
      expect(line.failed).toBe(false);
      line.failed = true;
      expect(await Promise.all([publish("c", line), publish("d"), publish("e", { failed: false })])).toEqual([
        "notStored",
        "resolved",
        "resolved",
      ]);
      const page = await a.backplane.history(channel, { limit: 10 });
      expect(page.items.map(({ data }) => text(data))).toEqual(["a", "b", "d", "e"]);
    });

    test("what is published together is stored and announced as if one after the other, repeats once", async () => {
      const [a, b] = [await join(), await join()];
      if (!a.backplane.can.history || !a.backplane.can.idempotent) return;
      const channel = channelName();
      await b.backplane.subscribe([channel]);
      const publish = (data: string, key?: string): Promise<Position | undefined> =>
        a.backplane.publish(channel, bytes(data), { retention: keep, ...(key !== undefined && { key }) });
      const first = await publish("0", "k0");
      const together = await Promise.all([
        publish("1", "k1"),
        publish("0 again", "k0"),
        publish("2"),
        publish("", "k3"),
        publish("1 again", "k1"),
        publish("4", "k4"),
      ]);
      expect([together[1], together[4]]).toEqual([first, together[0]]);
      const { items, head } = await b.backplane.history(channel, { limit: 100 });
      expect(items.map(({ data }) => text(data))).toEqual(["0", "1", "2", "", "4"]);
      expect([0, 2, 3, 5].map((i) => together[i]?.offset)).toEqual(items.slice(1).map(({ offset }) => offset));
      expect(head).toEqual(together[5]);
      await eventually(() => b.sink.texts(channel).length >= 5, "five announcements");
      expect(b.sink.texts(channel)).toEqual(["0", "1", "2", "", "4"]);
      // Pages begin and end anywhere, also between what was stored together.
      const texts = async (range: Parameters<Backplane["history"]>[1]): Promise<string[]> =>
        (await a.backplane.history(channel, range)).items.map(({ data }) => text(data));
      const [second, fourth] = [together[0] as Position, together[3] as Position];
      expect(await texts({ after: second, limit: 2 })).toEqual(["2", ""]);
      expect(await texts({ limit: 2 })).toEqual(["", "4"]);
      if (exceptions.before === undefined) expect(await texts({ before: fourth, limit: 2 })).toEqual(["1", "2"]);
    });

    test("10,000 channels are subscribed, asked about and left in bulk", async () => {
      const [a, b] = [await join(), await join()];
      const channels = Array.from({ length: 10_000 }, channelName);
      await b.backplane.subscribe(channels);
      const some = channels.filter((_, i) => i % 500 === 0);
      for (const channel of some) await a.backplane.publish(channel, bytes("x"), {});
      await eventually(() => b.sink.items.length >= some.length, "one publication on each of some channels");
      expect(b.sink.items.map(({ channel }) => channel)).toEqual(some);
      if (a.backplane.can.history) expect((await b.backplane.heads(channels)).size).toBe(channels.length);
      await b.backplane.unsubscribe(channels);
      await b.backplane.subscribe(some.slice(0, 1));
      for (const channel of [...some.slice(1), ...some.slice(0, 1)]) await a.backplane.publish(channel, bytes("y"), {});
      await eventually(() => b.sink.items.length > some.length, "the publication on the channel that was kept");
      expect(b.sink.items.slice(some.length).map(({ channel }) => channel)).toEqual(some.slice(0, 1));
    });

    test("publishers on several instances at once: no offset twice, no hole, each one's order kept", async () => {
      const members = [await join(), await join(), await join()];
      const [first] = members as [Member];
      if (!first.backplane.can.history) return;
      const channels = [channelName(), channelName(), channelName()];
      await first.backplane.subscribe(channels);
      const each = 50;
      await Promise.all(
        members.flatMap(({ backplane }, m) =>
          Array.from({ length: each }, (_, i) =>
            channels.map((channel) => backplane.publish(channel, bytes(`${m}:${i}`), { retention: keep })),
          ).flat(),
        ),
      );
      for (const channel of channels) {
        const { items, head } = await first.backplane.history(channel, { limit: 1000 });
        expect(items.length).toBe(members.length * each);
        expect(new Set(items.map(({ offset }) => offset)).size).toBe(items.length);
        if (first.backplane.can.contiguous)
          expect(items.map(({ offset }) => offset)).toEqual(items.map((_, i) => i + 1));
        for (const m of members.keys())
          expect(items.map(({ data }) => text(data)).filter((sent) => sent.startsWith(`${m}:`))).toEqual(
            Array.from({ length: each }, (_, i) => `${m}:${i}`),
          );
        await eventually(
          () => first.sink.items.some((heard) => heard.channel === channel && heard.item.offset === head.offset),
          "the last announcement",
        );
      }
    });

    test("a large publication is kept and announced whole", async () => {
      const [a, b] = [await join(), await join()];
      if (!a.backplane.can.history) return;
      const channel = channelName();
      await b.backplane.subscribe([channel]);
      const large = Uint8Array.from({ length: 900_000 }, (_, i) => (i * 7) % 256);
      const same = (data: Uint8Array | undefined): boolean =>
        data !== undefined && data.length === large.length && data.every((byte, i) => byte === large[i]);
      await a.backplane.publish(channel, large, { retention: keep });
      await eventually(() => b.sink.items.length > 0, "the announcement");
      expect(same(b.sink.items[0]?.item.data)).toBe(true);
      expect(same((await b.backplane.history(channel, { limit: 1 })).items[0]?.data)).toBe(true);
    });

    test("a channel that was never published to has a head that stays", async () => {
      const [a, b] = [await join(), await join()];
      if (!a.backplane.can.history) return;
      const channels = Array.from({ length: 500 }, channelName);
      const heads = await a.backplane.heads(channels);
      expect(heads.size).toBe(500);
      const [channel] = channels as [string];
      const head = heads.get(channel) as Position;
      expect(head.offset).toBe(0);
      expect(new TextEncoder().encode(head.epoch).length).toBeLessThanOrEqual(64);
      expect((await b.backplane.heads([channel])).get(channel)).toEqual(head);
      expect(await after(b, channel, head)).toEqual({ items: [], head, complete: true });
      const first = (await b.backplane.publish(channel, bytes("first"), { retention: keep })) as Position;
      expect(first.epoch).toBe(head.epoch);
      const page = await after(a, channel, head);
      expect([page.complete, page.items.map((item) => text(item.data))]).toEqual([true, ["first"]]);
    });

    test("history reads after, before and the newest, page by page", async () => {
      const a = await join();
      if (!a.backplane.can.history) return;
      const channel = channelName();
      const positions: Position[] = [];
      for (let i = 0; i < 20; i++)
        positions.push((await a.backplane.publish(channel, bytes(String(i)), { retention: keep })) as Position);
      const texts = async (range: Parameters<Backplane["history"]>[1]): Promise<string> =>
        (await a.backplane.history(channel, range)).items.map((item) => text(item.data)).join();
      const [fifth, last] = [positions[4] as Position, positions[19] as Position];
      expect(await texts({ after: fifth, limit: 3 })).toBe("5,6,7");
      expect(await texts({ after: positions[17] as Position, limit: 100 })).toBe("18,19");
      expect(await texts({ after: last, limit: 100 })).toBe("");
      expect(await texts({ limit: 3 })).toBe("17,18,19");
      const page = await a.backplane.history(channel, { after: fifth, limit: 3 });
      expect([page.complete, page.head]).toEqual([true, last]);
      expect(page.items.map((item) => [item.epoch, item.offset])).toEqual(
        positions.slice(5, 8).map((position) => [position.epoch, position.offset]),
      );
    });

    test(
      "history reads before a position",
      async () => {
        const a = await join();
        if (!a.backplane.can.history) return;
        const channel = channelName();
        const positions: Position[] = [];
        for (let i = 0; i < 10; i++)
          positions.push((await a.backplane.publish(channel, bytes(String(i)), { retention: keep })) as Position);
        const texts = async (before: Position, limit: number): Promise<string> =>
          (await a.backplane.history(channel, { before, limit })).items.map((item) => text(item.data)).join();
        expect(await texts(positions[5] as Position, 3)).toBe("2,3,4");
        expect(await texts(positions[1] as Position, 100)).toBe("0");
        expect(await texts(positions[0] as Position, 100)).toBe("");
      },
      "before",
    );

    test("a position of another history, and one above the head, are refused with the reason", async () => {
      const a = await join();
      if (!a.backplane.can.history) return;
      const channel = channelName();
      const head = (await a.backplane.publish(channel, bytes("x"), { retention: keep })) as Position;
      const unknown = await after(a, channel, { epoch: "someone-else", offset: 1 });
      expect(unknown).toEqual({ items: [], head, complete: false, reason: "epoch" });
      const above = await after(a, channel, { epoch: head.epoch, offset: head.offset + 1 });
      expect(above).toEqual({ items: [], head, complete: false, reason: "rollback" });
    });

    test("retention by count: what was dropped is said, never skipped", async () => {
      const a = await join();
      if (!a.backplane.can.history) return;
      const channel = channelName();
      const positions: Position[] = [];
      for (let i = 0; i < 30; i++)
        positions.push(
          (await a.backplane.publish(channel, bytes(String(i)), { retention: { ...keep, size: 5 } })) as Position,
        );
      const lost = await after(a, channel, positions[0] as Position);
      expect([lost.complete, lost.reason, lost.items.length]).toEqual([false, "retention", 0]);
      const newest = await a.backplane.history(channel, { limit: 100 });
      // A store may keep more than it must, but what it says is complete has no hole.
      expect(newest.items.map((item) => text(item.data)).slice(-5)).toEqual(["25", "26", "27", "28", "29"]);
      const page = await after(a, channel, positions[24] as Position);
      expect([page.complete, page.items.map((item) => text(item.data))]).toEqual([
        true,
        ["25", "26", "27", "28", "29"],
      ]);
    });

    test(
      "retention by age: the entries go, the head stays",
      async () => {
        const a = await join();
        if (!a.backplane.can.history) return;
        const channel = channelName();
        const retention = { ...keep, ttl: 300 };
        const first = (await a.backplane.publish(channel, bytes("0"), { retention })) as Position;
        const second = (await a.backplane.publish(channel, bytes("1"), { retention })) as Position;
        await new Promise((resolve) => setTimeout(resolve, 500));
        const page = await after(a, channel, first);
        // Entries past their age may be kept, but not lost without a word.
        if (page.complete) expect(page.items.map((item) => text(item.data))).toEqual(["1"]);
        else expect(page.reason).toBe("retention");
        expect(page.head).toEqual(second);
        expect((await after(a, channel, second)).complete).toBe(true);
        const third = (await a.backplane.publish(channel, bytes("2"), { retention })) as Position;
        expect(third.epoch).toBe(first.epoch);
        expect(third.offset).toBeGreaterThan(second.offset);
      },
      "time retention",
    );

    test(
      "retention by bytes",
      async () => {
        const a = await join();
        if (!a.backplane.can.history) return;
        const channel = channelName();
        const retention = { ...keep, bytes: 10_000 };
        let last: Position | undefined;
        for (let i = 0; i < 50; i++)
          last = await a.backplane.publish(channel, new Uint8Array(1000).fill(i), { retention });
        const { items, head } = await a.backplane.history(channel, { limit: 1000 });
        expect(head).toEqual(last);
        expect(items.length).toBeLessThanOrEqual(20);
        expect(items.at(-1)?.data[0]).toBe(49);
      },
      "bytes retention",
    );

    test("a repeated key gives the first position and is stored and announced once", async () => {
      const [a, b] = [await join(), await join()];
      if (!a.backplane.can.history || !a.backplane.can.idempotent) return;
      const channel = channelName();
      await b.backplane.subscribe([channel]);
      const publish = (member: Member, key: string): Promise<Position | undefined> =>
        member.backplane.publish(channel, bytes(key), { retention: keep, key });
      const first = await publish(a, "k:1");
      const repeats = await Promise.all([publish(a, "k:1"), publish(b, "k:1"), publish(a, "k:1")]);
      for (const repeat of repeats) expect(repeat).toEqual(first);
      const both = await Promise.all([publish(a, "k:2"), publish(b, "k:2")]);
      expect(both[0]).toEqual(both[1]);
      // The same key in another channel is another key.
      const other = channelName();
      await a.backplane.publish(other, bytes("x"), { retention: keep, key: "k:1" });
      expect((await a.backplane.history(other, { limit: 2 })).items.map((item) => text(item.data))).toEqual(["x"]);
      await a.backplane.publish(channel, bytes("end"), { retention: keep });
      await eventually(() => b.sink.texts(channel).includes("end"), "the last publication");
      expect(b.sink.texts(channel)).toEqual(["k:1", "k:2", "end"]);
      const page = await a.backplane.history(channel, { limit: 100 });
      expect(page.items.map((item) => text(item.data))).toEqual(["k:1", "k:2", "end"]);
    });

    test("what is announced after a subscription is all that comes after the head read then", async () => {
      const [a, b] = [await join(), await join()];
      if (!a.backplane.can.history) return;
      const channel = channelName();
      let count = 0;
      const stop = new AbortController();
      const publishing = (async () => {
        for (; !stop.signal.aborted; count++) {
          await a.backplane.publish(channel, bytes(String(count)), { retention: keep });
          // A store in memory would never let anybody else have a turn.
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
      })();
      await eventually(() => count > 20, "publications");
      await b.backplane.subscribe([channel]);
      const head = (await b.backplane.heads([channel])).get(channel) as Position;
      const until = count + 50;
      await eventually(() => count > until, "more publications");
      stop.abort();
      await publishing;
      const last = (await a.backplane.heads([channel])).get(channel) as Position;
      const offsets = (): Set<number> => new Set(b.sink.items.map(({ item }) => item.offset));
      await eventually(() => offsets().has(last.offset), "the last announcement");
      const { items } = await b.backplane.history(channel, { after: head, limit: 1000 });
      expect(items.filter((item) => !offsets().has(item.offset)).length).toBe(0);
    });
  });
}
