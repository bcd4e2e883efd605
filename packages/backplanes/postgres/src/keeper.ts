import type { Settings } from "./options.ts";
import type { Session } from "./session.ts";
import { freshEpoch } from "./writer.ts";

/** Milliseconds between looks at the outbox, and at what channels have too much: a little often, because publications wait while much is deleted. */
const moveEvery = 100;
const trimEvery = 500;
/** And at what is over its time, and for what no hint told. */
const expireEvery = 2000;
const pollEvery = 1000;
/** And at heads that live for a week. */
const forgetEvery = 300_000;
/** Rows that are moved, and that are deleted, by one statement; channels of which it deletes. */
const movedAtOnce = 1000;
const rowsAtOnce = 200;
const channelsAtOnce = 20;
/** Milliseconds of deleting without an end, after which more comes than goes; and rows that are then deleted by one statement, without a rest. */
const behindAfter = 2000;
const rowsWhenBehind = 2000;

/** SQLSTATEs that pass by themselves: connection lost (08), transaction rolled back (40), resources (53), operator's doing (57), system (58). */
const passing = /^(08|40|53|57|58)/;

/** Does in the background what no publication should wait for: deletes what retention does not keep, moves the outbox to the log, and looks for what no hint told. */
export class Keeper {
  readonly #settings: Settings;
  readonly #session: () => Session | undefined;
  readonly #poll: () => Promise<void>;
  readonly #moved: (channel: string, head: number) => void;
  readonly #grown = new Set<string>();
  #closed = false;
  #timers = new Set<NodeJS.Timeout>();
  readonly #working = new Set<Promise<unknown>>();
  #said = "";

  constructor(
    settings: Settings,
    session: () => Session | undefined,
    poll: () => Promise<void>,
    moved: (channel: string, head: number) => void,
  ) {
    this.#settings = settings;
    this.#moved = moved;
    this.#poll = poll;
    this.#session = session;
  }

  start(): void {
    this.#repeat(moveEvery, (session) => this.#move(session));
    this.#repeat(trimEvery, (session) => this.#trim(session));
    this.#repeat(expireEvery, (session) => this.#expire(session));
    this.#repeat(forgetEvery, (session) => this.#forget(session));
    this.#repeat(pollEvery, () => this.#poll());
  }

  /** This channel got publications: there may be something to delete. */
  grown(channel: string): void {
    this.#grown.add(channel);
  }

  #repeat(ms: number, work: (session: Session) => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const session = this.#session();
      const done = session?.live === true ? work(session) : Promise.resolve();
      // What failed is still there the next time.
      const working = done
        .catch((error: unknown) => {
          this.#failed(error);
        })
        .finally(() => {
          this.#working.delete(working);
          if (!this.#closed) this.#repeat(ms, work);
        });
      this.#working.add(working);
    }, ms);
    this.#timers.add(timer);
  }

  /** What the server refuses again and again is said once; that it is gone, late or overloaded is said elsewhere. */
  #failed(error: unknown): void {
    if (!(error instanceof Error && "severity" in error && "code" in error)) return;
    if (passing.test(String(error.code)) || error.message === this.#said) return;
    this.#said = error.message;
    process.emitWarning(`PostgreSQL refuses what is done in the background: ${error.message}`, "ZurufPostgresWarning");
  }

  async #move(session: Session): Promise<void> {
    const { schema, keyWindow } = this.#settings;
    const sql = `select ${schema}.move_outbox_2($1, $2, $3) where exists (select from ${schema}.outbox)`;
    for (;;) {
      const [row] = await session.questions.query(sql, [movedAtOnce, freshEpoch(), keyWindow]);
      const [count = "0", ...heads] = (row?.[0] ?? "0").split(" ");
      for (const word of heads) {
        const [head = "0"] = word.split("=", 1);
        const channel = word.slice(head.length + 1);
        this.grown(channel);
        this.#moved(channel, Number(head));
      }
      // Less than asked for may go at once, because of its bytes.
      if (Number(count) === 0 || this.#closed) return;
    }
  }

  /** What channels have too much, as long as there are any that have grown. */
  async #trim(session: Session): Promise<void> {
    const begun = performance.now();
    let left = this.#grown.size;
    while (left > 0 && !this.#closed) {
      const channels: string[] = [];
      for (const channel of this.#grown) {
        if (channels.push(channel) === channelsAtOnce) break;
      }
      for (const channel of channels) this.#grown.delete(channel);
      left -= channels.length;
      let all = false;
      try {
        all = await this.#delete(session, "trim_2($2, $1)", [channels], begun);
      } finally {
        // They are looked at again, after the others.
        if (!all) {
          for (const channel of channels) this.#grown.add(channel);
          left += channels.length;
        }
      }
    }
  }

  /** What is over its time, whatever its channel. */
  async #expire(session: Session): Promise<void> {
    const begun = performance.now();
    while (!(await this.#delete(session, "trim_2('{}', $1)", [], begun)) && !this.#closed);
  }

  /** Heads of channels that nobody has asked for in a long time. */
  async #forget(session: Session): Promise<void> {
    const begun = performance.now();
    while (!(await this.#delete(session, "forget_2($1)", [], begun)) && !this.#closed);
  }

  /**
   * One statement, and then a rest that leaves the server to others, unless more comes than goes: a table must not grow without end.
   * @param since when this began that has no end. @returns whether that was all.
   */
  async #delete(session: Session, call: string, values: readonly unknown[], since: number): Promise<boolean> {
    const begun = performance.now();
    const behind = begun - since > behindAfter;
    const most = behind ? rowsWhenBehind : rowsAtOnce;
    const [row] = await session.questions.query(`select ${this.#settings.schema}.${call}`, [most, ...values]);
    const rest = Math.min(2 * (performance.now() - begun), trimEvery);
    if (!behind && !this.#closed) await new Promise((resolve) => setTimeout(resolve, rest));
    return Number(row?.[0] ?? 0) < most;
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#working);
  }
}
