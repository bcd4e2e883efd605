import { describe, expect, test } from "vitest";
import { Checker, type Note, type Stored, type Watch } from "./checker.ts";

/** A checker that finds nothing proves nothing: each promise is broken here once. */
const channel = "room:a";
const note = (turn: number): Note => ({ id: `p-${turn}`, publisher: "p", turn });
const at = (offset: number): { epoch: string; offset: number } => ({ epoch: "e", offset });
const log = (...turns: number[]): Stored[] => turns.map((turn, i) => ({ offset: i + 1, note: note(turn) }));

function run(
  act: (watch: Watch, checker: Checker) => void,
  stored: readonly Stored[],
  mayForget = false,
): { faults: string[]; counts: Checker["counts"] } {
  const checker = new Checker();
  const watch = checker.watch("s", channel);
  watch.subscribed(false, at(0), undefined);
  act(watch, checker);
  checker.finish(new Map([[channel, stored]]), mayForget);
  return checker;
}
const deliver = (watch: Watch, ...turns: number[]): void => {
  for (const turn of turns) watch.publication(turn, note(turn));
};

describe("the checker", () => {
  test("is content with what is as it should be", () => {
    const { faults, counts } = run(
      (watch, checker) => {
        checker.sent();
        deliver(watch, 1, 2);
        watch.subscribed(true, at(2), undefined);
        deliver(watch, 3);
        checker.acked(note(3), channel, at(3));
      },
      log(1, 2, 3),
    );
    expect(faults).toEqual([]);
    expect(counts).toEqual({ sent: 1, acked: 1, delivered: 3, lost: 0, doubled: 0, forgotten: 0, told: 0 });
  });

  test.each<[string, (watch: Watch, checker: Checker) => void, Stored[], RegExp]>([
    ["a silent gap", (watch) => deliver(watch, 1, 3), log(1, 2, 3), /silent gap from 1 to 3/],
    ["a lost last publication", (watch) => deliver(watch, 1), log(1, 2), /1 publications never arrived/],
    ["a double", (watch) => deliver(watch, 1, 1), log(1), /p-1 delivered twice/],
    ["wrong order", (watch) => deliver(watch, 1, 2, 3, 2.5), log(1, 2, 3), /offset 2.5 after 3/],
    ["a phantom", (watch) => deliver(watch, 1, 2), log(1), /where the store has nothing/],
    ["a recovery from elsewhere", (watch) => watch.subscribed(true, at(3), undefined), [], /recovered from 3/],
    ["an ack of nothing", (_, checker) => checker.acked(note(1), channel, at(1)), [], /was acked at 1/],
    [
      "notStored, and stored",
      (watch, checker) => {
        deliver(watch, 1);
        checker.refused(note(1), "notStored");
      },
      log(1),
      /said to be not stored/,
    ],
    ["a refusal that says nothing", (_, checker) => checker.refused(note(1), "timeout"), [], /neither notStored nor/],
    ["stored twice", (watch) => watch.publication(1, note(1)), log(1, 1), /is stored twice/],
    [
      "turns out of order",
      (watch) => {
        watch.publication(1, note(2));
        watch.publication(2, note(1));
      },
      log(2, 1),
      /turn 1 stored after 2/,
    ],
  ])("finds %s", (_, act, stored, expected) => {
    expect(run(act, stored).faults.join("\n")).toMatch(expected);
  });

  test("finds a false alarm, and takes a true one", () => {
    const told = (watch: Watch): void => {
      deliver(watch, 1, 2);
      watch.subscribed(false, at(1), "rollback");
    };
    expect(run(told, log(1, 2), true).faults.join()).toMatch(/recovered false \(rollback\) at 2, but the store lost/);
    expect(run(told, log(1), false).faults.join()).toMatch(/but the store lost nothing/);
    const { faults, counts } = run(told, log(1), true);
    expect(faults).toEqual([]);
    expect(counts).toMatchObject({ told: 1, lost: 0 });
  });

  test("counts what a broker may forget", () => {
    const forget = (_: Watch, checker: Checker): void => checker.acked(note(1), channel, at(1));
    expect(run(forget, [], true)).toMatchObject({ faults: [], counts: { forgotten: 1 } });
  });
});
