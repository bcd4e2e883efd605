import { randomBytes } from "node:crypto";
import { BackplaneError, type Item, type Line, type Position, type PublishOptions, type Retention } from "@zuruf/hub";
import { epochAt, isEpoch, readChain, readOffset, type Deadlines } from "@zuruf/hub/store";
import { lengthOf, writeBlock } from "./block.ts";
import { isCollision, isUndone, isValueAtFault, messageOf } from "./failures.ts";
import type { Settings } from "./options.ts";
import type { Session } from "./session.ts";

/** Bounds of one transaction: longer ones make others wait. */
const most = { publications: 2000, bytes: 4 * 1024 * 1024 };
/** Bytes that may wait for PostgreSQL; beyond, publications are refused at once. */
const mostBytesWaiting = 64 * 1024 * 1024;
const mostAttempts = 5;

interface Waiting {
  readonly channel: string;
  readonly data: Uint8Array;
  /** Undefined: announce only. */
  readonly retention: Retention | undefined;
  readonly key: string | null;
  /** Of all that take part in it: none of these may go on when it fails. */
  readonly lines: Line[];
  sent: boolean;
  over: boolean;
  readonly resolve: (position: Position | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** What became of one attempt: those that are stored, and where. */
type Settled = ReadonlyMap<Waiting, Position | undefined>;

/** What the writer tells of what is stored. */
export interface WriterEvents {
  /** These are in the log, and nothing is between them. */
  appended(channel: string, items: readonly Item[]): void;
  /** These channels have something in this batch of the relay. */
  relayed(batch: string, channels: readonly string[]): void;
}

/**
 * Collects what is published while a transaction is on its way, and sends it all in the next one: one round trip and one commit for many.
 * One transaction at a time keeps the call order of each publisher.
 */
export class Writer {
  readonly #settings: Settings;
  readonly #deadlines: Deadlines;
  readonly #session: () => Session | undefined;
  readonly #events: WriterEvents;
  #queue: Waiting[] = [];
  #bytes = 0;
  #running = false;
  /** Publications with a key that are not settled yet: a repeat takes part in the first one's. */
  readonly #byKey = new Map<string, { readonly settled: Promise<Position | undefined>; readonly lines: Line[] }>();

  constructor(settings: Settings, deadlines: Deadlines, session: () => Session | undefined, events: WriterEvents) {
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#session = session;
    this.#events = events;
  }

  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    const { key, line } = options;
    const lines = line === undefined ? [] : [line];
    if (key === undefined) return this.#enqueue(channel, data, options, lines);
    const name = `${channel} ${key}`;
    const pending = this.#byKey.get(name);
    if (pending !== undefined) {
      pending.lines.push(...lines);
      return pending.settled;
    }
    const settled = this.#enqueue(channel, data, options, lines).finally(() => this.#byKey.delete(name));
    this.#byKey.set(name, { settled, lines });
    return settled;
  }

  #enqueue(
    channel: string,
    data: Uint8Array,
    { retention, key }: PublishOptions,
    lines: Line[],
  ): Promise<Position | undefined> {
    if (this.#bytes + data.byteLength > mostBytesWaiting)
      return Promise.reject(
        failure(lines, "notStored", "too many publications wait for PostgreSQL: publish slower, or later"),
      );
    if (this.#session()?.live !== true)
      return Promise.reject(failure(lines, "notStored", `PostgreSQL at ${this.#settings.where} cannot be reached now`));
    this.#bytes += data.byteLength;
    let waiting: Waiting | undefined;
    const settled = new Promise<Position | undefined>((resolve, reject) => {
      waiting = { channel, data, retention, key: key ?? null, lines, sent: false, over: false, resolve, reject };
      this.#queue.push(waiting);
      // What is published in the same turn goes together.
      if (!this.#running) {
        this.#running = true;
        setImmediate(() => void this.#run());
      }
    });
    return this.#deadlines
      .limit(settled, () => {
        if (waiting !== undefined) waiting.over = true;
        const code = waiting?.sent === true ? "unknown" : "notStored";
        return failure(lines, code, `PostgreSQL did not answer within ${this.#deadlines.ms} ms`);
      })
      .finally(() => {
        this.#bytes -= data.byteLength;
      });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#take();
      const stored = batch.filter((waiting) => waiting.retention !== undefined);
      const relayed = batch.filter((waiting) => waiting.retention === undefined);
      await this.#write(stored, (session, part) => this.#append(session, part));
      await this.#write(relayed, (session, part) => this.#relay(session, part));
    }
    this.#running = false;
  }

  #take(): Waiting[] {
    let [count, bytes] = [0, 0];
    for (const waiting of this.#queue) {
      bytes += waiting.data.byteLength;
      if (count > 0 && (count === most.publications || bytes > most.bytes)) break;
      count++;
    }
    // Those whose time is over were told that nothing is stored: so it stays.
    return this.#queue.splice(0, count).filter((waiting) => !waiting.over);
  }

  async #write(
    wanted: readonly Waiting[],
    send: (session: Session, batch: readonly Waiting[]) => Promise<Settled>,
  ): Promise<void> {
    const isBarred = ({ lines }: Waiting): boolean => lines.some(({ failed }) => failed);
    let batch = wanted.filter((waiting) => !isBarred(waiting));
    fail(wanted.filter(isBarred), "notStored", "an earlier publication failed");
    for (let attempt = 1; batch.length > 0; attempt++) {
      const session = this.#session();
      if (session?.live !== true) {
        fail(batch, "notStored", `PostgreSQL at ${this.#settings.where} cannot be reached now`);
        return;
      }
      for (const waiting of batch) waiting.sent = true;
      try {
        const settled = await send(session, batch);
        for (const [waiting, position] of settled) waiting.resolve(position);
        batch = batch.filter((waiting) => !settled.has(waiting));
      } catch (error) {
        if (isCollision(error) && attempt < mostAttempts) continue;
        if (isValueAtFault(error) && batch.length > 1) {
          // One of them; each for itself, so that the others do not pay for it.
          for (const waiting of batch) await this.#write([waiting], send);
          return;
        }
        const undone = isUndone(error);
        fail(
          batch,
          undone ? "notStored" : "unknown",
          `PostgreSQL ${undone ? "refused" : "went away"}: ${messageOf(error)}`,
          error,
        );
        return;
      }
    }
  }

