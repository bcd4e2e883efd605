/**
 * Items that expire a fixed time after they were added. One timer serves them all, since they expire in the order
 * in which they came. The timer does not keep the process alive.
 */
export class Deadlines<Item> {
  readonly #after: number;
  readonly #expire: (item: Item) => void;
  readonly #due: Map<Item, number> = new Map();
  #timer: NodeJS.Timeout | undefined;

  /** @param after milliseconds; 0: items never expire and are not kept. */
  constructor(after: number, expire: (item: Item) => void) {
    this.#after = after;
    this.#expire = expire;
  }

  /** Adds an item, or starts its time anew. */
  add(item: Item): void {
    if (this.#after === 0) return;
    this.#due.delete(item);
    this.#due.set(item, performance.now() + this.#after);
    if (this.#timer === undefined) this.#wait(this.#after);
  }

  has(item: Item): boolean {
    return this.#due.has(item);
  }

  delete(item: Item): void {
    this.#due.delete(item);
  }

  #wait(time: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const now = performance.now();
      for (const [item, due] of this.#due) {
        if (due > now) {
          if (this.#timer === undefined) this.#wait(Math.ceil(due - now));
          return;
        }
        this.#due.delete(item);
        this.#expire(item);
      }
    }, time).unref();
  }
}
