import type { Item, Position } from "./backplane.ts";
import { Channel, type ChannelContext } from "./channel.ts";
import type { ResolvedOptions } from "./channel-options.ts";
import { describe } from "./errors.ts";

/** How long the relay still delivers a channel that nobody here is subscribed to. */
const linger = 5000;

/** The channels that this instance is interested in, opened and closed at the backplane in batches. */
export class Channels {
  readonly #context: ChannelContext;
  readonly #open = new Map<string, Channel>();
  readonly #opening = new Map<string, Promise<void>>();
  readonly #closing = new Map<string, Promise<void>>();
  readonly #idle = new Set<Channel>();
  #batch:
    | { readonly names: Set<string>; readonly history: Set<string>; readonly done: Promise<Map<string, Position>> }
    | undefined;

  constructor(context: ChannelContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#open.size;
  }

  get(name: string): Channel | undefined {
    return this.#open.get(name);
  }

  values(): Iterable<Channel> {
    return this.#open.values();
  }

  /** A publication from the relay; one that nobody wants any more is dropped. */
  arrived(name: string, item: Item): void {
    this.#open.get(name)?.arrived(item);
  }

  /** The channel, live and with its head known; `release` it. @throws {BackplaneError} */
  async acquire(name: string, options: ResolvedOptions): Promise<Channel> {
    let channel = this.#open.get(name);
    if (channel === undefined) {
      channel = new Channel(name, options, this.#context);
      this.#open.set(name, channel);
      this.#opening.set(name, this.#openChannel(channel));
    }
    channel.users++;
    this.#idle.delete(channel);
    try {
      await this.#opening.get(name);
    } catch (error) {
      this.release(channel);
      throw error;
    }
    return channel;
  }

  release(channel: Channel): void {
    if (--channel.users > 0) return;
    channel.idleSince = this.#context.clock.now();
    this.#idle.add(channel);
  }

  /** Closes what has been idle for long enough. */
  sweep(now: number): void {
    const names: string[] = [];
    for (const channel of this.#idle) {
      // In the order of becoming idle; a clock that was set back only delays.
      if (now - channel.idleSince < linger) break;
      if (this.#opening.has(channel.name)) continue;
      this.#idle.delete(channel);
      const open = this.#open.get(channel.name);
      // A channel that failed to open may have a successor by now.
      if (open !== undefined && open !== channel) continue;
      this.#open.delete(channel.name);
      channel.close();
      names.push(channel.name);
    }
    if (names.length === 0) return;
    const closing = this.#unsubscribe(names);
    for (const name of names) this.#closing.set(name, closing);
  }

  close(): void {
    for (const channel of this.#open.values()) channel.close();
    this.#open.clear();
    this.#idle.clear();
  }

  /** Compares cursors with the store's heads: all, or those named. */
  async check(names?: readonly string[]): Promise<void> {
    const asked = new Map<string, Position>();
    const candidates = names ?? this.#open.keys();
    for (const name of candidates) {
      const cursor = this.#open.get(name)?.cursor;
      if (cursor !== undefined) asked.set(name, cursor);
    }
    if (asked.size === 0) return;
    const heads = await this.#context.backplane.heads([...asked.keys()]);
    for (const [name, head] of heads) {
      const cursor = asked.get(name);
      if (cursor !== undefined) this.#open.get(name)?.checked(head, cursor);
    }
  }

  async #openChannel(channel: Channel): Promise<void> {
    try {
      await this.#closing.get(channel.name);
      const heads = await this.#joinBatch(channel);
      const head = heads.get(channel.name);
      if (channel.options.retention !== undefined && head === undefined)
        throw new Error(`the backplane gave no head of ${channel.name}`);
      channel.opened(channel.options.retention === undefined ? undefined : head);
    } catch (error) {
      // The next one to ask tries again.
      channel.close();
      if (this.#open.get(channel.name) === channel) this.#open.delete(channel.name);
      throw error;
    } finally {
      this.#opening.delete(channel.name);
    }
  }

  async #unsubscribe(names: readonly string[]): Promise<void> {
    try {
      await this.#context.backplane.unsubscribe(names);
    } catch (error) {
      this.#context.log("warn", "unsubscribing failed", { channels: names.length, error: describe(error) });
    }
    // None of them was opened anew before this ended, so each entry is this one's.
    for (const name of names) this.#closing.delete(name);
  }

  /** Channels asked for in one tick are opened in one call each of `subscribe` and `heads`. */
  #joinBatch(channel: Channel): Promise<Map<string, Position>> {
    const { backplane } = this.#context;
    if (this.#batch === undefined) {
      const names = new Set<string>();
      const history = new Set<string>();
      const done = Promise.resolve().then(async () => {
        this.#batch = undefined;
        await backplane.subscribe([...names]);
        // After the subscription: what comes between is delivered, what came before is in the head.
        return history.size === 0 ? new Map<string, Position>() : backplane.heads([...history]);
      });
      this.#batch = { names, history, done };
    }
    this.#batch.names.add(channel.name);
    if (channel.options.retention !== undefined) this.#batch.history.add(channel.name);
    return this.#batch.done;
  }
}
