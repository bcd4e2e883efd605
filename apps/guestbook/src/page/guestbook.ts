import { signal, type Signal } from "@preact/signals";
import type { Channel, Client } from "@zuruf/client";
import { channelName, isEntry, type EntriesPage, type Entry } from "../entry.ts";
import { watchConnection, type Connection } from "./connection.ts";
import { withEntries, withNewestPage } from "./entry-list.ts";
import { Outbox, type OutboxOptions } from "./outbox.ts";

export interface GuestbookOptions {
  readonly client: Client;
  /** Reads a page of entries; rejects when it cannot be read now. */
  fetchEntries(range: { readonly before?: number }): Promise<EntriesPage>;
  readonly storage: OutboxOptions["storage"];
  readonly now: () => number;
}

/**
 * The page's model: what is in the book, what is on its way into it, and how the page is connected.
 *
 * Entries come twice: read over HTTP together with the channel's position, and as publications from that position on.
 * Each is shown once, by its id. Where the channel cannot continue without a gap, the newest page is read again.
 */
export class Guestbook {
  /** Newest first. */
  readonly entries: Signal<readonly Entry[]> = signal([]);
  /** Whether the entries were read at all: not yet, not for now (it goes on trying), or yes. */
  readonly reading: Signal<"first" | "failing" | "done"> = signal("first");
  readonly older: Signal<"none" | "more" | "loading" | "failed"> = signal("none");
  /** Entries of others that came in last, for those who do not see the screen. */
  readonly arrived: Signal<readonly Entry[]> = signal([]);
  readonly connection: Signal<Connection>;
  readonly outbox: Outbox;
  /** Ids that came while the page was open: they appear with a sign that they are new. */
  readonly fresh: Set<number> = new Set();

  readonly #options: GuestbookOptions;
  readonly #channel: Channel<Entry>;
  /** Publications that came while the newest page was being read: shown after it, so that no gap is hidden between. */
  #held: Entry[] | undefined;
  #wakeUp: (() => void) | undefined;
  #subscribing = false;
  #again = false;

  constructor(options: GuestbookOptions) {
    this.#options = options;
    const channel = options.client.channel<Entry>(channelName);
    this.#channel = channel;
    this.connection = watchConnection(options.client, channel, options.now);
    this.outbox = new Outbox({
      // A draft goes out, and comes back as the entry that the server made of it. It may wait as long as a laptop stays closed.
      publish: (draft, key) => channel.publish(draft as Entry, { key, deadline: Infinity }),
      isShown: ({ epoch, offset }) => channel.position?.epoch === epoch && offset <= channel.position.offset,
      storage: options.storage,
      now: options.now,
    });
    channel.on("publication", ({ data, own, key }) => this.#publication(data, own, key));
    channel.on("subscribed", ({ recovered }) => {
      if (recovered) this.#wakeUp?.();
      else this.#readAnew();
    });
  }

  start(): void {
    this.#options.client.connect();
    this.outbox.restore();
    this.#readAnew();
  }

  async readOlder(): Promise<readonly Entry[]> {
    const last = this.entries.value.at(-1);
    if (last === undefined || this.older.value === "loading") return [];
    this.older.value = "loading";
    try {
      const page = await this.#options.fetchEntries({ before: last.id });
      this.entries.value = withEntries(this.entries.value, page.entries);
      this.older.value = page.older ? "more" : "none";
      return page.entries;
    } catch {
      this.older.value = "failed"; // The button says so and tries again.
      return [];
    }
  }

  #publication(entry: Entry, own: boolean, key: string | undefined): void {
    if (!isEntry(entry)) return; // Whoever may publish on the server's side could publish anything.
    if (key !== undefined) this.outbox.remove(key);
    if (this.#held === undefined) this.#show([entry]);
    else this.#held.push(entry);
    if (!own) this.arrived.value = [entry];
  }

  #show(entries: readonly Entry[]): void {
    const list = withEntries(this.entries.value, entries);
    if (list === this.entries.value) return;
    for (const { id } of entries) this.fresh.add(id);
    this.entries.value = list;
  }

  /** Reads the newest page until that succeeds. One reading at a time; what asks for another meanwhile begins it again. */
  #readAnew(): void {
    const running = this.#held !== undefined;
    this.#held ??= [];
    this.#again = true;
    this.#wakeUp?.();
    if (!running) void this.#read();
  }

  async #read(): Promise<void> {
    let attempt = 0;
    while (this.#again) {
      this.#again = false;
      try {
        this.#apply(await this.#options.fetchEntries({}));
        attempt = 0;
      } catch {
        // The server is away, and the page says so; the next try comes by itself, or with the connection.
        this.#again = true;
        if (this.reading.value === "first") this.reading.value = "failing";
        await this.#pause(Math.min(500 * 2 ** attempt++, 10_000));
      }
    }
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#show(held);
    this.outbox.removeStored();
  }

  #apply(page: EntriesPage): void {
    const { list, joined } = withNewestPage(this.entries.value, page);
    if (joined) {
      const newest = this.entries.value[0]?.id ?? 0;
      for (const { id } of page.entries) if (id > newest) this.fresh.add(id);
    }
    this.entries.value = list;
    if (!joined) this.older.value = page.older ? "more" : "none";
    this.reading.value = "done";
    if (this.#subscribing) return;
    this.#subscribing = true;
    // Rejects only when the server will not have us, which the connection's state says.
    this.#channel.subscribe(page.position === null ? {} : { position: page.position }).catch(() => undefined);
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wakeUp = undefined;
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#wakeUp = done;
    });
  }
}
