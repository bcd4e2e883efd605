/** What a process still holds: for tests that restart a broker many times. */
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect } from "vitest";
import type { Member } from "./member.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
/** Bytes of heap that something still holds. */
function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
const descriptors = (): number => readdirSync("/proc/self/fd").length;

export interface Restartable {
  stop(signal: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

/**
 * Stops and starts a broker again and again, by turns gently and with -9, and publishes to `c0` after each; `member` is subscribed to it.
 * Expects descriptors and heap to be after the last round what they were after the first fifth.
 */
export async function expectNoLeak(
  broker: Restartable,
  member: Member,
  rounds: number,
  gently: NodeJS.Signals,
  publish: (text: string) => Promise<unknown>,
): Promise<void> {
  let [fds, heap] = [0, 0];
  for (let round = 1; round <= rounds; round++) {
    await broker.stop(round % 2 === 0 ? "SIGKILL" : gently);
    await member.until("down", () => !member.isUp);
    await broker.start();
    await member.until("up", () => member.isUp, 30_000);
    await publish(`${round}`);
    await member.until("delivery", () => member.texts("c0").includes(`${round}`));
    if (round === rounds / 5) [fds, heap] = [descriptors(), heapInUse()];
  }
  expect(descriptors()).toBeLessThanOrEqual(fds + 2);
  // Not before timers of what is over have passed, which hold some MB for seconds.
  await expect.poll(() => heapInUse() - heap, { interval: 1000, timeout: 30_000 }).toBeLessThan(5_000_000);
}
