import type { HistoryPage, Item, Position } from "./backplane.ts";

/** What a sequencer tells the channel to do. */
export interface SequencerSink {
  /** The next publication, in order, each once. */
  deliver(item: Item): void;
  /** What comes after `position.offset` belongs to another epoch, and nothing was lost. */
  moved(position: Position): void;
  /** What came after `cursor` cannot be had any more; it goes on at `head`. */
  lost(head: Position, reason: NonNullable<HistoryPage["reason"]>, cursor: Position): void;
}

/** How a gap shows: by a hole between offsets, by the offset before that a publication names, or not at all. */
export type GapsShow = "byOffset" | "byPrevious" | "never";

/** Publications held back while the ones before them are fetched; beyond it they are fetched as well. */
const maxHeld = 1024;

/**
 * Puts one channel's publications in order: pure state, told what arrived, asked what is missing.
 * Offsets are the truth and delivery is a hint: what a relay repeats is dropped, what it skips is asked from the store.
 */
export class Sequencer {
  readonly #gapsShow: GapsShow;
  readonly #sink: SequencerSink;
  readonly #held = new Map<number, Item>();
  #cursor: Position;
  /** Something is known to be missing, or the epoch is not the cursor's. */
  #gap = false;
  /** The gap was seen, or seen again, after the store was last asked. */
  #unasked = false;
  duplicates = 0;
  gaps = 0;

  constructor(head: Position, gapsShow: GapsShow, sink: SequencerSink) {
    this.#cursor = head;
    this.#gapsShow = gapsShow;
    this.#sink = sink;
  }

  /** Everything up to here was delivered. */
  get cursor(): Position {
    return this.#cursor;
  }

  /** The store must be read after the cursor. */
  get behind(): boolean {
    return this.#gap;
  }

  /** The position to read the store after; `filled` takes its answer. */
  ask(): Position {
    this.#unasked = false;
    return this.#cursor;
  }

  /** The store must be asked, whatever the relay says. */
  doubt(): void {
    this.#open();
  }

  /** A publication as the relay brought it. */
  arrived(item: Item): void {
    const { epoch, offset } = this.#cursor;
    if (item.epoch !== epoch) {
      // Late from an epoch before, or first of the next: only the store knows, and has it in both cases.
      this.#open();
      return;
    }
    if (item.offset <= offset) {
      this.duplicates++;
      return;
    }
    if (this.#gapsShow === "byOffset" && item.offset !== offset + 1) {
      if (this.#held.size < maxHeld) this.#held.set(item.offset, item);
      this.#open();
      return;
    }
    // Which of those held would come next is not known here, so the store brings this one as well.
    if (this.#gapsShow === "byPrevious" && item.previous !== undefined && item.previous > offset) {
      this.#open();
      return;
    }
    this.#deliver(item);
    // What closed the gap by itself needs no answer of the store, but one that was asked for may not know that yet.
    if (this.#held.size > 0) this.#drainHeld();
  }

  /** The store's head, and what the cursor was when it was asked for. */
  checked(head: Position, asked: Position): void {
    // Below the cursor as it was: a rollback, or a reader behind. The store will say.
    if (head.epoch !== this.#cursor.epoch || head.offset < asked.offset || head.offset > this.#cursor.offset)
      this.#open();
  }

  /**
   * A page of the store after `after`, which was the cursor when it was asked for.
   * Returns whether the store must be read again.
   */
  filled(page: HistoryPage, after: Position): boolean {
    if (!page.complete) {
      // What was lost may have arrived by the relay meanwhile: then the question was too old.
      if (this.#cursor.offset > after.offset) return true;
      const cursor = this.#cursor;
      this.#cursor = page.head;
      this.#dropHeld();
      this.#sink.lost(page.head, page.reason ?? "retention", cursor);
      this.#drainHeld();
      return this.#gap;
    }
    for (const item of page.items) {
      if (item.offset <= this.#cursor.offset) continue;
      // Not before there is something of the new epoch: if the store forgets all of it again, the old position is as good as it was.
      if (item.epoch !== this.#cursor.epoch) {
        this.#cursor = { epoch: item.epoch, offset: this.#cursor.offset };
        this.#sink.moved(this.#cursor);
      }
      this.#deliver(item);
    }
    this.#dropHeld();
    this.#drainHeld();
    return this.#gap || this.#cursor.offset < page.head.offset;
  }

  #open(): void {
    if (!this.#gap) this.gaps++;
    this.#gap = true;
    this.#unasked = true;
  }

  #deliver(item: Item): void {
    this.#cursor = { epoch: this.#cursor.epoch, offset: item.offset };
    this.#sink.deliver(item);
  }

  #drainHeld(): void {
    let next = this.#held.get(this.#cursor.offset + 1);
    while (next !== undefined) {
      this.#held.delete(next.offset);
      this.#deliver(next);
      next = this.#held.get(this.#cursor.offset + 1);
    }
    if (this.#held.size === 0) this.#gap = this.#unasked;
  }

  /** Drops what the cursor has passed, and what belongs to another epoch. */
  #dropHeld(): void {
    for (const [offset, item] of this.#held)
      if (offset <= this.#cursor.offset || item.epoch !== this.#cursor.epoch) this.#held.delete(offset);
  }
}
