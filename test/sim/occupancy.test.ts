import { expect, test } from "vitest";
import { type Change, firstFault } from "./mutant.ts";

const file = "hub/presence/presence";

/** A few times as many as it took. */
const seeds = 300;

test.each<[string, Omit<Change, "file">, RegExp]>([
  [
    "nobody answers for the channels of an instance that is gone",
    { from: "void this.#occupancy.vacated(name);", to: "" },
    /nobody is there, and onVacated was not called/,
  ],
  [
    "a broken line is taken for a farewell",
    { from: "const lingerFor = 5000;", to: "const lingerFor = 300;" },
    /called onVacated while client\d was there/,
  ],
])(
  "where %s, the checker finds a fault",
  async (_what, change, fault) => {
    expect((await firstFault([{ file, ...change }], seeds)).join("\n")).toMatch(fault);
  },
  120_000,
);
