import type { Clock } from "@zuruf/protocol";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** Virtual time: events in order of time, then of scheduling. Between two events all promises settle, so a run depends on nothing but its seed. */
export class World implements Clock {
  /** A min-heap by time, then order. */
  readonly #heap: Event[] = [];
  #now = 1_700_000_000_000;
  #order = 0;
  readonly started: number = this.#now;

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, ms: number): object {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#order++, run, cancelled: false };
    this.#push(event);
    return event;
  }

  clearTimeout(timer: unknown): void {
    if (typeof timer === "object" && timer !== null) (timer as Event).cancelled = true;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.setTimeout(resolve, ms));
  }

  /** Runs what happens in the next `ms` milliseconds. */
  async run(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.at > end) break;
      this.#pop();
      if (event.cancelled) continue;
      this.#now = event.at;
      event.run();
      await settle();
    }
    this.#now = end;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(event, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      const least = right !== undefined && before(right, left) ? right : left;
      if (least === right) child++;
      if (!before(least, last)) break;
      heap[index] = least;
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** All promises that can settle have settled once the event loop comes round. */
function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
