import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Deadlines } from "../src/store/index.ts";

function standStill(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe("a deadline", () => {
  test("rejects what takes too long, and is over when it says so", async () => {
    const deadlines = new Deadlines(50);
    const begin = performance.now();
    await expect(deadlines.limit(new Promise(() => {}), () => new Error("late"))).rejects.toThrow("late");
    expect(performance.now() - begin).toBeGreaterThanOrEqual(49);
    await expect(deadlines.limit(Promise.resolve(1), () => new Error("late"))).resolves.toBe(1);
    deadlines.close();
  });

  test("does not reject what came while the process itself stood still, and was not read yet", async () => {
    const deadlines = new Deadlines(50);
    const answer = deadlines.limit(readFile(fileURLToPath(import.meta.url), "utf8"), () => new Error("late"));
    const never = deadlines.limit(new Promise(() => {}), () => new Error("late"));
    standStill(300);
    await expect(answer).resolves.toContain("stood still");
    await expect(never).rejects.toThrow("late");
    deadlines.close();
  });

  test("what is deleted in time does not expire, the others do", async () => {
    const deadlines = new Deadlines(50);
    const expired: string[] = [];
    const expiring = (name: string): { expire: () => void } => ({ expire: () => expired.push(name) });
    const [settled, late] = [expiring("settled"), expiring("late")];
    deadlines.add(settled);
    deadlines.add(late);
    deadlines.delete(settled);
    await expect.poll(() => expired).toEqual(["late"]);
    deadlines.close();
  });
});
