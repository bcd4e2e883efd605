import { describe, expect, test } from "vitest";
import { programs } from "../services/programs.ts";
import { brokerKinds, type BrokerName } from "./brokers.ts";
import { runCell } from "./cell.ts";
import type { FaultName } from "./faults.ts";

/** The short faults; `npm run test:faults` has all of them on all backplanes. They mostly wait, so they run side by side. */
const cells: readonly (readonly [BrokerName, FaultName])[] = [
  ["redis-aof", "kill"],
  ["redis-snapshots", "kill"],
  ["redis-aof", "stop"],
  ["redis-aof", "instance-kill"],
  ["redis-aof", "rolling"],
  ["postgres", "kill"],
];

describe.concurrent("real processes under load", () => {
  for (const [backplane, fault] of cells) {
    const missing = programs[brokerKinds[backplane].program].find() === undefined;
    // Longer than a run's own limits, so that it says what was not kept; healing within 10 s is one of the promises.
    test.skipIf(missing)(`${backplane}, ${fault}: every promise is kept`, { timeout: 180_000 }, async () => {
      const { broken, counts } = await runCell(backplane, fault);
      expect(broken).toEqual([]);
      expect(counts.delivered).toBeGreaterThan(counts.acked);
      expect(counts.told > 0).toBe(backplane === "redis-snapshots");
    });
  }
});
