import { randomBytes } from "node:crypto";
import type { Item, Position, PublishOptions } from "@zuruf/hub";
import { epochAt, isEpoch, readChain, readOffset, type Deadlines } from "@zuruf/hub/store";
import { lengthOf, writeBlock } from "./block.ts";
import { isCollision, isUndone, isValueAtFault, messageOf } from "./failures.ts";
import type { Settings } from "./options.ts";
import { paceFrom } from "./pace.ts";
import type { Session } from "./session.ts";
import { Waiting, type Waited } from "./waiting.ts";

/** Bounds of one transaction, and so of a block: longer ones make others wait, and who wants a part of a block reads all of it. */
const most = { publications: 2000, bytes: 1024 * 1024 };
/** Bytes that may wait for PostgreSQL; beyond, publications are refused at once. */
const mostBytesWaiting = 64 * 1024 * 1024;
const mostAttempts = 5;

/** What the writer tells of what is stored. */
export interface WriterEvents {
  /** These are in the log, and nothing is between them. */
  appended(channel: string, items: readonly Item[]): void;
  /** These channels have something in this batch of the relay. */
  relayed(batch: string, channels: readonly string[]): void;
}

/**
 * Collects what is published while a transaction is on its way, and sends it all in the next one: one round trip and one commit for many.
 * One transaction at a time keeps the call order of each publisher. After a transaction for one publication alone the next begins at once, so that
 * whoever waits for each answer is not held up; after others at the pace of `paceFrom`.
 */
export class Writer implements Waited {
  readonly #settings: Settings;
  readonly #deadlines: Deadlines;
  readonly #session: () => Session | undefined;
  readonly #events: WriterEvents;
  #queue: Waiting[] = [];
  #bytes = 0;
  #running = false;
  /** Publications with a key that are not over yet: a repeat takes part in the first one's. */
  readonly #byKey = new Map<string, Waiting>();

  constructor(settings: Settings, deadlines: Deadlines, session: () => Session | undefined, events: WriterEvents) {
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#session = session;
    this.#events = events;
  }

  get deadline(): number {
    return this.#deadlines.ms;
  }

  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    const { key, line } = options;
    const first = key === undefined ? undefined : this.#byKey.get(nameOf(channel, key));
    if (first !== undefined) {
      first.join(line);
      return first.settled;
    }
    const waiting = new Waiting(this, channel, data, options);
    this.#bytes += data.byteLength;
    if (key !== undefined) this.#byKey.set(nameOf(channel, key), waiting);
    if (this.#bytes > mostBytesWaiting)
      waiting.fail("notStored", "too many publications wait for PostgreSQL: publish slower, or later");
    else if (this.#session()?.live !== true) waiting.fail("notStored", this.#unreachable());
    else this.#enqueue(waiting);
    return waiting.settled;
  }

  #enqueue(waiting: Waiting): void {
    this.#deadlines.add(waiting);
    this.#queue.push(waiting);
    if (this.#running) return;
    this.#running = true;
    // What is published in the same turn goes together.
    setImmediate(() => void this.#run());
  }

  over(waiting: Waiting): void {
    this.#deadlines.delete(waiting);
    this.#bytes -= waiting.data.byteLength;
    if (waiting.key !== undefined) this.#byKey.delete(nameOf(waiting.channel, waiting.key));
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const begun = performance.now();
      const batch = this.#take();
      const stored = batch.filter((waiting) => waiting.retention !== undefined);
      const relayed = batch.filter((waiting) => waiting.retention === undefined);
      await this.#write(stored, (session, part) => this.#append(session, part));
      await this.#write(relayed, (session, part) => this.#relay(session, part));
      if (batch.length > 1) await paceFrom(begun);
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

  /** @param send stores these, and answers with those that must go again, without the others. */
  async #write(
    wanted: readonly Waiting[],
    send: (session: Session, batch: readonly Waiting[]) => Promise<readonly Waiting[]>,
  ): Promise<void> {
    let batch = wanted.filter((waiting) => {
      if (waiting.barred) waiting.fail("notStored", "an earlier publication failed");
      return !waiting.over;
    });
    for (let attempt = 1; batch.length > 0; attempt++) {
      const session = this.#session();
      if (session?.live !== true) {
        for (const waiting of batch) waiting.fail("notStored", this.#unreachable());
        return;
      }
      for (const waiting of batch) waiting.sent = true;
      try {
        batch = [...(await send(session, batch))];
      } catch (error) {
        if (isCollision(error) && attempt < mostAttempts) continue;
        if (isValueAtFault(error) && batch.length > 1) {
          // One of them; each for itself, so that the others do not pay for it.
          for (const waiting of batch) await this.#write([waiting], send);
          return;
        }
        const undone = isUndone(error);
        const message = `PostgreSQL ${undone ? "refused" : "went away"}: ${messageOf(error)}`;
        for (const waiting of batch) waiting.fail(undone ? "notStored" : "unknown", message, error);
        return;
      }
    }
  }

  #unreachable(): string {
    return `PostgreSQL at ${this.#settings.where} cannot be reached now`;
  }

  /** All of them, or only those that had been published before: then nothing was appended, and the others go again. */
  async #append(session: Session, batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    const channels = byChannel(batch);
    const [first = "", ...lines] = (await this.#ask(session, channels)).split("\n");
    if (first === "known") {
      const keyed = channels.flatMap(([, all]) => all.filter(({ key }) => key !== undefined));
      const known = new Map(readKnown(keyed, lines));
      for (const [waiting, position] of known) waiting.store(position);
      return batch.filter((waiting) => !known.has(waiting));
    }
    for (const [i, line] of [first, ...lines].entries()) {
      const [channel = "", appended = []] = channels[i] ?? [];
      const items = readAppended(appended, line);
      this.#events.appended(channel, items);
      let nth = 0;
      for (const { epoch, offset } of items) appended[nth++]?.store({ epoch, offset });
    }
    return [];
  }

  async #ask(session: Session, channels: readonly (readonly [string, readonly Waiting[]])[]): Promise<string> {
    const { schema, keyWindow } = this.#settings;
    const lengths = channels.map(([, all]) => lengthOf(all));
    const blocks = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + length, 0));
    let end = 0;
    for (const [, all] of channels) end = writeBlock(blocks, end, all);
    const retentions = channels.map(([, all]) => all.at(-1)?.retention);
    const keyed = channels.flatMap(([, all], i) =>
      all.flatMap(({ key }, nth) => (key === undefined ? [] : [{ owner: i + 1, nth, key }])),
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

  async #relay(session: Session, batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    const [row] = await session.writer.query(`select ${this.#settings.schema}.relay_1($1, $2, $3)::text`, [
      batch.map(({ channel }) => channel),
      batch.map(({ data }) => data.byteLength),
      // One parameter in binary instead of many in hexadecimal.
      Buffer.concat(batch.map(({ data }) => data)),
    ]);
    this.#events.relayed(row?.[0] ?? "", [...new Set(batch.map(({ channel }) => channel))]);
    for (const waiting of batch) waiting.store(undefined);
    return [];
  }
}

export function freshEpoch(): string {
  return randomBytes(9).toString("base64url");
}

function nameOf(channel: string, key: string): string {
  return `${channel} ${key}`;
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
