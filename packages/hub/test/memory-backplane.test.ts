import { afterAll, describe, expect, test } from "vitest";
import { MemoryBroker, memoryBackplane, MemoryLog } from "../src/index.ts";
import { backplaneContract } from "../src/testing/index.ts";
import { TestClock } from "./harness.ts";

const broker = new MemoryBroker();
backplaneContract({
  name: "memory",
  create: async () => memoryBackplane(broker),
  test: { describe, test, expect, afterAll },
});

describe("the memory log", () => {
  const keep = { size: 10, ttl: 1000, bytes: 0 };
  const data = new Uint8Array(1);

  test("a rollback starts a new epoch and refuses positions that were forgotten", () => {
    const log = new MemoryLog("e1", 0);
    for (let i = 0; i < 5; i++) log.append(data, keep, undefined, 0);
    log.rollBack(3, "e2");
    expect(log.head).toEqual({ epoch: "e2", offset: 3 });
    log.append(data, keep, undefined, 0);
    const page = (epoch: string, offset: number): unknown => {
      const { complete, reason, items } = log.page({ after: { epoch, offset }, limit: 10 }, 0);
      return complete ? items.map((item) => item.offset) : reason;
    };
    expect(page("e1", 3)).toEqual([4]);
    expect(page("e1", 4)).toBe("rollback");
    expect(page("e1", 5)).toBe("rollback");
    expect(page("e2", 4)).toEqual([]);
    expect(page("e2", 2)).toEqual([3, 4]);
    expect(page("e2", 5)).toBe("rollback");
    expect(page("e3", 1)).toBe("epoch");
  });

  test("a log that nothing was written to is soon forgotten, and its position holds; one that had entries comes back as another", async () => {
    const clock = new TestClock();
    const logs = new MemoryBroker({ clock });
    const empty = logs.log("empty").head;
    const { position } = logs.log("full").append(data, keep, undefined, clock.now());
    const before = logs.log("empty");
    await clock.advance(61_000);
    logs.sweep();
    expect(logs.log("empty")).not.toBe(before);
    expect(logs.log("empty").head).toEqual(empty);
    await clock.advance(8 * 86_400_000);
    logs.sweep();
    const again = logs.log("full");
    again.append(data, keep, undefined, clock.now());
    again.append(data, keep, undefined, clock.now());
    expect(again.page({ after: position, limit: 10 }, clock.now())).toMatchObject({ complete: false, reason: "epoch" });
  });

  test("keeps its window through many publications, and its head through expiry", () => {
    const log = new MemoryLog("e", 0);
    for (let i = 1; i <= 1000; i++) {
      log.append(data, keep, undefined, i);
      const { items } = log.page({ limit: 100 }, i);
      expect(items.map((item) => item.offset)).toEqual(
        Array.from({ length: Math.min(i, 10) }, (_, n) => i - Math.min(i, 10) + 1 + n),
      );
    }
    expect(log.page({ after: { epoch: "e", offset: 999 }, limit: 1 }, 10_000)).toMatchObject({
      complete: false,
      reason: "retention",
    });
    expect(log.page({ after: { epoch: "e", offset: 1000 }, limit: 1 }, 10_000)).toMatchObject({ complete: true });
    expect(log.expire(6 * 86_400_000)).toBe(false);
    expect(log.expire(8 * 86_400_000)).toBe(true);
  });
});
