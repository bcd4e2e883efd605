import { expect, test } from "vitest";
import { type Change, firstFault } from "./mutant.ts";

/** What a publication passes that came before: each of these drops it. */
const drops = {
  /** What the relay repeats. */
  sequencer: { file: "hub/sequencer", from: "this.duplicates++;", to: "this.#sink.deliver(item);" },
  /** What a recovery read ahead of the relay. */
  subscription: {
    file: "hub/subscription",
    from: "publication.offset !== 0 && publication.offset <= this.offset",
    to: "false",
  },
  /** Whatever a server might send twice. */
  client: { file: "client/channel", from: "offset <= this.#position.offset", to: "false" },
} as const satisfies Record<string, Change>;

test.each(["sequencer", "subscription"] as const)(
  "a server whose %s drops nothing is found out by a client that drops nothing",
  async (layer) => {
    expect((await firstFault([drops[layer], drops.client], 60)).join("\n")).toMatch(/offset \d+ after \d+/);
  },
  120_000,
);

test("a client that drops nothing is sent nothing twice, and one that drops what is sent twice hides it", async () => {
  expect(await firstFault([drops.client], 25)).toEqual([]);
  expect(await firstFault([drops.sequencer, drops.subscription], 10)).toEqual([]);
}, 120_000);
