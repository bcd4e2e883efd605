import { BackplaneError } from "@zuruf/hub";
import type { Client, CustomTypesConfig } from "pg";

/** The part of `pg` that is used here: an optional peer, loaded when the backplane starts. */
export interface Driver {
  readonly Client: typeof Client;
}

export async function loadDriver(): Promise<Driver> {
  try {
    return (await import("pg")).default;
  } catch (error) {
    throw new BackplaneError("unusable", "the PostgreSQL backplane needs the package pg: npm install pg", error);
  }
}

/** All values stay text: what they mean is known by the query, and numbers beyond 2^53 must not be rounded unseen. */
const asText: CustomTypesConfig = { getTypeParser: () => (value: string | Buffer) => value };

export type Row = readonly (string | null)[];

/** One connection that is never made anew by itself: its owner hears `lost` once, and then makes another. */
export class Connection {
  readonly #client: Client;
  readonly #lost: (error: Error) => void;
  #over = false;
  #waiting = 0;
  #looks = 0;
  #last: Promise<void> = Promise.resolve();
  /** Each statement is parsed and planned once per connection; there are a dozen, none made of values. */
  readonly #names = new Map<string, string>();

  private constructor(client: Client, lost: (error: Error) => void) {
    this.#client = client;
    this.#lost = lost;
    client.on("error", (error) => this.#end(error));
    client.on("end", () => this.#end(new Error("the connection ended")));
  }

  static async open(
    driver: Driver,
    url: string,
    name: string,
    deadlines: { readonly connect: number; readonly statement: number },
    lost: (error: Error) => void,
  ): Promise<Connection> {
    const client = new driver.Client({
      connectionString: url,
      application_name: name,
      connectionTimeoutMillis: deadlines.connect,
      keepAlive: true,
      statement_timeout: deadlines.statement,
      // Planning anew for each batch, or compiling for it, costs more than running it.
      options: "-c plan_cache_mode=force_generic_plan -c jit=off",
      types: asText,
    });
    const connection = new Connection(client, lost);
    try {
      await client.connect();
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  get live(): boolean {
    return !this.#over;
  }

  /** Queries of one connection run one after the other. */
  async query(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    if (this.#over) throw new Error("the connection is closed");
    if (this.#waiting++ === 0) this.#looks = 0;
    const before = this.#last;
    let done = (): void => undefined;
    this.#last = new Promise((resolve) => {
      done = resolve;
    });
    try {
      await before;
      const result = await this.#client.query({
        name: this.#nameOf(text),
        text,
        values: [...values],
        rowMode: "array",
      });
      return result.rows as Row[];
    } finally {
      this.#waiting--;
      this.#looks = 0;
      done();
    }
  }

  #nameOf(text: string): string {
    let name = this.#names.get(text);
    if (name === undefined) this.#names.set(text, (name = `zuruf_${this.#names.size}`));
    return name;
  }

  /**
   * How often in a row this was asked while queries waited and none was answered. Counted instead of timed: when the process itself stood still,
   * an answer may wait to be read, and is read before this is asked again.
   */
  unanswered(): number {
    return this.#waiting === 0 || this.#over ? 0 : ++this.#looks;
  }

  /** Statements without values, several at once. */
  async run(statements: string): Promise<void> {
    await this.#client.query(statements);
  }

  onNotification(heard: (channel: string, payload: string) => void): void {
    this.#client.on("notification", ({ channel, payload = "" }) => heard(channel, payload));
  }

  #end(error: Error): void {
    if (this.#over) return;
    this.destroy();
    this.#lost(error);
  }

  /** Ends it at once; queries that wait reject. Says nothing to its owner. */
  destroy(): void {
    this.#over = true;
    const stream = (this.#client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
    stream.destroy();
  }

  /** Lets what was asked be answered. */
  async close(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    // The driver ends a connection at once, also while it waits for an answer.
    await this.#last;
    await this.#client.end();
  }
}
