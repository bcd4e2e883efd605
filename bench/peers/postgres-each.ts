import type { Backplane, BackplaneSink, HistoryPage, Position } from "@zuruf/hub";
import { Client } from "pg";

const connections = 8;

/**
 * What one writes first: one transaction per publication, in one round trip, whose NOTIFY carries it. It keeps a log with
 * offsets, but nobody reads it here. Each channel has its connection, so that the order is kept.
 */
export class PostgresEach implements Backplane {
  readonly can = { history: false, contiguous: false, idempotent: false } as const;
  readonly #url: string;
  readonly #writers: Client[] = [];
  #listener: Client | undefined;
  readonly #interest = new Set<string>();

  constructor(url: string) {
    this.#url = url;
  }

  async start(_instance: string, sink: BackplaneSink): Promise<void> {
    const open = async (): Promise<Client> => {
      const client = new Client({ connectionString: this.#url });
      await client.connect();
      return client;
    };
    const listener = await open();
    // Two instances start at the same time, and CREATE TABLE IF NOT EXISTS is not made for that.
    await listener.query(`SELECT pg_advisory_xact_lock(42);
      CREATE TABLE IF NOT EXISTS each_heads (channel text PRIMARY KEY, head bigint NOT NULL);
      CREATE TABLE IF NOT EXISTS each_log (channel text, number bigint, data bytea NOT NULL, PRIMARY KEY (channel, number))`);
    listener.on("notification", ({ payload = "" }) => {
      const space = payload.indexOf(" ");
      const channel = payload.slice(0, space);
      if (!this.#interest.has(channel)) return;
      const data = Buffer.from(payload.slice(space + 1), "base64");
      sink.publication(channel, { epoch: "", offset: 0, data });
    });
    await listener.query("LISTEN each");
    this.#listener = listener;
    for (let i = 0; i < connections; i++) this.#writers.push(await open());
    sink.up();
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#interest.add(channel);
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#interest.delete(channel);
  }

  async publish(channel: string, data: Uint8Array): Promise<undefined> {
    const bytes = Buffer.from(data);
    const number = Number(channel.replace(/\D/g, ""));
    await this.#writers[number % connections]?.query({
      name: "publish",
      text: `WITH head AS (
        INSERT INTO each_heads AS h VALUES ($1, 1) ON CONFLICT (channel) DO UPDATE SET head = h.head + 1 RETURNING head
      ), entry AS (INSERT INTO each_log SELECT $1, head, $2 FROM head)
      SELECT pg_notify('each', $3) FROM head`,
      values: [channel, bytes, `${channel} ${bytes.toString("base64")}`],
    });
  }

  heads(): Promise<Map<string, Position>> {
    return Promise.resolve(new Map());
  }

  history(): Promise<HistoryPage> {
    return Promise.reject(new Error("this backplane keeps no history that could be read"));
  }

  /** One instance's presence and direct messages are not measured. */
  control(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.#listener?.end();
    await Promise.all(this.#writers.map((client) => client.end()));
  }
}
