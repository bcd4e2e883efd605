/**
 * Hands events to their target one after the other, each in a turn of its own: what its listeners await is settled before
 * the next event comes, as in browsers, where each event is a task (HTML, § 8.1.7.3). So code like
 * `await once("message")` in a loop misses nothing, however many messages one read brings. All turns are taken
 * before the event loop goes on, and a lone event is dispatched at once.
 */
export class Turns {
  readonly #target: EventTarget;
  #waiting: (() => Event | undefined)[] = [];
  #next = 0;
  /** A turn is being taken, or its promises are being settled. */
  #taken = false;

  constructor(target: EventTarget) {
    this.#target = target;
  }

  /** Whether no event waits for its turn. */
  get none(): boolean {
    return this.#next === this.#waiting.length;
  }

  /** Dispatches what `make` makes, if anything, when it is its turn. */
  give(make: () => Event | undefined): void {
    if (this.#taken) this.#waiting.push(make);
    else this.#take(make);
  }

  #take(make: () => Event | undefined): void {
    this.#taken = true;
    queueMicrotask(this.#settle);
    const event = make();
    if (event !== undefined) this.#target.dispatchEvent(event);
  }

  // Ticks run only once no microtask is left.
  readonly #settle = (): void => process.nextTick(this.#over);

  readonly #over = (): void => {
    this.#taken = false;
    const make = this.#waiting[this.#next];
    if (make === undefined) return;
    this.#waiting[this.#next++] = undefined as never;
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
    this.#take(make);
  };
}
