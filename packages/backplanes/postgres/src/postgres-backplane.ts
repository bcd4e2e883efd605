import { createHash } from "node:crypto";
import {
  BackplaneError,
  type Backplane,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Item,
  type Position,
  type PreparedPublication,
  type PublishOptions,
} from "@zuruf/hub";
import {
  Deadlines,
  endOf,
  epochAt,
  follows,
  misfit,
  readChain,
  readOffset,
  Reconnector,
  writeControl,
} from "@zuruf/hub/store";
import { loadDriver, type Driver, type Row } from "./connection.ts";
import { messageOf } from "./failures.ts";
import { Fetcher, readBytes } from "./fetcher.ts";
import { Keeper } from "./keeper.ts";
import { readSettings, type PostgresOptions, type Settings } from "./options.ts";
import { Session } from "./session.ts";
import { freshEpoch, Writer } from "./writer.ts";

const channelsPerQuery = 1000;

/** What `publishInTransaction` needs of a client of `pg`, or of anything that runs a statement with parameters in the caller's transaction. */
export interface TransactionClient {
  query(text: string, values: unknown[]): Promise<unknown>;
}

export class PostgresBackplane implements Backplane {
  readonly can = { history: true, contiguous: true, idempotent: true } as const;
  readonly #settings: Settings;
  readonly #deadlines: Deadlines;
  readonly #writer: Writer;
  readonly #keeper: Keeper;
  #driver: Driver | undefined;
  #session: Session | undefined;
  #fetcher: Fetcher | undefined;
  #reconnector: Reconnector | undefined;
  #instance: InstanceId = "";

