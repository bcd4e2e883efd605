/** Runs a task for all who ask while the run before it is under way: each asker gets a run that began after it asked. */
export class Shared {
  readonly #task: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(task: () => Promise<void>) {
    this.#task = task;
  }

  run(): Promise<void> {
    this.#next ??= this.#afterThis();
    return this.#next;
  }

  async #afterThis(): Promise<void> {
    // How that one ends is told to those who wait for it. Without one, what is asked for in one turn still goes together.
    await this.#running?.catch(() => undefined);
    this.#running = this.#next;
    this.#next = undefined;
    await this.#task();
  }
}
