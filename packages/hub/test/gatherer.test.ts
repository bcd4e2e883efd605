import { describe, expect, test } from "vitest";
import { BackplaneError, type Position, type PublishOptions } from "../src/index.ts";
import { Gatherer, type Gathered } from "../src/store/index.ts";

interface Call {
  readonly channel: string;
  readonly batch: string[];
  readonly within: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const retention = { size: 10, ttl: 1000, bytes: 0 };

class World {
  now = 1000;
  readonly calls: Call[] = [];
  readonly settled: string[] = [];
  readonly #soon: (() => void)[] = [];
  readonly gatherer = new Gatherer({
    send: (channel, batch: readonly Gathered[], within) =>
      new Promise<Position[]>((resolve, reject) => {
        const texts = batch.map(({ data }) => new TextDecoder().decode(data));
        const positions = texts.map((epoch, i) => ({ epoch, offset: i + 1 }));
        this.calls.push({ channel, batch: texts, within, resolve: () => resolve(positions), reject });
      }),
    most: { publications: 4, bytes: 100 },
    mostBytes: 1000,
    deadline: 5000,
    now: () => this.now,
    soon: (run) => void this.#soon.push(run),
  });

  publish(channel: string, text: string, options: PublishOptions = { retention }): void {
    this.gatherer.publish(channel, new TextEncoder().encode(text), options).then(
      (position) => this.settled.push(`${text} ${position?.offset}`),
      (error: BackplaneError) => this.settled.push(`${text} ${error.code}`),
    );
  }

  /** Everything that can happen without an answer happens. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    for (const run of this.#soon.splice(0)) run();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("what is published to a channel", () => {
  test("together goes together, and what comes meanwhile in the next call, whatever becomes of the first", async () => {
    const world = new World();
    for (const text of ["a", "b"]) world.publish("x", text);
    world.publish("y", "other");
    await world.settle();
    for (const text of ["c", "d"]) world.publish("x", text);
    await world.settle();
    expect(world.calls.map(({ channel, batch }) => [channel, batch])).toEqual([
      ["x", ["a", "b"]],
      ["y", ["other"]],
    ]);
    world.calls[0]?.reject(new BackplaneError("unknown", "gone"));
    world.calls[1]?.resolve();
    await world.settle();
    expect(world.calls[2]?.batch).toEqual(["c", "d"]);
    world.calls[2]?.resolve();
    await world.settle();
    expect(world.settled).toEqual(["a unknown", "b unknown", "other 1", "c 1", "d 2"]);
  });

  test("a failure ends the lines in the batch before anybody hears of it; other lines go on", async () => {
    const world = new World();
    const [failing, fine] = [{ failed: false }, { failed: false }];
    world.publish("x", "a", { retention, line: failing });
    await world.settle();
    world.publish("x", "b", { retention, line: failing });
    world.publish("x", "c", { retention, line: fine });
    world.calls[0]?.reject(new BackplaneError("notStored", "refused"));
    await world.settle();
    expect([failing.failed, fine.failed, world.calls[1]?.batch]).toEqual([true, false, ["c"]]);
    expect(world.settled).toEqual(["a notStored", "b notStored"]);
  });

  test("what keeps no history is gathered, too, apart from what does", async () => {
    const world = new World();
    for (const text of ["a", "b"]) world.publish("x", text, {});
    world.publish("x", "c");
    world.publish("x", "d", {});
    for (let i = 0; i < 3; i++) {
      await world.settle();
      world.calls[i]?.resolve();
    }
    expect(world.calls.map(({ batch }) => batch)).toEqual([["a", "b"], ["c"], ["d"]]);
  });

  test("a batch ends before a repeated key, another retention, and beyond its bounds", async () => {
    const world = new World();
    world.publish("x", "a", { retention, key: "k" });
    world.publish("x", "b", { retention, key: "k" });
    world.publish("x", "c", { retention: { ...retention, size: 11 } });
    world.publish("x", "d".repeat(60), { retention: { ...retention, size: 11 } });
    world.publish("x", "e".repeat(60), { retention: { ...retention, size: 11 } });
    for (const text of ["f", "g", "h", "i", "j"]) world.publish("x", text);
    for (let i = 0; i < 8; i++) {
      await world.settle();
      world.calls[i]?.resolve();
    }
    await world.settle();
    expect(world.calls.map(({ batch }) => batch.map((text) => text[0]).join(""))).toEqual([
      "a",
      "b",
      "cd",
      "e",
      "fghi",
      "j",
    ]);
  });

  test("waiting counts: a call has the time that is left, and what has none left, or less than a tenth, is not sent", async () => {
    const world = new World();
    world.publish("x", "a");
    await world.settle();
    world.now += 1000;
    world.publish("x", "b");
    world.now += 700;
    world.publish("x", "nearly");
    world.now += 1300;
    world.publish("x", "c");
    world.now += 3500;
    world.calls[0]?.reject(new BackplaneError("unknown", "too late"));
    await world.settle();
    expect(world.settled).toEqual(["a unknown", "b notStored", "nearly notStored"]);
    expect(world.calls.map(({ batch, within }) => [batch, within])).toEqual([
      [["a"], 5000],
      [["c"], 1500],
    ]);
  });

  test("beyond the bytes that may wait it is refused at once, until some are settled", async () => {
    const world = new World();
    const line = { failed: false };
    world.publish("x", "a".repeat(600));
    world.publish("x", "b".repeat(600), { retention, line });
    await world.settle();
    expect([world.settled.length, line.failed]).toEqual([1, true]);
    world.calls[0]?.resolve();
    await world.settle();
    world.publish("x", "c".repeat(600));
    await world.settle();
    expect(world.calls).toHaveLength(2);
  });
});
