import type { BackplaneSink, InstanceId, Item } from "@zuruf/hub";
import { epochAt, readChain, readControl, readOffset } from "@zuruf/hub/store";
import { lengthOfBytes, readBlock, readBytes } from "./block.ts";
import type { Connection, Row } from "./connection.ts";
import { paceFrom } from "./pace.ts";

/** Bounds of one query, and blocks of each channel in it: what is left comes with the next. */
const most = { channels: 500, publications: 10_000, blocks: 50, bytes: 4 * 1024 * 1024, batches: 25, polled: 1000 };

/** What is known of a channel with interest: everything up to `after` was delivered, and the log is said to reach `head`. */
interface Interest {
  /** Undefined while the head at the subscription is being asked for. */
  after: number | undefined;
  head: number;
}

/** A channel with something new: what is asked for, and up to where it is known to reach. */
interface Asked {
  readonly channel: string;
  readonly after: number;
  readonly head: number;
}

/** Turns hints into publications: asks the log for what is new on channels with interest, many channels in one query, one query at a time. */
export class Fetcher {
  readonly #schema: string;
  readonly #sink: BackplaneSink;
  readonly #instance: InstanceId;
  readonly #controls: readonly string[];
  /** How hints about this instance's own publications begin. */
  readonly #own: string;
  readonly #interest = new Map<string, Interest>();
  readonly #dirty = new Set<string>();
  #batches: { readonly batch: string; readonly channels: readonly string[] }[] = [];
  #connection: Connection | undefined;
  #running = false;
  /** Channels that this turn of polling has not looked at yet. */
  #unpolled: string[] = [];

  /** @param controls the names under which control messages for this instance are relayed. */
  constructor(schema: string, sink: BackplaneSink, instance: InstanceId, controls: readonly string[]) {
    this.#instance = instance;
    this.#own = `log ${encodeURIComponent(instance)} `;
    this.#schema = schema;
    this.#sink = sink;
    this.#controls = controls;
  }

