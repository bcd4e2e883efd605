import { array, assert, integer, property } from "fast-check";
import { describe, expect, test } from "vitest";
import type { HistoryPage, Item, Position } from "../src/index.ts";
import { Sequencer, type GapsShow } from "../src/sequencer.ts";

const item = (offset: number, epoch = "e"): Item => ({ epoch, offset, data: new Uint8Array(0) });

function recorder(head: Position, gapsShow: GapsShow = "byOffset"): { sequencer: Sequencer; events: string[] } {
  const events: string[] = [];
  const sequencer = new Sequencer(head, gapsShow, {
    deliver: ({ offset }) => events.push(String(offset)),
    moved: ({ epoch, offset }) => events.push(`moved ${epoch} ${offset}`),
    lost: ({ epoch, offset }, reason) => events.push(`lost ${reason} ${epoch} ${offset}`),
  });
  return { sequencer, events };
}
const page = (items: Item[], head: Position): HistoryPage => ({ items, head, complete: true });

describe("the sequencer", () => {
  test("orders, drops doubles, and asks for what is missing", () => {
    const { sequencer, events } = recorder({ epoch: "e", offset: 0 });
    sequencer.arrived(item(1));
    sequencer.arrived(item(1));
    expect(sequencer.behind).toBe(false);
    sequencer.arrived(item(4));
    sequencer.arrived(item(3));
    expect(sequencer.behind).toBe(true);
    const after = sequencer.ask();
    expect(after).toEqual({ epoch: "e", offset: 1 });
    expect(sequencer.filled(page([item(2)], { epoch: "e", offset: 4 }), after)).toBe(false);
    expect(events).toEqual(["1", "2", "3", "4"]);
    expect([sequencer.behind, sequencer.duplicates]).toEqual([false, 1]);
  });

  test("offsets with holes: a publication that follows one not seen is read from the store, and so is what came between", () => {
    const { sequencer, events } = recorder({ epoch: "e", offset: 3 }, "byPrevious");
    sequencer.arrived({ ...item(10), previous: 3 });
    sequencer.arrived({ ...item(30), previous: 20 });
    expect(sequencer.behind).toBe(true);
    const after = sequencer.ask();
    expect(after.offset).toBe(10);
    expect(sequencer.filled(page([item(20), item(30)], { epoch: "e", offset: 30 }), after)).toBe(false);
    sequencer.arrived({ ...item(31), previous: 30 });
    expect(events).toEqual(["10", "20", "30", "31"]);
  });

  test("a gap that the relay closes by itself needs no answer", () => {
    const { sequencer, events } = recorder({ epoch: "e", offset: 0 });
    sequencer.arrived(item(2));
    const after = sequencer.ask();
    sequencer.arrived(item(1));
    expect(sequencer.filled(page([item(1), item(2)], { epoch: "e", offset: 2 }), after)).toBe(false);
    expect(events).toEqual(["1", "2"]);
  });

  test("what arrives of another epoch while the store is asked is asked for again", () => {
    const { sequencer, events } = recorder({ epoch: "e", offset: 1 });
    sequencer.doubt();
    const after = sequencer.ask();
    sequencer.arrived(item(2, "f"));
    expect(sequencer.filled(page([], { epoch: "e", offset: 1 }), after)).toBe(true);
    const again = sequencer.ask();
    sequencer.filled(page([item(2, "f")], { epoch: "f", offset: 2 }), again);
    expect(events).toEqual(["moved f 1", "2"]);
    expect(sequencer.behind).toBe(false);
  });

  test("loss restarts at the head, unless the question was too old", () => {
    const { sequencer, events } = recorder({ epoch: "e", offset: 1 });
    sequencer.doubt();
    const after = sequencer.ask();
    sequencer.arrived(item(2));
    const lost: HistoryPage = { items: [], head: { epoch: "e", offset: 2 }, complete: false, reason: "retention" };
    expect(sequencer.filled(lost, after)).toBe(true);
    expect(events).toEqual(["2"]);
    const head = { epoch: "f", offset: 1 };
    expect(sequencer.filled({ items: [], head, complete: false, reason: "rollback" }, sequencer.ask())).toBe(false);
    expect(events.at(-1)).toBe("lost rollback f 1");
    expect(sequencer.cursor).toEqual(head);
  });

  test("heads: ahead, behind what was asked, or of another epoch mean doubt; what arrived meanwhile does not", () => {
    const { sequencer } = recorder({ epoch: "e", offset: 5 });
    const asked = sequencer.cursor;
    sequencer.checked({ epoch: "e", offset: 5 }, asked);
    expect(sequencer.behind).toBe(false);
    sequencer.arrived(item(6));
    sequencer.checked({ epoch: "e", offset: 5 }, asked);
    sequencer.checked({ epoch: "e", offset: 6 }, asked);
    expect(sequencer.behind).toBe(false);
    for (const head of [
      { epoch: "e", offset: 4 },
      { epoch: "e", offset: 7 },
      { epoch: "f", offset: 6 },
    ]) {
      const fresh = recorder({ epoch: "e", offset: 6 }).sequencer;
      fresh.checked(head, { epoch: "e", offset: 5 });
      expect(fresh.behind).toBe(true);
    }
  });

  test("without contiguous offsets a hole is none", () => {
    const { sequencer, events } = recorder({ epoch: "e", offset: 3 }, "never");
    for (const offset of [7, 5, 9]) sequencer.arrived(item(offset));
    expect(events).toEqual(["7", "9"]);
    expect(sequencer.behind).toBe(false);
  });

  test("any order, any loss, any doubles: all in order, each once", () => {
    const deliveries = array(integer({ min: 1, max: 60 }), { maxLength: 200 });
    assert(
      property(deliveries, integer({ min: 1, max: 20 }), (offsets, pageSize) => {
        const { sequencer, events } = recorder({ epoch: "e", offset: 0 });
        const store = Array.from({ length: 60 }, (_, i) => item(i + 1));
        const read = (): void => {
          for (let more = true; more;) {
            const after = sequencer.ask();
            const head = { epoch: "e", offset: 60 };
            more = sequencer.filled(page(store.slice(after.offset, after.offset + pageSize), head), after);
          }
        };
        for (const [i, offset] of offsets.entries()) {
          sequencer.arrived(item(offset));
          if (sequencer.behind && i % 3 === 0) read();
        }
        sequencer.checked({ epoch: "e", offset: 60 }, sequencer.cursor);
        if (sequencer.behind) read();
        expect(events).toEqual(store.map(({ offset }) => String(offset)));
      }),
      { numRuns: 300 },
    );
  });
});
