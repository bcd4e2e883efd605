import type { InstanceId } from "@zuruf/hub";
import type { Connection } from "./connection.ts";

/** Bytes of one notification; PostgreSQL takes less than 8,000. */
const mostBytes = 7000;

/**
 * Tells all instances what is new, one notification for whatever has gathered while the one before was on its way. It is sent after the commit
 * and over another connection: a transaction with `NOTIFY` commits alone, while all others wait, and waits for the disk while it does.
 * What is lost with the connection is found by polling.
 */
export class Announcer {
  readonly #instance: InstanceId;
  readonly #listeners: string;
  readonly #heads = new Map<string, number>();
  #batches: { readonly batch: string; readonly channels: readonly string[] }[] = [];
  #running = false;
  #connection: Connection | undefined;

  /** @param listeners the name that instances listen to. */
  constructor(instance: InstanceId, listeners: string) {
    this.#instance = encodeURIComponent(instance);
    this.#listeners = listeners;
  }

  restart(connection: Connection): void {
    this.#connection = connection;
    this.#heads.clear();
    this.#batches = [];
  }

  /** The log of this channel reaches to `head`. */
  head(channel: string, head: number): void {
    this.#heads.set(channel, Math.max(head, this.#heads.get(channel) ?? 0));
    this.#start();
  }

  /** This batch of the relay has something for these channels. */
  batch(batch: string, channels: readonly string[]): void {
    this.#batches.push({ batch, channels });
    this.#start();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (this.#heads.size + this.#batches.length > 0) await this.#send(this.#take());
    } catch {
      // The connection failed, which its session says.
      this.#heads.clear();
      this.#batches = [];
    } finally {
      this.#running = false;
    }
  }

  #take(): string[] {
    const heads = [...this.#heads].map(([channel, head]) => `${head}=${channel}`);
    const hints = packed(`log ${this.#instance}`, heads);
    for (const { batch, channels } of this.#batches) hints.push(...packed(`relay ${batch}`, channels));
    this.#heads.clear();
    this.#batches = [];
    return hints;
  }

  async #send(hints: readonly string[]): Promise<void> {
    await this.#connection?.query("select pg_notify($1, hint) from unnest($2::text[]) hint", [this.#listeners, hints]);
  }
}

/** As few texts as will do, each with the kind in front. */
function packed(kind: string, words: readonly string[]): string[] {
  const hints: string[] = [];
  let hint = kind;
  for (const word of words) {
    if (Buffer.byteLength(hint) + Buffer.byteLength(word) > mostBytes) {
      hints.push(hint);
      hint = kind;
    }
    hint += ` ${word}`;
  }
  hints.push(hint);
  return hints;
}
