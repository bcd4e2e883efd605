/** Per period; enough that thousands of items cause no burst. */
const MOST_SLICES = 16;
/** Milliseconds from one slice to the next at least: timers that are much finer come late on a busy machine. */
const SHORTEST_SLICE = 20;

/**
 * Visits each item of a set once per period, a slice at a time, without keeping anything per item. Its timer runs
 * while there are items, and does not keep the process alive.
 */
export class Rounds<Item> {
  readonly #items: ReadonlySet<Item>;
  readonly #period: number;
  readonly #slices: number;
  readonly #visit: (item: Item) => void;
  #timer: NodeJS.Timeout | undefined;
  /** Those still to come in this period. Dropped with the last item: it would keep those that are gone alive. */
  #rest: Iterator<Item> | undefined;
  /** Items there were when this period began; slices that are done, and items visited in them. */
  #total = 0;
  #slice = 0;
  #visited = 0;

  /** @param period milliseconds; 0: never. */
  constructor(items: ReadonlySet<Item>, period: number, visit: (item: Item) => void) {
    this.#items = items;
    this.#period = period;
    this.#slices = Math.max(1, Math.min(MOST_SLICES, Math.floor(period / SHORTEST_SLICE)));
    this.#visit = visit;
  }

  /** To be called whenever an item was added. */
  start(): void {
    if (this.#timer !== undefined || this.#period === 0) return;
    this.#timer = setInterval(() => this.#visitSome(), Math.max(1, this.#period / this.#slices)).unref();
  }

  #visitSome(): void {
    if (this.#items.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#rest = undefined;
      this.#slice = 0;
      return;
    }
    if (this.#slice === 0 || this.#rest === undefined) {
      this.#rest = this.#items.values();
      this.#total = this.#items.size;
      this.#visited = 0;
    }
    this.#slice++;
    const due = Math.ceil((this.#total * this.#slice) / this.#slices);
    while (this.#visited < due) {
      // A set's iterator goes on after changes: it skips what was deleted and comes to what was added.
      const next = this.#rest.next();
      if (next.done === true) break;
      this.#visited++;
      this.#visit(next.value);
    }
    if (this.#slice === this.#slices) this.#slice = 0;
  }
}
