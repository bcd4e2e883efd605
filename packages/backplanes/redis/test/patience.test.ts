import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { within } from "../src/patience.ts";

function standStill(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
const late = (): Error => new Error("late");

test("a wait ends, and not before its time", async () => {
  const begin = performance.now();
  await expect(within(new Promise(() => {}), 50, late)).rejects.toThrow("late");
  expect(performance.now() - begin).toBeGreaterThanOrEqual(49);
  await expect(within(Promise.resolve(1), 50, late)).resolves.toBe(1);
});

test("what came while the process stood still is not late", async () => {
  // Reading takes some turns of the event loop, and threads that a loaded machine has to wait for.
  const answer = within(readFile(fileURLToPath(import.meta.url), "utf8"), 2000, late);
  standStill(2500);
  await expect(answer).resolves.toContain("stood still");
});
