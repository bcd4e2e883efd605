import { setImmediate as turn } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { Deadlines } from "@zuruf/hub/store";
import { readSettings } from "../src/options.ts";
import { pace } from "../src/pace.ts";
import type { Session } from "../src/session.ts";
import { Writer } from "../src/writer.ts";

const retention = { size: 10, ttl: 60_000, bytes: 0 };
const deadlines = new Deadlines(5000);
afterEach(() => deadlines.close());

/** A writer to one channel, and how many transactions it took; a server that answers at once. */
function writing(): { publish: () => Promise<unknown>; transactions: () => number } {
  let [transactions, head] = [0, 0];
  const query = async (_sql: string, [, counts]: readonly unknown[]): Promise<string[][]> => {
    transactions++;
    const first = head + 1;
    head += (counts as number[])[0] ?? 0;
    return [[`${first} epoch:0`]];
  };
  const session = { live: true, writer: { query } } as unknown as Session;
  const settings = readSettings("postgres://localhost/app", {});
  const events = { appended: () => undefined, relayed: () => undefined };
  const writer = new Writer(settings, deadlines, () => session, events);
  return { publish: () => writer.publish("c", Buffer.from("x"), { retention }), transactions: () => transactions };
}

test("who waits for each answer has a transaction each, at once", async () => {
  const { publish, transactions } = writing();
  const begun = performance.now();
  for (let i = 0; i < 100; i++) expect(await publish()).toEqual({ epoch: "epoch", offset: i + 1 });
  expect(transactions()).toBe(100);
  expect(performance.now() - begun).toBeLessThan(100 * pace);
});

test("however many publish however often, transactions begin at their pace", async () => {
  const { publish, transactions } = writing();
  const begun = performance.now();
  const published: Promise<unknown>[] = [];
  while (performance.now() - begun < 20 * pace) {
    published.push(publish(), publish());
    await turn();
  }
  await Promise.all(published);
  // A timer may be early by what its clock rounds.
  expect(transactions()).toBeLessThan((performance.now() - begun) / (pace - 1) + 2);
});
