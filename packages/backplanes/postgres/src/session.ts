import { randomBytes } from "node:crypto";
import { BackplaneError } from "@zuruf/hub";
import { Canary } from "@zuruf/hub/store";
import { Connection, type Driver } from "./connection.ts";
import { explain, messageOf } from "./failures.ts";
import type { Settings } from "./options.ts";
import { schemaSql, version } from "./schema.ts";

/** Milliseconds for a connection to be made; all of them have twice as long. */
const connectWithin = 3000;

/** A connection that did not answer between this many looks, a second apart, is of no use: found within 4 s. */
const mostLooks = 4;

export interface SessionEvents {
  /** The connections are of no use any more; called once, never by `close`. */
  broken(session: Session, reason: string, silentFor?: number): void;
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
  /** Also sends what is announced. */
  readonly listener: Connection;
  readonly #events: SessionEvents;
  readonly #canaryName = `zuruf_canary_${randomBytes(8).toString("hex")}`;
  readonly #canary: Canary;
  #over = false;

  /** Connects, looks at what is there, and listens. Rejects with a `BackplaneError` of one line. */
  static async open(driver: Driver, settings: Settings, instance: string, events: SessionEvents): Promise<Session> {
    const opened: Connection[] = [];
    let session: Session | undefined;
    let early: Error | undefined;
    let failed = false;
    const lost = (error: Error): void => {
      early ??= error;
      session?.break(messageOf(error));
    };
    const open = async (role: string): Promise<Connection> => {
      const deadlines = { connect: connectWithin, statement: statementWithin(settings) };
      const name = `zuruf:${instance}:${role}`.slice(0, 63);
      const connection = await Connection.open(driver, settings.url, name, deadlines, lost);
      // Nobody waits for it any more.
      if (failed) connection.destroy();
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
      failed = true;
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
    this.listener = listener;
    this.#events = events;
    this.#canary = new Canary(
      (mark) => this.#fly(mark),
      (reason, silentFor) => this.break(reason, silentFor),
    );
  }

  get live(): boolean {
    return !this.#over;
  }

  async #listen(settings: Settings): Promise<void> {
    this.listener.onNotification((channel, payload) => {
      if (channel === this.#canaryName) this.#canary.heard(payload);
      else this.#events.hint(payload);
    });
    await this.listener.run(
      `set synchronous_commit = off; listen ${listenersOf(settings)}; listen ${this.#canaryName}`,
    );
    this.#canary.start();
  }

  /** One notification through the listener and back, without waiting for the disk; and a look at the other connections. */
  async #fly(mark: string): Promise<void> {
    const looks = Math.max(...this.#connections().map((connection) => connection.unanswered()));
    if (looks >= mostLooks) {
      const silent = (mostLooks - 1) * 1000;
      this.break(`one of its connections did not answer for ${silent} ms`, silent);
      return;
    }
    await this.listener.query("select pg_notify($1, $2)", [this.#canaryName, mark]);
  }

  break(reason: string, silentFor?: number): void {
    if (this.#over) return;
    this.destroy();
    this.#events.broken(this, reason, silentFor);
  }

  destroy(): void {
    this.#over = true;
    this.#canary.stop();
    for (const connection of this.#connections()) connection.destroy();
  }

  /** Resolves when what was sent is answered, at most after `ms`. */
  async close(ms: number): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#canary.stop();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([Promise.allSettled(this.#connections().map((connection) => connection.close())), late]);
    clearTimeout(timer);
    this.destroy();
  }

  #connections(): Connection[] {
    return [this.writer, this.questions, this.fetcher, this.listener];
  }
}

/**
 * Before the call's own deadline is over, so that the server has said what became of it; and before so many looks are over, so that a connection
 * without an answer by then has none to give, however long the deadline is.
 */
function statementWithin(settings: Settings): number {
  return Math.ceil(Math.min(settings.deadline, 5000) / 2);
}

/** The name that hints are sent to. */
export function listenersOf(settings: Settings): string {
  return `${settings.schema}_hints`;
}

async function prepare(connection: Connection, settings: Settings): Promise<void> {
  const sql = `select current_setting('server_version_num'), pg_is_in_recovery()::text, to_regclass('${settings.schema}.version')::text`;
  const [row] = await connection.query(sql);
  const [server = "", standby, present] = row ?? [];
  if (Number(server) < 130_000)
    throw new BackplaneError(
      "unusable",
      `PostgreSQL ${Math.floor(Number(server) / 10_000)} is too old: Zuruf needs 13 or newer`,
    );
  if (standby === "true")
    throw new BackplaneError("unavailable", `PostgreSQL at ${settings.where} is a standby: name its primary`);
  const known =
    present === null ? [] : await connection.query(`select max(version)::text from ${settings.schema}.version`);
  if (Number(known[0]?.[0] ?? 0) >= version) return;
  if (!settings.migrate) {
    const message = `PostgreSQL at ${settings.where} has no schema ${settings.schema} of this version: run what schemaSql() of @zuruf/postgres returns`;
    throw new BackplaneError("unusable", message);
  }
  // Several instances may start at once; the lock ends with the transaction.
  await connection.run(
    `begin; select pg_advisory_xact_lock(hashtext('zuruf.migration')); ${schemaSql(settings.schema)} commit;`,
  );
}
