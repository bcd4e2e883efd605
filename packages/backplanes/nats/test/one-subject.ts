import { JetStreamError, type Stored, type StreamState } from "../src/answers.ts";
import type { Stream as Reading } from "../src/log.ts";
import type { Stream as Writing } from "../src/writer.ts";

/** A stream with one subject, in memory. */
export class OneSubject implements Reading, Writing {
  readonly maxAge = 0;
  #seq = 0;
  log: Stored[] = [];
  /** Questions asked of it. */
  readonly asked: string[] = [];
  /** A read waits for this. */
  open: Promise<void> = Promise.resolve();
  /** Happens before the next append. */
  before: (() => Promise<void>) | undefined;

  now(): number {
    return Date.now();
  }
  async extend(): Promise<void> {}
  async state(): Promise<StreamState> {
    const { maxAge } = this;
    return { created: "", lastSeq: this.#seq, maxAge, replicas: 1, clustered: false, quorum: true };
  }
  async append(
    _subject: string,
    data: Uint8Array,
    { headers, expected }: { readonly headers: Readonly<Record<string, string>>; readonly expected: number },
  ): Promise<number> {
    this.asked.push("append");
    const before = this.before;
    this.before = undefined;
    await before?.();
    if (expected !== (this.log.at(-1)?.seq ?? 0)) throw new JetStreamError(10_071, "wrong last sequence");
    const seq = ++this.#seq;
    this.log.push({ seq, time: this.now(), size: data.length, headers: { get: (name) => headers[name] ?? "" }, data });
    return seq;
  }
  async last(): Promise<Stored | undefined> {
    this.asked.push("last");
    return this.log.at(-1);
  }
  async read(
    _subject: string,
    options: { readonly from: number } | { readonly since: number },
    each: (message: Stored) => boolean,
  ): Promise<void> {
    this.asked.push("read");
    await this.open;
    for (const stored of this.log) if (stored.seq >= ("from" in options ? options.from : 1) && !each(stored)) return;
  }
  async next(_subject: string, from: number): Promise<Stored | undefined> {
    return this.log.find(({ seq }) => seq >= from);
  }
  async purge(_subject: string, what: { readonly seq: number } | { readonly keep: number }): Promise<void> {
    this.log = "keep" in what ? this.log.slice(-what.keep) : this.log.filter(({ seq }) => seq >= what.seq);
  }
}
