/** Writes down what real clients saw, and afterwards holds it against what the store has: each promise that was broken is one line. */
import type { Position } from "@zuruf/client";

/** What every publication carries. */
export interface Note {
  /** Unique over the whole run. */
  readonly id: string;
  readonly publisher: string;
  /** Counts up per publisher and channel, in the order of `publish` calls. */
  readonly turn: number;
}

export interface Stored {
  readonly offset: number;
  readonly note: Note;
}

export interface Counts {
  sent: number;
  acked: number;
  /** To all subscribers together. */
  delivered: number;
  /** Publications that are stored, and that a subscriber neither got nor was told of. */
  lost: number;
  /** Deliveries of what the subscriber had already, and publications that are stored twice. */
  doubled: number;
  /** Acknowledged, and not stored any more. */
  forgotten: number;
  /** How often a subscriber was told `recovered: false`. */
  told: number;
}

/** Between two `recovered: false`: the publications that one subscription got without being told of a loss. */
interface Stretch {
  readonly from: number;
  last: number;
  readonly byOffset: Map<number, Note>;
  readonly ids: Set<string>;
}

/** One client's subscription to one channel. */
export class Watch {
  readonly who: string;
  readonly channel: string;
  readonly ended: { readonly stretch: Stretch; readonly reason: string }[] = [];
  #now: Stretch | undefined;
  readonly #checker: Checker;

  constructor(checker: Checker, who: string, channel: string) {
    this.#checker = checker;
    this.who = who;
    this.channel = channel;
  }

  get name(): string {
    return `${this.who} on ${this.channel}`;
  }
  get now(): Stretch | undefined {
    return this.#now;
  }

  subscribed(recovered: boolean, position: Position | undefined, reason: string | undefined): void {
    if (position === undefined) return this.#checker.fault(`${this.name}: subscribed without a position`);
    const before = this.#now;
    if (before !== undefined && recovered) {
      if (before.last !== position.offset)
        this.#checker.fault(`${this.name}: recovered from ${position.offset}, but had ${before.last}`);
      return;
    }
    if (before !== undefined) {
      this.#checker.counts.told++;
      if (reason === undefined) this.#checker.fault(`${this.name}: recovered false without a reason`);
      this.ended.push({ stretch: before, reason: reason ?? "none" });
    }
    this.#now = { from: position.offset, last: position.offset, byOffset: new Map(), ids: new Set() };
  }

  publication(offset: number, note: Note): void {
    const { counts } = this.#checker;
    counts.delivered++;
    const now = this.#now;
    if (now === undefined) return this.#checker.fault(`${this.name}: publication ${offset} before subscribed`);
    if (now.ids.has(note.id)) {
      counts.doubled++;
      this.#checker.fault(`${this.name}: ${note.id} delivered twice, again at ${offset}`);
    } else if (offset <= now.last) this.#checker.fault(`${this.name}: offset ${offset} after ${now.last}`);
    else if (offset > now.last + 1) this.#checker.fault(`${this.name}: silent gap from ${now.last} to ${offset}`);
    now.last = Math.max(now.last, offset);
    now.ids.add(note.id);
    now.byOffset.set(offset, note);
  }
}

export class Checker {
  readonly faults: string[] = [];
  readonly counts: Counts = { sent: 0, acked: 0, delivered: 0, lost: 0, doubled: 0, forgotten: 0, told: 0 };
  readonly #watches: Watch[] = [];
  readonly #acks = new Map<string, { readonly channel: string; readonly position: Position }>();
  readonly #notStored = new Set<string>();
  /** Given up by their publisher, who cannot know whether, and when, they are stored. */
  readonly #unknown = new Set<string>();

  fault(what: string): void {
    this.faults.push(what);
  }

  watch(who: string, channel: string): Watch {
    const watch = new Watch(this, who, channel);
    this.#watches.push(watch);
    return watch;
  }

