import { expect, test } from "vitest";
import { nothing, type Entry, type Extent } from "../src/entry.ts";
import { Trimmer } from "../src/trimmer.ts";

const keyWindow = 10_000;

/** A log that grows by one publication of ten bytes with each message. */
class Growing {
  readonly purges: number[] = [];
  readonly marked: number[] = [];
  readonly trimmer = new Trimmer(keyWindow, () => ({
    mark: async (_channel, last): Promise<Entry | undefined> => {
      this.marked.push(last?.seq ?? 0);
      return undefined;
    },
    trim: async (_channel, { messages }) => void this.purges.push(messages),
  }));
  #extent: Extent = nothing;

  publish(seq: number, time: number, retention: { size: number; ttl: number; bytes: number }): void {
    this.#extent = { head: seq, count: this.#extent.count + 1, bytes: this.#extent.bytes + 10, messages: seq };
    this.trimmer.appended("c", { seq, extent: this.#extent }, retention, time);
  }
}
const hour = 3_600_000;

test.each([
  ["by count", { size: 80, ttl: hour, bytes: 0 }, 919],
  ["by bytes", { size: 10_000, ttl: hour, bytes: 800 }, 919],
  ["by age", { size: 10_000, ttl: 20_000, bytes: 0 }, 799],
])(
  "%s: what nobody reads goes when its keys are too old, up to an eighth later; nothing else does",
  async (_what, retention, kept) => {
    const log = new Growing();
    // One each 100 ms.
    for (let seq = 1; seq <= 1000; seq++) log.publish(seq, seq * 100, retention);
    await log.trimmer.look(100_000);
    const until = Math.min(kept, 900);
    const most = log.purges[0] ?? 0;
    expect(most).toBeLessThanOrEqual(until + 1);
    expect(most).toBeGreaterThan(until - 60);
    // Nothing more is due.
    await log.trimmer.look(100_000);
    expect([log.purges.length, log.marked]).toEqual([1, []]);
  },
);

test("a burst is trimmed in few steps, whatever its length", async () => {
  const log = new Growing();
  const retention = { size: 100, ttl: hour, bytes: 0 };
  for (let seq = 1; seq <= 100_000; seq++) log.publish(seq, 0, retention);
  await log.trimmer.look(keyWindow + 1);
  expect(log.purges).toHaveLength(1);
  expect(log.purges[0]).toBeGreaterThan(90_000);
  expect(log.purges[0]).toBeLessThanOrEqual(99_900);
});

test("a channel in which nothing happens any more is left with its marker, when its time and that of its keys is over", async () => {
  const log = new Growing();
  log.publish(7, 0, { size: 10, ttl: 500, bytes: 0 });
  await log.trimmer.look(keyWindow - 1);
  expect(log.marked).toEqual([]);
  await log.trimmer.look(keyWindow + 1);
  await log.trimmer.look(keyWindow + 2);
  expect([log.marked, log.purges]).toEqual([[7], []]);
});

test("a channel that cannot be trimmed holds up no other", async () => {
  const trimmed: string[] = [];
  const trimmer = new Trimmer(keyWindow, () => ({
    mark: async () => undefined,
    trim: async (channel) => {
      if (channel === "foreign") throw new Error("a message is not Zuruf's");
      trimmed.push(channel);
    },
  }));
  for (const channel of ["foreign", "c"])
    for (let seq = 1; seq <= 9; seq++) {
      const extent = { head: seq, count: seq, bytes: seq, messages: seq };
      trimmer.appended(channel, { seq, extent }, { size: 1, ttl: hour, bytes: 0 }, 0);
    }
  await trimmer.look(keyWindow + 1);
  expect(trimmed).toEqual(["c"]);
});
