import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Canary } from "../src/store/canary.ts";

describe("a canary", () => {
  let now = 0;
  beforeEach(() => {
    now = 0;
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    vi.spyOn(performance, "now").mockImplementation(() => now);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  /** The next second, in which the process may have stood still for a while. */
  const second = (stoodStill = 0): void => {
    now += 1000 + stoodStill;
    vi.advanceTimersByTime(1000);
  };
  function release(): { canary: Canary; marks: string[]; silent: number[] } {
    const marks: string[] = [];
    const silent: number[] = [];
    const canary = new Canary(
      (mark) => Promise.resolve(marks.push(mark)),
      (_reason, silentFor) => silent.push(silentFor),
    );
    canary.start();
    return { canary, marks, silent };
  }

  test("that does not come back is missed after three seconds, once", () => {
    const { canary, marks, silent } = release();
    canary.heard(marks.at(-1) ?? "");
    for (let i = 0; i < 10; i++) second();
    expect(silent).toEqual([3000]);
    expect(marks).toHaveLength(4);
  });

  test("is missed in time, and for as long as it was silent, also where the process is late with everything", () => {
    const { canary, marks, silent } = release();
    canary.heard(marks.at(-1) ?? "");
    for (let i = 0; i < 10 && silent.length === 0; i++) second(900);
    expect(silent).toEqual([3800]);
  });

  test("that waits to be read while the process stands still is not missed", () => {
    const { canary, marks, silent } = release();
    for (let i = 0; i < 5; i++) {
      second(10_000);
      canary.heard(marks.at(-2) ?? "");
    }
    expect(silent).toEqual([]);
    canary.stop();
  });

  test("may take longer than a second, as long as the ones before come back", () => {
    const { canary, marks, silent } = release();
    for (let i = 0; i < 10; i++) {
      second();
      canary.heard(marks.at(-3) ?? "");
    }
    expect(silent).toEqual([]);
    canary.stop();
  });
});
