import type { BackplaneSink, InstanceId } from "@zuruf/hub";
import { epochAt, readChain, readControl, readOffset } from "@zuruf/hub/store";
import type { Connection, Row } from "./connection.ts";

/** Bounds of one query: what is left comes with the next. */
const most = { channels: 100, items: 100, batches: 100, polled: 1000 };

/** What is known of a channel with interest: everything up to `after` was delivered, and the log is said to reach `head`. */
interface Interest {
  /** Undefined while the head at the subscription is being asked for. */
  after: number | undefined;
  head: number;
}

/** Turns hints into publications: asks the log for what is new on channels with interest, many channels in one query, one query at a time. */
export class Fetcher {
  readonly #schema: string;
  readonly #sink: BackplaneSink;
  readonly #instance: InstanceId;
  readonly #controls: readonly string[];
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

  /** `log <head>=<channel> …` or `relay <batch> <channel> …`; anything else is somebody else's. */
  hint(payload: string): void {
    const [kind, ...words] = payload.split(" ");
    if (kind === "log") {
      for (const word of words) {
        const equals = word.indexOf("=");
        this.#reached(word.slice(equals + 1), readOffset(word.slice(0, Math.max(0, equals))));
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
    for (const [channel, head] of rows) this.#reached(channel ?? "", readOffset(head ?? ""));
  }

  #reached(channel: string, head: number | undefined): void {
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
      while (this.#dirty.size + this.#batches.length > 0) await this.#round();
    } catch {
      // The connection failed, which its session says; the hub looks at the heads once there is another.
      this.#dirty.clear();
      this.#batches = [];
    } finally {
      this.#running = false;
    }
  }

  async #round(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) throw new Error("not connected");
    const batches = this.#batches.splice(0, most.batches);
    const relayed = batches.length === 0 ? [] : await this.#relayed(connection, batches);
    const logged = this.#dirty.size === 0 ? [] : await this.#logged(connection);
    // What an old session answered could overtake what the new one says.
    if (connection !== this.#connection) return;
    for (const [channel, data] of relayed) this.#deliverRelayed(channel, data);
    this.#deliverLogged(logged);
  }

  async #relayed(
    connection: Connection,
    batches: readonly { batch: string; channels: readonly string[] }[],
  ): Promise<Row[]> {
    const channels = [...new Set(batches.flatMap((entry) => entry.channels))];
    const sql = `select channel, data from ${this.#schema}.relay where batch = any($1::bigint[]) and channel = any($2) order by batch, n`;
    return connection.query(sql, [[...new Set(batches.map((entry) => entry.batch))], channels]);
  }

  async #logged(connection: Connection): Promise<Row[]> {
    const channels = [...this.#dirty].slice(0, most.channels);
    for (const channel of channels) this.#dirty.delete(channel);
    // A hint may come while this is under way: what it says is not in the answer.
    const heads = channels.map((channel) => this.#interest.get(channel)?.head ?? 0);
    const sql = `select w.channel, h.chain, l."offset", l.data
      from unnest($1::text[], $2::bigint[]) w (channel, after) join ${this.#schema}.head h on h.channel = w.channel
      cross join lateral (select "offset", data from ${this.#schema}.log x
        where x.channel = h.channel and x."offset" > w.after order by x."offset" limit ${most.items}) l
      order by w.channel, l."offset"`;
    const rows = await connection.query(sql, [
      channels,
      channels.map((channel) => this.#interest.get(channel)?.after ?? 0),
    ]);
    const counts = new Map<string, number>();
    for (const [channel] of rows) if (typeof channel === "string") counts.set(channel, (counts.get(channel) ?? 0) + 1);
    for (const [i, channel] of channels.entries()) {
      const interest = this.#interest.get(channel);
      if (interest === undefined) continue;
      // A full page may not be all; anything less is, and what is missing in it was not kept.
      if (counts.get(channel) === most.items) this.#dirty.add(channel);
      else interest.after = Math.max(interest.after ?? 0, heads[i] ?? 0);
    }
    return rows;
  }

  #deliverRelayed(channel: string | null | undefined, data: string | null | undefined): void {
    if (typeof channel !== "string" || typeof data !== "string") return;
    const bytes = readBytes(data);
    if (this.#controls.includes(channel)) {
      const control = readControl(bytes);
      if (control !== undefined && control.from !== this.#instance) this.#sink.control(control.from, control.message);
    } else if (this.#interest.has(channel)) this.#sink.publication(channel, { epoch: "", offset: 0, data: bytes });
  }

  #deliverLogged(rows: readonly Row[]): void {
    for (const [channel, chainText, offsetText, data] of rows) {
      const interest = this.#interest.get(channel ?? "");
      const chain = readChain(chainText ?? "");
      const offset = readOffset(offsetText ?? "");
      if (interest === undefined || chain === undefined || offset === undefined) continue;
      interest.after = Math.max(interest.after ?? 0, offset);
      this.#sink.publication(channel ?? "", { epoch: epochAt(chain, offset), offset, data: readBytes(data ?? "\\x") });
    }
  }
}

/** PostgreSQL's text form of bytea: `\x` and hexadecimal digits. */
export function readBytes(text: string): Buffer {
  return Buffer.from(text.slice(2), "hex");
}
