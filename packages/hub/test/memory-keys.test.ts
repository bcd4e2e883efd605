import { expect, test } from "vitest";
import { MemoryBroker } from "../src/index.ts";
import { MemoryKeys } from "../src/memory-keys.ts";
import { TestClock } from "./harness.ts";

const retention = { size: 10, ttl: 3_600_000, bytes: 0 };
const fiveMinutes = 300_000;

/** Whether each key is still known: a repeat gives the first position. */
async function known(broker: MemoryBroker, channel: string, keys: readonly string[]): Promise<boolean[]> {
  const log = broker.log(channel);
  return keys.map((key) => {
    const { offset } = log.head;
    return log.append(new Uint8Array(1), retention, key, broker.clock.now()).position.offset <= offset;
  });
}

test("keys are known for 5 minutes", async () => {
  const clock = new TestClock();
  const broker = new MemoryBroker({ clock });
  expect(await known(broker, "a", ["k"])).toEqual([false]);
  await clock.advance(fiveMinutes - 1);
  expect(await known(broker, "a", ["k"])).toEqual([true]);
  await clock.advance(1);
  expect(await known(broker, "a", ["k"])).toEqual([false]);
});

test("keys at their bound and over it: the oldest of all channels are forgotten first", async () => {
  const clock = new TestClock();
  // Each key takes 8 bytes and 288 beside.
  const broker = new MemoryBroker({ clock, keyBytes: 10 * 296 });
  const names = Array.from({ length: 10 }, (_, i) => `key-000${i}`);
  await known(broker, "a", names.slice(0, 5));
  await known(broker, "b", names.slice(5));
  expect(await known(broker, "a", names.slice(0, 5))).toEqual(Array.from({ length: 5 }, () => true));
  await known(broker, "c", ["one-more"]);
  expect(await known(broker, "a", names.slice(1, 5))).toEqual(Array.from({ length: 4 }, () => true));
  expect(await known(broker, "b", names.slice(5))).toEqual(Array.from({ length: 5 }, () => true));
  expect(await known(broker, "a", names.slice(0, 1))).toEqual([false]);
});

test.each([
  ["ü", 1],
  ["€", 2],
])("a character like %s counts for the %i bytes that it takes", async (character, bytes) => {
  const name = (i: number): string => `${i}${character.repeat(99)}`;
  const names = Array.from({ length: 10 }, (_, i) => name(i));
  const broker = new MemoryBroker({ clock: new TestClock(), keyBytes: 10 * (100 * bytes + 288) });
  await known(broker, "a", names);
  expect(await known(broker, "a", names)).toEqual(names.map(() => true));
  await known(broker, "a", ["one more"]);
  expect(await known(broker, "a", names.slice(0, 1))).toEqual([false]);
});

test("a key that a rollback forgot, and that came again, is known for its own time", () => {
  const keys = new MemoryKeys(2 * 289);
  const owner = new Map();
  keys.remember(owner, "k", { epoch: "e", offset: 1 }, 0);
  owner.delete("k");
  keys.remember(owner, "k", { epoch: "f", offset: 1 }, 1000);
  keys.expire(fiveMinutes);
  expect(owner.size).toBe(1);
  keys.expire(fiveMinutes + 1000);
  expect(owner.size).toBe(0);
});
