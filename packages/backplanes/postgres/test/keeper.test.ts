import { setImmediate as turn } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { Keeper } from "../src/keeper.ts";
import { readSettings } from "../src/options.ts";
import type { Session } from "../src/session.ts";

/** A keeper, and a server that answers as told when channels are to be trimmed. */
function keeping(trim: (most: number, channels: readonly string[]) => number): Keeper {
  const query = async (sql: string, [most, channels]: readonly unknown[]): Promise<string[][]> => {
    await turn();
    return sql.includes("trim") && channels !== undefined ? [[`${trim(most as number, channels as string[])}`]] : [];
  };
  const session = { live: true, questions: { query } } as unknown as Session;
  const keeper = new Keeper(
    readSettings("postgres://localhost/app", {}),
    () => session,
    async () => undefined,
    () => undefined,
  );
  onTestFinished(() => keeper.close());
  return keeper;
}

test("a channel of which nothing could be deleted is looked at again", async () => {
  const asked: (readonly string[])[] = [];
  const keeper = keeping((_most, channels) => {
    if (asked.push(channels) === 1) throw new Error("deadlock detected");
    return 0;
  });
  keeper.grown("c");
  keeper.start();
  await expect.poll(() => asked, { timeout: 5000 }).toEqual([["c"], ["c"]]);
});

test("a little is deleted at a time, and more when it has no end", async () => {
  let [first, most] = [0, 0];
  const keeper = keeping((rows) => {
    first ||= rows;
    most = rows;
    return rows;
  });
  keeper.grown("c");
  keeper.start();
  await expect.poll(() => most > first, { timeout: 10_000 }).toBe(true);
});
