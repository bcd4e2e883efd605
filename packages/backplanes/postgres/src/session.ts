import { randomBytes } from "node:crypto";
import { BackplaneError } from "@zuruf/hub";
import { Connection, type Driver } from "./connection.ts";
import { explain, messageOf } from "./failures.ts";
import type { Settings } from "./options.ts";
import { schemaSql } from "./schema.ts";

/** How often a canary flies when nothing else is heard, and how long it may take: together below the 5 s within which a deaf connection must be found. */
const canaryEvery = 1000;
const canaryWithin = 2500;
/** Milliseconds for a connection to be made; all of them have twice as long. */
const connectWithin = 3000;

export interface SessionEvents {
  /** The connections are of no use any more; called once, never by `close`. */
  broken(session: Session, reason: string): void;
  hint(payload: string): void;
}

/**
 * All connections of one instance, from connecting to the first failure: one writes, one answers questions, one fetches what was announced,
 * and one listens (`LISTEN` needs a session of its own: a pooler in transaction mode is not one).
 */
export class Session {
  readonly writer: Connection;
  readonly questions: Connection;
  readonly fetcher: Connection;
  readonly #listener: Connection;
  readonly #events: SessionEvents;
  readonly #canaryName = `zuruf_canary_${randomBytes(8).toString("hex")}`;
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  #heard = 0;
  #heardAt = performance.now();

  /** Connects, looks at what is there, and listens. Rejects with a `BackplaneError` of one line. */
  static async open(driver: Driver, settings: Settings, instance: string, events: SessionEvents): Promise<Session> {
    const opened: Connection[] = [];
    let session: Session | undefined;
    let early: Error | undefined;
    const lost = (error: Error): void => {
      early ??= error;
      session?.break(messageOf(error));
    };
    const open = async (role: string): Promise<Connection> => {
      const deadlines = { connect: connectWithin, statement: statementWithin(settings) };
      const name = `zuruf:${instance}:${role}`.slice(0, 63);
      const connection = await Connection.open(driver, settings.url, name, deadlines, lost);
      opened.push(connection);
      return connection;
    };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${connectWithin * 2} ms`)), connectWithin * 2);
    });
    try {
      // One first, so that what is wrong is said once.
      const writer = await Promise.race([open("writer"), late]);
      await Promise.race([prepare(writer, settings), late]);
      const others = Promise.all([open("questions"), open("fetcher"), open("listener")]);
      const [questions, fetcher, listener] = await Promise.race([others, late]);
      session = new Session(writer, questions, fetcher, listener, events);
      await Promise.race([session.#listen(settings), late]);
      if (early !== undefined) throw early;
      return session;
    } catch (error) {
      session?.destroy();
      for (const connection of opened) connection.destroy();
      throw explain(settings.where, error);
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(
    writer: Connection,
    questions: Connection,
    fetcher: Connection,
    listener: Connection,
    events: SessionEvents,
  ) {
    this.writer = writer;
    this.questions = questions;
    this.fetcher = fetcher;
    this.#listener = listener;
    this.#events = events;
  }

  get live(): boolean {
    return !this.#over;
  }

  async #listen(settings: Settings): Promise<void> {
    this.#listener.onNotification((channel, payload) => {
      this.#heardAt = performance.now();
      if (channel === this.#canaryName) this.#heard = Math.max(this.#heard, Number(payload));
      else this.#events.hint(payload);
    });
    await this.#listener.run(`listen ${listenersOf(settings)}; listen ${this.#canaryName}`);
    let due = 0;
    let waitingSince = performance.now();
    const tick = (): void => {
      if (this.#over) return;
      const now = performance.now();
      // Time in which this process itself stood still proves nothing against the server: its answer may wait to be read.
      if (due !== 0) waitingSince = Math.min(now, waitingSince + Math.max(0, now - due));
      if (this.#heard === this.#sent) waitingSince = now;
      else if (now - waitingSince > canaryWithin) {
        this.break(`it delivered nothing for ${Math.round(now - waitingSince)} ms`);
        return;
      }
      // The server ends a statement that takes too long, and says so: a connection without any answer after that has none to give.
      const stalled = Math.max(...this.#connections().map((connection) => connection.stalledFor(now)));
      if (stalled > statementWithin(settings) + canaryEvery) {
        this.break(`it did not answer for ${Math.round(stalled)} ms`);
        return;
      }
      // Hints prove as much; and each notification costs the server a commit.
      if (now - this.#heardAt > canaryEvery / 2 || this.#heard !== this.#sent) {
        this.#sent++;
        const sql = "select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";
        // The answer itself is not looked at: a notification that failed is not heard either.
        this.#listener.query(sql, [this.#canaryName, `${this.#sent}`]).catch(() => undefined);
      }
      due = now + canaryEvery;
      this.#timer = setTimeout(tick, canaryEvery);
    };
    tick();
  }

  break(reason: string): void {
    if (this.#over) return;
    this.destroy();
    this.#events.broken(this, reason);
  }

  destroy(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    for (const connection of this.#connections()) connection.destroy();
  }

  /** Resolves when what was sent is answered, at most after `ms`. */
  async close(ms: number): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([Promise.allSettled(this.#connections().map((connection) => connection.close())), late]);
    clearTimeout(timer);
    this.destroy();
  }

  #connections(): Connection[] {
    return [this.writer, this.questions, this.fetcher, this.#listener];
  }
}

/** Before the call's own deadline is over, so that the server has said what became of it. */
function statementWithin(settings: Settings): number {
  return Math.ceil(settings.deadline * 0.8);
}

/** The name that hints are sent to. */
export function listenersOf(settings: Settings): string {
  return `${settings.schema}_hints`;
}

async function prepare(connection: Connection, settings: Settings): Promise<void> {
  const sql = `select current_setting('server_version_num'), pg_is_in_recovery()::text, to_regclass('${settings.schema}.version')::text`;
  const [row] = await connection.query(sql);
  const [version = "", standby, present] = row ?? [];
  if (Number(version) < 130_000)
    throw new BackplaneError(
      "unusable",
      `PostgreSQL ${Math.floor(Number(version) / 10_000)} is too old: Zuruf needs 13 or newer`,
    );
  if (standby === "true")
    throw new BackplaneError("unavailable", `PostgreSQL at ${settings.where} is a standby: name its primary`);
  const known =
    present === null ? [] : await connection.query(`select max(version)::text from ${settings.schema}.version`);
  if (known[0]?.[0] === "1") return;
  if (!settings.migrate) {
    const message = `PostgreSQL at ${settings.where} has no schema ${settings.schema} of this version: run what schemaSql() of @zuruf/postgres returns`;
    throw new BackplaneError("unusable", message);
  }
  // Several instances may start at once; the lock ends with the transaction.
  await connection.run(
    `begin; select pg_advisory_xact_lock(hashtext('zuruf.migration')); ${schemaSql(settings.schema)} commit;`,
  );
}