  constructor(url: string, options: PostgresOptions) {
    this.#settings = readSettings(url, options);
    this.#deadlines = new Deadlines(this.#settings.deadline);
    this.#keeper = new Keeper(
      this.#settings,
      () => this.#session,
      async () => this.#fetcher?.poll(),
    );
    this.#writer = new Writer(
      this.#settings,
      this.#deadlines,
      () => this.#session,
      (channel) => this.#keeper.grown(channel),
    );
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    if (this.#reconnector !== undefined)
      throw new BackplaneError(
        "closed",
        "the PostgreSQL backplane was started before: make another with postgres(url)",
      );
    this.#instance = instance;
    this.#fetcher = new Fetcher(this.#settings.schema, sink, instance, [controlName(), controlName(instance)]);
    this.#reconnector = new Reconnector(() => this.#connect(), {
      up: () => sink.up(),
      down: (reason, silentFor) => sink.down(`PostgreSQL at ${this.#settings.where}: ${reason}`, silentFor),
    });
    this.#driver = await loadDriver();
    await this.#reconnector.start();
    this.#keeper.start();
  }

  async #connect(): Promise<void> {
    const [fetcher, reconnector] = [this.#fetcher, this.#reconnector];
    if (this.#driver === undefined || fetcher === undefined || reconnector === undefined) return;
    const session = await Session.open(this.#driver, this.#settings, this.#instance, {
      broken: (broken, reason, silentFor) => {
        if (this.#session === broken) reconnector.broken(reason, silentFor);
      },
      hint: (payload) => fetcher.hint(payload),
    });
    this.#session = session;
    fetcher.restart(session.fetcher);
    try {
      await this.#begin(session, fetcher.channels());
      if (!session.live || reconnector.closed) throw new Error("the connection ended");
    } catch (error) {
      session.destroy();
      throw error;
    }
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    const session = this.#connected();
    const fetcher = this.#fetcher;
    if (fetcher === undefined) return;
    const fresh = channels.filter((channel) => !fetcher.has(channel));
    for (const channel of fresh) fetcher.add(channel);
    try {
      await this.#ask(this.#begin(session, fresh));
    } catch (error) {
      for (const channel of fresh) fetcher.remove(channel);
      throw error;
    }
  }

  /** Says from which offset on the publications of these channels are news. */
  async #begin(session: Session, channels: readonly string[]): Promise<void> {
    for (let i = 0; i < channels.length; i += channelsPerQuery) {
      const part = channels.slice(i, i + channelsPerQuery);
      const rows = await session.questions.query(
        `select channel, head::text from ${this.#settings.schema}.head where channel = any($1)`,
        [part],
      );
      const heads = new Map(rows.map(([channel, head]) => [channel, readOffset(head ?? "")]));
      for (const channel of part) this.#fetcher?.begin(channel, heads.get(channel) ?? 0);
    }
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    this.#throwClosed();
    for (const channel of channels) this.#fetcher?.remove(channel);
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    this.#throwClosed();
    return this.#writer.publish(
      channel,
      data,
      options.key === undefined ? options : { ...options, key: shorten(options.key) },
    );
  }

  /**
   * Publishes within the caller's own transaction: the publication is there if and only if the transaction commits. It gets its position
   * and is announced after the commit, by the next instance that looks (within 100 ms), so that nobody waits for the caller's transaction.
   *
   * @param publication what `zuruf.prepare(channel, data)` made of it.
   * @throws `BackplaneError` `unusable` for a channel without history; whatever `client` throws.
   */
  async publishInTransaction(client: TransactionClient, publication: PreparedPublication): Promise<void> {
    const { channel, data, options } = publication;
    const { retention, key } = options;
    if (retention === undefined)
      throw new BackplaneError(
        "unusable",
        `${channel} keeps no history: only channels with history are published in a transaction`,
      );
    await client.query(
      `insert into ${this.#settings.schema}.outbox (channel, data, size, ttl, bytes, key) values ($1, $2, $3, $4, $5, $6)`,
      [
        channel,
        Buffer.from(data.buffer, data.byteOffset, data.byteLength),
        retention.size,
        Math.ceil(retention.ttl),
        retention.bytes,
        key === undefined ? null : shorten(key),
      ],
    );
  }

  async heads(channels: readonly string[]): Promise<Map<string, Position>> {
    const session = this.#connected();
    const result = new Map<string, Position>();
    for (let i = 0; i < channels.length; i += channelsPerQuery) {
      const part = channels.slice(i, i + channelsPerQuery);
      const rows = await this.#ask(this.#headsOf(session, part));
      for (const [channel, chainText, headText] of rows) result.set(channel ?? "", readHead(chainText, headText).head);
    }
    return result;
  }

  #headsOf(session: Session, channels: readonly string[]): Promise<Row[]> {
    const sql = `select channel, chain, head::text from ${this.#settings.schema}.heads_1($1, $2)`;
    return session.questions.query(sql, [channels, freshEpoch()]);
  }

  async history(
    channel: string,
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<HistoryPage> {
    const session = this.#connected();
    let rows = await this.#ask(this.#page(session, channel, range));
    if (rows.length === 0) {
      // Never published to: now it has a head.
      await this.#ask(this.#headsOf(session, [channel]));
      rows = await this.#ask(this.#page(session, channel, range));
    }
    const { chain, head } = readHead(rows[0]?.[0], rows[0]?.[1]);
    const items: Item[] = [];
    for (const [, , offsetText, data] of rows) {
      const offset = readOffset(offsetText ?? "");
      if (offset !== undefined && typeof data === "string")
        items.push({ epoch: epochAt(chain, offset), offset, data: readBytes(data) });
    }
    const { after, before } = range;
    if (after === undefined) {
      items.reverse();
      const reason = before === undefined ? undefined : misfit(chain, head.offset, before);
      return reason === undefined
        ? { items: endOf(items), head, complete: true }
        : { items: [], head, complete: false, reason };
    }
    const reason = misfit(chain, head.offset, after) ?? (follows(items, after, head) ? undefined : "retention");
    return reason === undefined ? { items, head, complete: true } : { items: [], head, complete: false, reason };
  }

  /** Head and entries of one moment. What is over its retention and not yet deleted is left out. */
  #page(
    session: Session,
    channel: string,
    { after, before, limit }: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<Row[]> {
    const { schema } = this.#settings;
    const [bound, order, from] =
      after === undefined ? ["<", "desc", before?.offset ?? Number.MAX_SAFE_INTEGER] : [">", "asc", after.offset];
    return session.questions.query(
      `select h.chain, h.head::text, l."offset"::text, l.data from ${schema}.head h left join lateral (
        select x."offset", x.data from ${schema}.log x
        where x.channel = h.channel and x."offset" ${bound} $2 and x."offset" > h.head - h.size and x.expires > now()
          and (h.bytes = 0 or x."offset" = h.head or h.total - x.total + octet_length(x.data) <= h.bytes)
        order by x."offset" ${order} limit $3) l on true
      where h.channel = $1 order by l."offset" ${order}`,
      [channel, from, Math.max(1, Math.floor(limit))],
    );
  }

  async control(message: Uint8Array, to?: InstanceId): Promise<void> {
    this.#throwClosed();
    if (to === this.#instance) return;
    try {
      await this.#writer.publish(controlName(to), writeControl(this.#instance, message), {});
    } catch (error) {
      throw new BackplaneError("unavailable", messageOf(error), error);
    }
  }

  async close(): Promise<void> {
    if (this.#reconnector?.closed !== false) return;
    this.#reconnector.close();
    await this.#keeper.close();
    await this.#session?.close(this.#settings.deadline);
    this.#deadlines.close();
  }

  #throwClosed(): void {
    if (this.#reconnector?.closed !== false)
      throw new BackplaneError("closed", "the PostgreSQL backplane is closed, or was not started");
  }

  #connected(): Session {
    this.#throwClosed();
    if (this.#session?.live !== true)
      throw new BackplaneError("unavailable", `PostgreSQL at ${this.#settings.where} cannot be reached now`);
    return this.#session;
  }

  async #ask<T>(answer: Promise<T>): Promise<T> {
    try {
      return await this.#deadlines.limit(
        answer,
        () => new BackplaneError("unavailable", `PostgreSQL did not answer within ${this.#deadlines.ms} ms`),
      );
    } catch (error) {
      if (error instanceof BackplaneError) throw error;
      throw new BackplaneError("unavailable", `PostgreSQL at ${this.#settings.where}: ${messageOf(error)}`, error);
    }
  }
}

function controlName(instance?: InstanceId): string {
  return instance === undefined ? "$control" : `$control:${encodeURIComponent(instance)}`;
}

/** Keys come from clients: they may be long, and hold what PostgreSQL's text cannot (U+0000). */
function shorten(key: string): string {
  return /^[\x20-\x7E]{1,64}$/.test(key) ? key : createHash("sha256").update(key).digest("base64url");
}

function readHead(
  chainText: string | null | undefined,
  headText: string | null | undefined,
): { chain: NonNullable<ReturnType<typeof readChain>>; head: Position } {
  const chain = readChain(chainText ?? "");
  const offset = readOffset(headText ?? "");
  if (chain === undefined || offset === undefined)
    throw new BackplaneError(
      "unknown",
      "PostgreSQL holds something else than Zuruf's data: is the schema used by somebody else?",
    );
  return { chain, head: { epoch: epochAt(chain, offset), offset } };
}
