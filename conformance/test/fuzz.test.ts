import { expect, test } from "vitest";

import { one } from "../fuzz/one.ts";

/** A look that any change gets; `npm run fuzz` goes on with seeds of its own, and over sockets. */
const cases = process.env["ZURUF_TEST_FULL"] === undefined ? 2_000 : 50_000;

test(`${cases} random and mutated inputs find nothing`, { timeout: 300_000 }, () => {
  const found: string[] = [];
  for (let number = 0; number < cases; number++) {
    const finding = one(1, number);
    if (finding !== undefined) found.push(`npm run fuzz -- --seed 1 --case ${number}: ${finding}`);
  }
  expect(found).toEqual([]);
});