  sent(): void {
    this.counts.sent++;
  }
  acked(note: Note, channel: string, position: Position | undefined): void {
    this.counts.acked++;
    if (position === undefined) this.fault(`${note.id}: acked without a position`);
    else this.#acks.set(note.id, { channel, position });
  }
  refused(note: Note, code: string): void {
    if (code === "notStored") this.#notStored.add(note.id);
    else if (code === "unknown") this.#unknown.add(note.id);
    else this.fault(`${note.id}: rejected with ${code}, which says neither notStored nor unknown`);
  }

  /**
   * Once everything has been healthy for long enough that nothing may be missing any more.
   * @param logs what the store has, per channel, oldest first, from its first publication on.
   * @param mayForget whether the broker's own durability allows that it lost acknowledged publications.
   */
  finish(logs: ReadonlyMap<string, readonly Stored[]>, mayForget: boolean): void {
    for (const [channel, log] of logs) {
      const byOffset = new Map(log.map(({ offset, note }) => [offset, note]));
      for (const watch of this.#watches)
        if (watch.channel === channel) this.#checkWatch(watch, log, byOffset, mayForget);
      this.#checkAcks(channel, byOffset, mayForget);
    }
    const { lost, forgotten, told } = this.counts;
    if (lost > 0) this.fault(`${lost} publications never arrived, and nobody was told`);
    for (const [channel, log] of logs) this.#checkLog(channel, log, forgotten + told === 0);
  }

  #checkWatch(watch: Watch, log: readonly Stored[], stored: ReadonlyMap<number, Note>, mayForget: boolean): void {
    const { now, name } = watch;
    if (now === undefined) return this.fault(`${name}: never subscribed`);
    for (const { offset, note } of log) if (offset > now.from && !now.ids.has(note.id)) this.counts.lost++;
    for (const [offset, note] of now.byOffset) {
      if (stored.get(offset)?.id !== note.id)
        this.fault(`${name}: got ${note.id} at ${offset}, where the store has ${stored.get(offset)?.id ?? "nothing"}`);
    }
    for (const { stretch, reason } of watch.ended) {
      const { last, byOffset } = stretch;
      // The store still has what the client had last, so it could have continued.
      const kept = byOffset.has(last) && byOffset.get(last)?.id === stored.get(last)?.id;
      if (kept || !mayForget) this.fault(`${name}: recovered false (${reason}) at ${last}, but the store lost nothing`);
    }
  }

  #checkAcks(channel: string, stored: ReadonlyMap<number, Note>, mayForget: boolean): void {
    for (const [id, ack] of this.#acks) {
      if (ack.channel !== channel || stored.get(ack.position.offset)?.id === id) continue;
      this.counts.forgotten++;
      if (!mayForget)
        this.fault(
          `${id} was acked at ${ack.position.offset} of ${channel}, where the store has ${stored.get(ack.position.offset)?.id ?? "nothing"}`,
        );
    }
  }

  /** @param ordered nothing was forgotten: what a store forgot and got again has no order to keep. */
  #checkLog(channel: string, log: readonly Stored[], ordered: boolean): void {
    const ids = new Map<string, number>();
    const turns = new Map<string, number>();
    for (const { offset, note } of log) {
      const first = ids.get(note.id);
      if (first !== undefined) {
        this.counts.doubled++;
        this.fault(`${note.id} is stored twice, at ${first} and ${offset} of ${channel}`);
      }
      ids.set(note.id, offset);
      if (this.#notStored.has(note.id)) this.fault(`${note.id} was said to be not stored, and is at ${offset}`);
      if (!ordered || this.#unknown.has(note.id)) continue;
      const before = turns.get(note.publisher) ?? 0;
      if (note.turn < before) this.fault(`${note.publisher} on ${channel}: turn ${note.turn} stored after ${before}`);
      turns.set(note.publisher, Math.max(before, note.turn));
    }
  }
}
