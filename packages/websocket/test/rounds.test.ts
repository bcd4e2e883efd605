import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Rounds } from "../src/node/rounds.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.each([1, 2, 15, 16, 17, 1000])("each of %d items is visited once per period, in slices", (count) => {
  const items = new Set(Array.from({ length: count }, (_, i) => i));
  const visits: number[] = [];
  const rounds = new Rounds(items, 1600, (item) => void visits.push(item));
  rounds.start();
  for (let period = 1; period <= 3; period++) {
    vi.advanceTimersByTime(800);
    expect(visits.length).toBe((period - 1) * count + Math.ceil(count / 2));
    vi.advanceTimersByTime(800);
    expect(visits.length).toBe(period * count);
    expect(new Set(visits.slice(-count))).toEqual(items);
  }
});

test("items may come and go while they are visited", () => {
  const items = new Set([1, 2, 3]);
  const visits: number[] = [];
  const rounds = new Rounds(items, 1600, (item) => {
    visits.push(item);
    items.delete(item);
    if (item < 5) items.add(item + 10);
  });
  rounds.start();
  vi.advanceTimersByTime(3200);
  expect(items.size).toBe(0);
  expect(visits).toEqual([1, 2, 3, 11, 12, 13]);
  expect(vi.getTimerCount()).toBe(0); // nothing to visit: no timer
  items.add(7);
  rounds.start();
  vi.advanceTimersByTime(1600);
  expect(visits.at(-1)).toBe(7);
});
