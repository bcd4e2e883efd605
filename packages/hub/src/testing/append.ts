import type { Backplane, Position } from "../backplane.ts";
import { keep, type Contract } from "./contract.ts";
import { bytes, eventually, rejection, text, type Member } from "./harness.ts";

/** What is stored: each publication once, in order, and announced. */
export function appendContract({ join, channelName, test, expect, exceptions }: Contract): void {
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
      if (first.backplane.can.contiguous) expect(items.map(({ offset }) => offset)).toEqual(items.map((_, i) => i + 1));
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

  test("a repeated key gives the first position and is stored once", async () => {
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

  test(
    "a repeated key announces nothing",
    async () => {
      const [a, b] = [await join(), await join()];
      if (!a.backplane.can.history || !a.backplane.can.idempotent) return;
      const channel = channelName();
      await b.backplane.subscribe([channel]);
      for (const { backplane } of [a, a, b])
        await backplane.publish(channel, bytes("1"), { retention: keep, key: "k" });
      await a.backplane.publish(channel, bytes("end"), { retention: keep });
      await eventually(() => b.sink.texts(channel).includes("end"), "the last publication");
      expect(b.sink.items.map(({ item }) => text(item.data))).toEqual(["1", "end"]);
    },
    "no doubles announced",
  );

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
}
