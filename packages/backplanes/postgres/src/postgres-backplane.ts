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
  type EpochChain,
} from "@zuruf/hub/store";
import { Announcer } from "./announcer.ts";
import { readBlock, readBytes } from "./block.ts";
import { loadDriver, type Driver, type Row } from "./connection.ts";
import { messageOf } from "./failures.ts";
import { Fetcher } from "./fetcher.ts";
import { Keeper } from "./keeper.ts";
import { readSettings, type PostgresOptions, type Settings } from "./options.ts";
import { listenersOf, Session } from "./session.ts";
import { freshEpoch, Writer } from "./writer.ts";

const channelsPerQuery = 1000;

/** What `publishInTransaction` needs of a client of `pg`, or of anything that runs a statement with parameters in the caller's transaction. */
export interface TransactionClient {
  query(text: string, values: unknown[]): Promise<unknown>;
}

export class PostgresBackplane implements Backplane {
  readonly can = { history: true, contiguous: true, idempotent: true, ordered: true } as const;
  readonly #settings: Settings;
  readonly #deadlines: Deadlines;
  readonly #writer: Writer;
  readonly #keeper: Keeper;
  #driver: Driver | undefined;
  #session: Session | undefined;
  #fetcher: Fetcher | undefined;
  #announcer: Announcer | undefined;
  #reconnector: Reconnector | undefined;
  #instance: InstanceId = "";

  constructor(url: string, options: PostgresOptions) {
    this.#settings = readSettings(url, options);
    this.#deadlines = new Deadlines(this.#settings.deadline);
    this.#keeper = new Keeper(
      this.#settings,
      () => this.#session,
      async () => this.#fetcher?.poll(),
      (channel, head) => {
        this.#announcer?.head(channel, head);
        this.#fetcher?.reached(channel, head);
      },
    );
    this.#writer = new Writer(this.#settings, this.#deadlines, () => this.#session, {
      appended: (channel, items) => {
        this.#keeper.grown(channel);
        this.#announcer?.head(channel, items.at(-1)?.offset ?? 0);
        this.#fetcher?.appended(channel, items);
      },
      relayed: (batch, channels) => this.#announcer?.batch(batch, channels),
    });
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    if (this.#reconnector !== undefined)
      throw new BackplaneError(
        "closed",
        "the PostgreSQL backplane was started before: make another with postgres(url)",
      );
    this.#instance = instance;
    this.#fetcher = new Fetcher(this.#settings.schema, sink, instance, [controlName(), controlName(instance)]);
    this.#announcer = new Announcer(instance, listenersOf(this.#settings));
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
    this.#announcer?.restart(session.listener);
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
    const items = rows.flatMap((row) => readItems(row, chain, head.offset));
    const { after, before } = range;
    if (after === undefined) {
      const reason = before === undefined ? undefined : misfit(chain, head.offset, before);
      return reason === undefined
        ? { items: endOf(items), head, complete: true }
        : { items: [], head, complete: false, reason };
    }
    const reason = misfit(chain, head.offset, after) ?? (follows(items, after, head) ? undefined : "retention");
    return reason === undefined ? { items, head, complete: true } : { items: [], head, complete: false, reason };
  }

  /** Head and blocks of one moment, and which of their publications are meant. What is over its retention and not yet deleted is left out. */
  #page(
    session: Session,
    channel: string,
    { after, before, limit }: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<Row[]> {
    const { schema } = this.#settings;
    const end = after === undefined ? "least($2::bigint, h.head + 1)" : "$2::bigint + $3::bigint + 1";
    return session.questions.query(
      `select h.chain, h.head::text, p.start::text, p.ending::text, h.bytes::text, (h.total - l.total)::text, l.first::text, l.data
      from ${schema}.head h
      cross join lateral (select ${end} as ending, greatest(${end} - $3::bigint, h.head - h.size + 1) as start) p
      left join lateral (
        select x.first, x.total, x.data from ${schema}.log x
        where x.head = h.id and x.first < p.ending and x.first + x.count > p.start and x.expires > now()
          and x.first >= coalesce((select max(y.first) from ${schema}.log y where y.head = h.id and y.first <= p.start), 0)) l on true
      where h.channel = $1 order by l.first`,
      [
        channel,
        after?.offset ?? before?.offset ?? Number.MAX_SAFE_INTEGER,
        Math.min(Math.max(1, Math.floor(limit)), Number.MAX_SAFE_INTEGER),
      ],
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

/** Those publications of a block that are meant and that retention keeps; a row as `#page` has it. */
function readItems(row: Row, chain: EpochChain, head: number): Item[] {
  const data = row[7];
  if (typeof data !== "string") return [];
  const [start = 0, end = 0, bytes = 0, newer = 0, first = 0] = row.slice(2, 7).map((text) => readOffset(text ?? ""));
  const items: Item[] = [];
  let kept = newer;
  // From the newest on, to count the bytes as retention does.
  for (const [nth, publication] of [...readBlock(readBytes(data)).entries()].toReversed()) {
    const offset = first + nth;
    kept += publication.byteLength;
    if (bytes > 0 && offset < head && kept > bytes) break;
    if (offset >= start && offset < end) items.push({ epoch: epochAt(chain, offset), offset, data: publication });
  }
  return items.toReversed();
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
