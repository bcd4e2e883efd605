import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Draft } from "../entry.ts";

/** An entry of this page that is not in the book yet. */
export interface Outgoing extends Draft {
  /** Idempotency key: however often it is sent, it is stored once. */
  readonly key: string;
  /**
   * `sending`: handed to the client, which queues it while there is no connection. `stored`: acknowledged, about to come back as an entry.
   * `slowDown`: refused until `sendableAt`. `refused`: for good, with `reason`. `failed`: not known to be stored.
   */
  readonly state: "sending" | "stored" | "slowDown" | "refused" | "failed";
  /** When it was written, in milliseconds since 1970. */
  readonly since: number;
  readonly sendableAt?: number;
  readonly reason?: string;
}

type Place = { readonly epoch: string; readonly offset: number };

export interface OutboxOptions {
  /** Publishes with acknowledgement; rejects with `code` and `retryAfter`. */
  publish(draft: Draft, key: string): Promise<{ readonly position?: Place | undefined }>;
  /** Whether the publication at this position has been shown already. */
  isShown(position: Place): boolean;
  /** Keeps what is not in the book yet over a reload of the page; undefined: nothing is kept. */
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | undefined;
  readonly now: () => number;
}

const storageKey = "guestbook.outbox";

export class Outbox {
  readonly #items: Signal<readonly Outgoing[]> = signal([]);
  readonly #options: OutboxOptions;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Oldest first. */
  get items(): ReadonlySignal<readonly Outgoing[]> {
    return this.#items;
  }

  /** Sends again what an earlier life of the page had not finished; with the same keys, so that nothing is stored twice. */
  restore(): void {
    for (const { key, name, message, since } of this.#read())
      this.#send({ key, name, message, since, state: "sending" });
  }

  add(draft: Draft): void {
    this.#send({ ...draft, key: newKey(), since: this.#options.now(), state: "sending" });
  }

  again(key: string): void {
    const item = this.#items.value.find((each) => each.key === key);
    if (item !== undefined)
      this.#send({ key, name: item.name, message: item.message, since: this.#options.now(), state: "sending" });
  }

  /** Takes an item out: it was shown as an entry, or its writer gave it up. */
  remove(key: string): void {
    this.#change(this.#items.value.filter((item) => item.key !== key));
  }

  /** Takes out what is stored: the entries were read anew and hold it. */
  removeStored(): void {
    this.#change(this.#items.value.filter((item) => item.state !== "stored"));
  }

  #send(item: Outgoing): void {
    this.#put(item);
    void this.#publish(item);
  }

  async #publish(item: Outgoing): Promise<void> {
    try {
      const { position } = await this.#options.publish({ name: item.name, message: item.message }, item.key);
      // It comes back as a publication like everybody else's; only if that is behind us nothing more will come.
      if (position === undefined || this.#options.isShown(position)) this.remove(item.key);
      else this.#replace({ ...item, state: "stored" });
    } catch (error) {
      this.#replace({ ...item, ...this.#outcomeOf(error) });
    }
  }

  #outcomeOf(error: unknown): Partial<Outgoing> & Pick<Outgoing, "state"> {
    const { code, message, retryAfter } = error as { code?: string; message?: string; retryAfter?: number };
    if (code === "rateLimited")
      return { state: "slowDown", sendableAt: this.#options.now() + Math.max(1000, retryAfter ?? 0) };
    if (code === "rejected" || code === "tooLarge") return { state: "refused", reason: message ?? code };
    return { state: "failed", reason: message ?? String(error) };
  }

  #put(item: Outgoing): void {
    if (this.#items.value.some(({ key }) => key === item.key)) this.#replace(item);
    else this.#change([...this.#items.value, item]);
  }

  /** Does nothing when the item is gone: it was shown or discarded meanwhile. */
  #replace(item: Outgoing): void {
    this.#change(this.#items.value.map((each) => (each.key === item.key ? item : each)));
  }

  #change(items: readonly Outgoing[]): void {
    this.#items.value = items;
    const { storage } = this.#options;
    try {
      if (items.length === 0) storage?.removeItem(storageKey);
      else storage?.setItem(storageKey, JSON.stringify(items));
    } catch {
      // Full or forbidden: sending does not depend on it, only surviving a reload does.
    }
  }

  #read(): readonly Outgoing[] {
    try {
      const items: unknown = JSON.parse(this.#options.storage?.getItem(storageKey) ?? "[]");
      return Array.isArray(items) ? items.filter(isOutgoing) : [];
    } catch {
      return []; // Written by something else: not ours to send.
    }
  }
}

function isOutgoing(item: unknown): item is Outgoing {
  const { key, name, message, since } = (item ?? {}) as Partial<Record<keyof Outgoing, unknown>>;
  return [key, name, message].every((text) => typeof text === "string") && typeof since === "number";
}

/** 128 random bits; `crypto.randomUUID` exists only on secure origins, and the book may be opened over plain HTTP in a local network. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
