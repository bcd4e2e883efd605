import { describe, expect, test } from "vitest";
import type { Entry } from "../src/entry.ts";
import { withEntries, withNewestPage } from "../src/page/entry-list.ts";

const entries = (...ids: number[]): Entry[] => ids.map((id) => ({ id, name: "n", message: "m", time: id }));
const ids = (list: readonly Entry[]): number[] => list.map(({ id }) => id);

describe("entries", () => {
  test("are newest first and each once, in whatever order they come", () => {
    expect(ids(withEntries(entries(5, 3), entries(4, 5, 6, 6)))).toEqual([6, 5, 4, 3]);
  });
  test("nothing new leaves the same list, so that nothing is drawn again", () => {
    const list = entries(2, 1);
    expect(withEntries(list, entries(1))).toBe(list);
  });
});

describe("a newly read first page", () => {
  test("joins what is known where they overlap or nothing older exists", () => {
    expect(withNewestPage(entries(5, 4), { entries: entries(7, 6, 5), older: true })).toMatchObject({ joined: true });
    const all = withNewestPage(entries(2), { entries: entries(4, 3), older: false });
    expect([ids(all.list), all.joined]).toEqual([[4, 3, 2], true]);
  });
  test("replaces what is known where unknown entries may lie between", () => {
    const { list, joined } = withNewestPage(entries(5, 4), { entries: entries(9, 8, 7), older: true });
    expect([ids(list), joined]).toEqual([[9, 8, 7], false]);
  });
  test("is the list where nothing is known yet", () => {
    expect(withNewestPage([], { entries: [], older: false })).toEqual({ list: [], joined: false });
  });
});