  channels(): string[] {
    return [...this.#interest.keys()];
  }
  has(channel: string): boolean {
    return this.#interest.has(channel);
  }
  /** From now on hints count; `begin` says from where on. */
  add(channel: string): void {
    this.#interest.set(channel, { after: undefined, head: 0 });
  }
  begin(channel: string, head: number): void {
    const interest = this.#interest.get(channel);
    if (interest === undefined || interest.after !== undefined) return;
    interest.after = head;
    if (interest.head > head) this.#mark(channel);
  }
  remove(channel: string): void {
    this.#interest.delete(channel);
    this.#dirty.delete(channel);
  }
  /** A new session: what was announced meanwhile was missed, and the hub asks for it; heads may even have gone back. */
  restart(connection: Connection): void {
    this.#connection = connection;
    this.#dirty.clear();
    this.#batches = [];
    for (const interest of this.#interest.values()) {
      interest.after = undefined;
      interest.head = 0;
    }
  }

  /**
   * This instance appended these itself: where they come next they need not be read.
   * A fetch that is under way may bring them too, and does not deliver them again.
   */
  appended(channel: string, items: readonly Item[]): void {
    const interest = this.#interest.get(channel);
    const [first, last] = [items[0]?.offset ?? 0, items.at(-1)?.offset ?? 0];
    if (interest?.after === undefined || interest.after !== first - 1) return this.reached(channel, last);
    interest.after = last;
    for (const item of items) this.#sink.publication(channel, item);
  }

  /** `log <instance> <head>=<channel> …` or `relay <batch> <channel> …`; anything else is somebody else's. */
  hint(payload: string): void {
    // What it appended itself it knows already.
    if (payload.startsWith(this.#own)) return;
    const [kind, ...words] = payload.split(" ");
    if (kind === "log") {
      for (const word of words.slice(1)) {
        const equals = word.indexOf("=");
        this.reached(word.slice(equals + 1), readOffset(word.slice(0, Math.max(0, equals))));
      }
    } else if (kind === "relay") {
      const [batch = "", ...channels] = words;
      const wanted = channels.filter((channel) => this.#interest.has(channel) || this.#controls.includes(channel));
      if (readOffset(batch) === undefined || wanted.length === 0) return;
      this.#batches.push({ batch, channels: wanted });
      this.#start();
    }
  }

  /**
   * Looks for what no hint told: one query for at most 1,000 channels, the next ones at the next call, that answers with those only whose head is
   * beyond what is known here. Rejects when the connection fails.
   */
  async poll(): Promise<void> {
    const connection = this.#connection;
    if (this.#unpolled.length === 0) this.#unpolled = this.channels();
    const channels = this.#unpolled.splice(0, most.polled);
    if (connection === undefined || channels.length === 0) return;
    const known = channels.map((channel) => {
      const interest = this.#interest.get(channel);
      return Math.max(interest?.head ?? 0, interest?.after ?? 0);
    });
    const sql = `select w.channel, h.head::text from unnest($1::text[], $2::bigint[]) w (channel, known)
      join ${this.#schema}.head h on h.channel = w.channel and h.head > w.known`;
    const rows = await connection.query(sql, [channels, known]);
    if (connection !== this.#connection) return;
    for (const [channel, head] of rows) this.reached(channel ?? "", readOffset(head ?? ""));
  }

  /** The log of this channel is said to go on to here. */
  reached(channel: string, head: number | undefined): void {
    const interest = this.#interest.get(channel);
    if (interest === undefined || head === undefined) return;
    interest.head = Math.max(interest.head, head);
    if (interest.after !== undefined && head > interest.after) this.#mark(channel);
  }

  #mark(channel: string): void {
    this.#dirty.add(channel);
    this.#start();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    // What one read of the socket brought is asked for together.
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (this.#dirty.size + this.#batches.length > 0) {
        const begun = performance.now();
        const many = this.#dirty.size + this.#batches.length > 1;
        await this.#round();
        if (many) await paceFrom(begun);
      }
    } catch {
      // The connection failed, which its session says: the hub looks at the heads once there is another. Or the server gave up on one question:
      // then polling finds the channels again, as if nothing had been said of them.
      this.#dirty.clear();
      this.#batches = [];
      for (const interest of this.#interest.values()) interest.head = interest.after ?? 0;
    } finally {
      this.#running = false;
    }
  }

  async #round(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) throw new Error("not connected");
    const batches = this.#batches.splice(0, most.batches);
    const relayed = batches.length === 0 ? [] : await this.#relayed(connection, batches);
    const asked = this.#take();
    const logged = asked.length === 0 ? [] : await this.#logged(connection, asked);
    // What an old session answered could overtake what the new one says.
    if (connection !== this.#connection) return;
    for (const [channel, data] of relayed) this.#deliverRelayed(channel, data);
    this.#deliverLogged(asked, logged);
  }

  async #relayed(
    connection: Connection,
    batches: readonly { batch: string; channels: readonly string[] }[],
  ): Promise<Row[]> {
    const channels = [...new Set(batches.flatMap((entry) => entry.channels))];
    const sql = `select channel, data from ${this.#schema}.relay where batch = any($1::bigint[]) and channel = any($2) order by batch, n`;
    return connection.query(sql, [[...new Set(batches.map((entry) => entry.batch))], channels]);
  }

  /** Channels of which something is new, as many as one query may ask for. */
  #take(): Asked[] {
    const asked: Asked[] = [];
    let publications = 0;
    for (const channel of this.#dirty) {
      if (asked.length === most.channels || publications >= most.publications) break;
      this.#dirty.delete(channel);
      const { after, head = 0 } = this.#interest.get(channel) ?? {};
      if (after === undefined || after >= head) continue;
      asked.push({ channel, after, head });
      publications += head - after;
    }
    return asked;
  }

  #logged(connection: Connection, asked: readonly Asked[]): Promise<Row[]> {
    // The first block of each channel before the second of any, as long as there is room: their lengths are known without reading them.
    const sql = `select n::text, chain, first::text, data from (
        select w.n, h.chain, l.first, l.data, sum(octet_length(l.data)) over (order by l.nth, w.n) - octet_length(l.data) as before
        from unnest($1::text[], $2::bigint[]) with ordinality w (channel, after, n) join ${this.#schema}.head h on h.channel = w.channel
        cross join lateral (select first, data, row_number() over (order by first) as nth from ${this.#schema}.log x
          where x.head = h.id and x.first > w.after order by x.first limit ${most.blocks}) l
      ) block where before < ${most.bytes}`;
    return connection.query(sql, [asked.map(({ channel }) => channel), asked.map(({ after }) => after)]);
  }

  #deliverRelayed(channel: string | null | undefined, data: string | null | undefined): void {
    if (typeof channel !== "string" || typeof data !== "string") return;
    const bytes = readBytes(data);
    if (this.#controls.includes(channel)) {
      const control = readControl(bytes);
      if (control !== undefined && control.from !== this.#instance) this.#sink.control(control.from, control.message);
    } else if (this.#interest.has(channel)) this.#sink.publication(channel, { epoch: "", offset: 0, data: bytes });
  }

  #deliverLogged(asked: readonly Asked[], rows: readonly Row[]): void {
    const blocks = rows.map(([n, chain, first, data]) => ({
      channel: asked[Number(n) - 1]?.channel ?? "",
      chain: readChain(chain ?? ""),
      first: readOffset(first ?? ""),
      data: data ?? "",
    }));
    blocks.sort((a, b) => (a.first ?? 0) - (b.first ?? 0));
    for (const { channel, chain, first, data } of blocks) {
      const interest = this.#interest.get(channel);
      // It was left, and perhaps subscribed to again, while this was on its way.
      if (interest?.after === undefined || chain === undefined || first === undefined) continue;
      let next = first;
      for (const publication of readBlock(readBytes(data))) {
        const offset = next++;
        // It came with the writer's answer meanwhile.
        if (offset <= interest.after) continue;
        interest.after = offset;
        this.#sink.publication(channel, { epoch: epochAt(chain, offset), offset, data: publication });
      }
    }
    // As many bytes as one query brings: what is missing may have had no room.
    const full = blocks.reduce((sum, { data }) => sum + lengthOfBytes(data), 0) >= most.bytes;
    const answered = new Set(blocks.map(({ channel }) => channel));
    // Those that had no room come first the next time, else a channel that always has more would keep them waiting.
    const [missing, served] = [
      asked.filter(({ channel }) => !answered.has(channel)),
      asked.filter(({ channel }) => answered.has(channel)),
    ];
    for (const { channel, after, head } of [...missing, ...served]) {
      const interest = this.#interest.get(channel);
      if (interest?.after === undefined) continue;
      // What there is nothing of was not kept, or is no block.
      if (interest.after <= after && (answered.has(channel) || !full)) interest.after = head;
      if (interest.after >= interest.head) continue;
      // What was cut off comes with the next query, and so does what was said meanwhile.
      this.#dirty.delete(channel);
      this.#dirty.add(channel);
    }
  }
}