  /** All of them, or only those that had been published before: then nothing was appended, and the others go again. */
  async #append(session: Session, batch: readonly Waiting[]): Promise<Settled> {
    const channels = byChannel(batch);
    const [first = "", ...lines] = (await this.#ask(session, channels)).split("\n");
    if (first === "known") {
      const keyed = channels.flatMap(([, all]) => all.filter(({ key }) => key !== null));
      return new Map(readKnown(keyed, lines));
    }
    const settled = new Map<Waiting, Position>();
    for (const [i, line] of [first, ...lines].entries()) {
      const [channel = "", appended = []] = channels[i] ?? [];
      const items = readAppended(appended, line);
      for (const [nth, { epoch, offset }] of items.entries()) {
        const waiting = appended[nth];
        if (waiting !== undefined) settled.set(waiting, { epoch, offset });
      }
      this.#events.appended(channel, items);
    }
    return settled;
  }

  async #ask(session: Session, channels: readonly (readonly [string, readonly Waiting[]])[]): Promise<string> {
    const { schema, keyWindow } = this.#settings;
    const lengths = channels.map(([, all]) => lengthOf(all));
    const blocks = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + length, 0));
    let end = 0;
    for (const [, all] of channels) end = writeBlock(blocks, end, all);
    const retentions = channels.map(([, all]) => all.at(-1)?.retention);
    const keyed = channels.flatMap(([, all], i) =>
      all.flatMap(({ key }, nth) => (key === null ? [] : [{ owner: i + 1, nth, key }])),
    );
    const [row] = await session.writer.query(
      `select ${schema}.publish_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
      [
        channels.map(([channel]) => channel),
        channels.map(([, all]) => all.length),
        lengths,
        blocks,
        retentions.map((retention) => retention?.size ?? 0),
        retentions.map((retention) => Math.ceil(retention?.ttl ?? 0)),
        retentions.map((retention) => retention?.bytes ?? 0),
        keyed.map(({ owner }) => owner),
        keyed.map(({ nth }) => nth),
        keyed.map(({ key }) => key),
        freshEpoch(),
        keyWindow,
      ],
    );
    return row?.[0] ?? "";
  }

  async #relay(session: Session, batch: readonly Waiting[]): Promise<Settled> {
    const [row] = await session.writer.query(`select ${this.#settings.schema}.relay_1($1, $2, $3)::text`, [
      batch.map(({ channel }) => channel),
      batch.map(({ data }) => data.byteLength),
      // One parameter in binary instead of many in hexadecimal.
      Buffer.concat(batch.map(({ data }) => data)),
    ]);
    this.#events.relayed(row?.[0] ?? "", [...new Set(batch.map(({ channel }) => channel))]);
    return new Map(batch.map((waiting) => [waiting, undefined]));
  }
}

function fail(batch: readonly Waiting[], code: "notStored" | "unknown", message: string, cause?: unknown): void {
  for (const { lines, reject } of batch) reject(failure(lines, code, message, cause));
}

/** Marks the lines before anybody hears of it. */
function failure(
  lines: readonly Line[],
  code: "notStored" | "unknown",
  message: string,
  cause?: unknown,
): BackplaneError {
  for (const line of lines) line.failed = true;
  return new BackplaneError(code, message, cause);
}

export function freshEpoch(): string {
  return randomBytes(9).toString("base64url");
}

function byChannel(batch: readonly Waiting[]): [string, Waiting[]][] {
  const channels = new Map<string, Waiting[]>();
  for (const waiting of batch) {
    const all = channels.get(waiting.channel);
    if (all === undefined) channels.set(waiting.channel, [waiting]);
    else all.push(waiting);
  }
  return [...channels];
}

/** `first chain`: from which offset on these were appended, and the chain of their log. */
function readAppended(appended: readonly Waiting[], line: string): Item[] {
  const space = line.indexOf(" ");
  const first = readOffset(line.slice(0, Math.max(0, space)));
  const chain = readChain(line.slice(space + 1));
  if (first === undefined || chain === undefined || appended.length === 0) throw new Error(notOurs);
  const epoch = epochAt(chain, first);
  return appended.map(({ data }, nth) => ({ epoch, offset: first + nth, data }));
}

/** Lines of `number epoch offset`. */
function readKnown(keyed: readonly Waiting[], lines: readonly string[]): [Waiting, Position][] {
  if (lines.length === 0) throw new Error(notOurs);
  return lines.map((line) => {
    const [number = "", epoch = "", text = ""] = line.split(" ");
    const waiting = keyed[Number(number) - 1];
    const offset = readOffset(text);
    if (waiting === undefined || offset === undefined || !isEpoch(epoch)) throw new Error(notOurs);
    return [waiting, { epoch, offset }];
  });
}

const notOurs = "PostgreSQL holds something else than Zuruf's positions";
