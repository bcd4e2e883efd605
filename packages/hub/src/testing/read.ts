import type { Backplane, Position } from "../backplane.ts";
import { keep, type Contract } from "./contract.ts";
import { bytes, text } from "./harness.ts";

/** What the store knows of its logs: heads, pages, and what was dropped. */
export function readContract({ join, channelName, test, expect, after }: Contract): void {
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
    expect([page.complete, page.items.map((item) => text(item.data))]).toEqual([true, ["25", "26", "27", "28", "29"]]);
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
}
