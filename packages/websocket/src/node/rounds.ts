/** Per period; enough that thousands of items cause no burst. */
const SLICES = 16;

/**
 * Visits each item of a set once per period, a slice at a time, without keeping anything per item. Its timer runs
 * while there are items, and does not keep the process alive.
 */
export class Rounds<Item> {
  readonly #items: ReadonlySet<Item>;
  readonly #period: number;
  readonly #visit: (item: Item) => void;
  #timer: NodeJS.Timeout | undefined;
  #rest: Iterator<Item> | undefined;

  /** @param period milliseconds; 0: never. */
  constructor(items: ReadonlySet<Item>, period: number, visit: (item: Item) => void) {
    this.#items = items;
    this.#period = period;
    this.#visit = visit;
  }

  /** To be called whenever an item was added. */
  start(): void {
    if (this.#timer !== undefined || this.#period === 0) return;
    this.#timer = setInterval(() => this.#visitSome(), Math.max(1, this.#period / SLICES)).unref();
  }

  #visitSome(): void {
    if (this.#items.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#rest = undefined;
      return;
    }
    for (let left = Math.ceil(this.#items.size / SLICES); left > 0; left--) {
      // A set's iterator goes on after changes: it skips what was deleted and comes to what was added.
      this.#rest ??= this.#items.values();
      const next = this.#rest.next();
      if (next.done === true) {
        this.#rest = undefined;
        return;
      }
      this.#visit(next.value);
    }
  }
}
