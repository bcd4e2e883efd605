/**
 * Chunks in the order in which one socket has them waiting; never changed. Adding the same chunk to the same run gives
 * the same run again, so the sockets of a broadcast share theirs: it takes nothing of its own per socket, and is joined
 * once for all of them.
 */
export class Run {
  readonly #before: Run | undefined;
  readonly chunk: Buffer;
  /** Bytes. */
  readonly size: number;
  /** The run that was made last by adding a chunk to this one. */
  #next: Run | undefined;
  /** All chunks in one, once they have been joined. */
  whole: Buffer | undefined;

  constructor(before: Run | undefined, chunk: Buffer) {
    this.#before = before;
    this.chunk = chunk;
    this.size = before === undefined ? chunk.length : before.size + chunk.length;
    if (before === undefined) this.whole = chunk;
  }

  /** This run with one chunk more. */
  and(chunk: Buffer): Run {
    if (this.#next?.chunk !== chunk) this.#next = new Run(this, chunk);
    return this.#next;
  }

  /** All chunks in their order. */
  get chunks(): Buffer[] {
    const chunks = [this.chunk];
    for (let run = this.#before; run !== undefined; run = run.#before) chunks.push(run.chunk);
    return chunks.toReversed();
  }
}
