/** Questions to another process, which may never answer. */
export class Questions<Answer> {
  readonly #open = new Map<number, (answer: Answer | undefined) => void>();
  #last = 0;

  /** @returns the answer, or undefined when there is none within `within` milliseconds. */
  ask(send: (id: number) => void, within: number): Promise<Answer | undefined> {
    const id = ++this.#last;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(id, undefined), within);
      this.#open.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      send(id);
    });
  }

  answered(id: number, answer: Answer): void {
    this.#settle(id, answer);
  }

  #settle(id: number, answer: Answer | undefined): void {
    const resolve = this.#open.get(id);
    this.#open.delete(id);
    resolve?.(answer);
  }
}

/** Many may ask at the same time: one answer serves them all. */
export function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () =>
    (running ??= ask().finally(() => {
      running = undefined;
    }));
}
