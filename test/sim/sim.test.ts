import { expect, test } from "vitest";
import type { Mutation } from "./mutation.ts";
import { run } from "./scenario.ts";

/** A few hundred worlds of trouble; `npm run sim -- --seed N --runs 1` replays the one that fails. */
const SEEDS = process.env["ZURUF_TEST_FULL"] === "1" ? 3_000 : 200;

test(`the promises hold in ${SEEDS} seeded worlds`, async () => {
  const failed: string[] = [];
  let delivered = 0;
  let restarts = 0;
  let vacated = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await run(seed);
    delivered += outcome.delivered;
    restarts += outcome.restarts;
    vacated += outcome.vacated;
    for (const fault of outcome.faults) failed.push(`seed ${seed}: ${fault}`);
  }
  expect(failed).toEqual([]);
  // The worlds were troubled, and something went through them.
  expect(delivered).toBeGreaterThan(SEEDS * 100);
  expect(restarts).toBeGreaterThan(SEEDS);
  expect(vacated).toBeGreaterThan(SEEDS / 4);
}, 600_000);

/** Seeds in which each fault must be found, a few times as many as it took. */
const mutations: Readonly<Record<Mutation, number>> = {
  "gap repair": 10,
  idempotency: 10,
  lines: 40,
  "head check": 20,
  digest: 30,
  lease: 60,
};

test.each(Object.entries(mutations) as [Mutation, number][])(
  "without %s the checker finds a fault",
  async (mutation, seeds) => {
    const faults: string[] = [];
    for (let seed = 1; seed <= seeds && faults.length === 0; seed++) faults.push(...(await run(seed, mutation)).faults);
    expect(faults.length).toBeGreaterThan(0);
  },
  120_000,
);
