import { array, assert, integer, oneof, property, record, constant } from "fast-check";
import { expect, test } from "vitest";
import { MemoryLog } from "../src/memory-log.ts";

const action = oneof(
  record({ what: constant("append" as const), count: integer({ min: 1, max: 9 }) }),
  record({ what: constant("rollBack" as const), count: integer({ min: 0, max: 12 }) }),
  record({ what: constant("wait" as const), count: integer({ min: 1, max: 60 }) }),
);

test("a log holds what a plain list would: the newest by count and age, also after a rollback", () => {
  assert(
    property(array(action, { maxLength: 40 }), integer({ min: 1, max: 20 }), (actions, size) => {
      const ttl = 100;
      let now = 1000;
      let epoch = 0;
      let head = 0;
      let list: { epoch: string; offset: number; time: number }[] = [];
      const log = new MemoryLog("0", now);
      for (const { what, count } of actions) {
        if (what === "append") {
          for (let i = 0; i < count; i++) {
            const { position } = log.append(new Uint8Array(3), { size, ttl, bytes: 0 }, undefined, now);
            list.push({ epoch: `${epoch}`, offset: ++head, time: now });
            expect(position).toEqual({ epoch: `${epoch}`, offset: head });
          }
        } else if (what === "rollBack") {
          const to = Math.max(0, head - count);
          log.rollBack(to, `${++epoch}`);
          head = to;
          list = list.filter(({ offset }) => offset <= to);
        } else now += count;
        list = list.slice(-size).filter(({ time }) => time > now - ttl);
        const { items } = log.page({ limit: 1000 }, now);
        expect(items.map(({ offset }) => offset)).toEqual(list.map(({ offset }) => offset));
        expect(items.map((item) => item.epoch)).toEqual(list.map((item) => item.epoch));
        const last = list.at(-1);
        if (last === undefined) continue;
        expect(log.page({ before: last, limit: 3 }, now).items.map(({ offset }) => offset)).toEqual(
          list
            .slice(0, -1)
            .map(({ offset }) => offset)
            .slice(-3),
        );
        const [first = last] = list;
        expect(log.page({ after: first, limit: 4 }, now).items.map(({ offset }) => offset)).toEqual(
          list.slice(1, 5).map(({ offset }) => offset),
        );
      }
    }),
    { numRuns: 200 },
  );
});
