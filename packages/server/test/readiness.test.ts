import { describe, expect, test } from "vitest";
import { readiness, serving, type InstanceHealth, type InstanceState } from "../src/readiness.ts";

const all = (...states: InstanceState[]): InstanceHealth[] =>
  states.map((state, at) => ({ name: `i${at}`, state, connections: 0, backplane: "up", uptime: 0, restarts: 0 }));

describe("readiness", () => {
  test.each([
    [["ready"], false, 200, "ready"],
    [["ready", "ready", "ready"], false, 200, "ready"],
    [["ready", "restarting", "starting"], false, 200, "ready"], // those take no connections meanwhile
    [["starting"], false, 503, "starting"],
    [["restarting", "restarting"], false, 503, "starting"],
    [[], false, 503, "starting"],
    [["ready", "degraded"], false, 503, "degraded"],
    [["ready", "degraded"], true, 200, "degraded"],
    [["ready", "unresponsive"], true, 503, "unresponsive"],
    [["draining", "degraded"], true, 503, "draining"],
  ] as [InstanceState[], boolean, number, string][])(
    "of %j (degraded allowed: %s) is %s %s",
    (states, allowed, status, state) => {
      expect(readiness(all(...states), allowed)).toEqual({ status, state });
    },
  );
});

test("a broker may be away for 5 s", () => {
  expect(serving({ backplane: "down", since: 1000 }, 5999)).toBe("ready");
  expect(serving({ backplane: "down", since: 1000 }, 6000)).toBe("degraded");
  expect(serving({ backplane: "up", since: 1000 }, 60_000)).toBe("ready");
});
