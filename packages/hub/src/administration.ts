import { CloseCode } from "@zuruf/protocol";
import type { InstanceId } from "./backplane.ts";
import type { Connection } from "./connection.ts";
import type { Core } from "./core.ts";
import { end } from "./subscribe.ts";

/** Milliseconds that other instances have to answer. */
const askFor = 2000;

/** Whom an operation is about: one client, or all connections of a user. */
export type Target = { readonly client: string } | { readonly user: string };

export interface ConnectionRecord {
  readonly client: string;
  readonly user?: string;
  readonly instance: InstanceId;
  readonly address: string;
  readonly subscriptions: number;
  /** Bytes that wait for it. */
  readonly bufferedBytes: number;
  /** ms since 1970; absent: never. */
  readonly expires?: number;
}
export interface ChannelRecord {
  readonly channel: string;
  /** Subscriptions on that instance. */
  readonly subscriptions: number;
}
/** A page of one instance's list. */
export interface RecordPage<T> {
  readonly items: readonly T[];
  /** Ask for the page after this; absent: that was the last. */
  readonly next?: string;
}
/** How many connections an operation met, and which live instances did not answer. */
export interface Reach {
  readonly connections: number;
  readonly missing: readonly InstanceId[];
}

/** What a server's operator does to connections, on whichever instance they are. */
export class Administration {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
    const { control } = core;
    control.answer("disconnect", async (args) => {
      const { to, code, reason } = args as { to?: unknown; code?: unknown; reason?: unknown };
      if (typeof to !== "string" || typeof code !== "number" || typeof reason !== "string") return undefined;
      return { value: this.#disconnectHere(to, code, reason) };
    });
    control.answer("expires", async (args) => {
      const { client, expires } = args as { client?: unknown; expires?: unknown };
      if (typeof client !== "string" || typeof expires !== "number") return undefined;
      return { value: this.#expiresHere(client, expires) };
    });
    control.answer("unsubscribe", async (args) => {
      const { to, channel, reason } = args as { to?: unknown; channel?: unknown; reason?: unknown };
      if (typeof to !== "string" || typeof channel !== "string" || typeof reason !== "string") return undefined;
      return { value: this.#unsubscribeHere(to, channel, reason) };
    });
    control.answer("connections", async (args) => {
      const { after, limit } = pageArgs(args);
      return { value: this.#connectionsHere(after, limit) };
    });
    control.answer("channels", async (args) => {
      const { after, limit } = pageArgs(args);
      return { value: this.#channelsHere(after, limit) };
    });
  }

  /** Closes a client's or a user's connections everywhere. */
  async disconnect(target: Target, code: number, reason: string): Promise<Reach> {
    const to = "client" in target ? target.client : `user:${target.user}`;
    return this.#everywhere("disconnect", { to, code, reason }, this.#disconnectHere(to, code, reason));
  }

  /** Ends a client's or a user's subscriptions to a channel everywhere; the clients are told, and do not subscribe again by themselves. */
  async unsubscribe(target: Target, channel: string, reason: string): Promise<Reach> {
    const to = "client" in target ? target.client : `user:${target.user}`;
    return this.#everywhere("unsubscribe", { to, channel, reason }, this.#unsubscribeHere(to, channel, reason));
  }

  /** Gives a session another end, ms since 1970 (0: none); one in the past ends it now, and the client returns with a new token. */
  async expires(client: string, expires: number): Promise<Reach> {
    return this.#everywhere("expires", { client, expires }, this.#expiresHere(client, expires));
  }

  connections(
    instance: InstanceId,
    after: string | undefined,
    limit: number,
  ): Promise<RecordPage<ConnectionRecord> | undefined> {
    if (instance === this.#core.instance) return Promise.resolve(this.#connectionsHere(after, limit));
    return this.#askPage("connections", instance, after, limit);
  }

  channels(
    instance: InstanceId,
    after: string | undefined,
    limit: number,
  ): Promise<RecordPage<ChannelRecord> | undefined> {
    if (instance === this.#core.instance) return Promise.resolve(this.#channelsHere(after, limit));
    return this.#askPage("channels", instance, after, limit);
  }

  async #askPage<T>(
    kind: string,
    to: InstanceId,
    after: string | undefined,
    limit: number,
  ): Promise<RecordPage<T> | undefined> {
    const { replies } = await this.#core.control.ask(kind, { after, limit }, { to, timeout: askFor });
    return replies.get(to)?.value as RecordPage<T> | undefined;
  }

  async #everywhere(kind: string, args: unknown, here: number): Promise<Reach> {
    const { replies, missing } = await this.#core.control.ask(kind, args, { timeout: askFor });
    let connections = here;
    for (const { value } of replies.values()) connections += typeof value === "number" ? value : 0;
    return { connections, missing };
  }

  #find(to: string): Connection[] {
    const { connections } = this.#core;
    if (to.startsWith("user:")) return [...connections.user(to.slice(5))];
    const connection = connections.client(to);
    return connection === undefined ? [] : [connection];
  }

  #disconnectHere(to: string, code: number, reason: string): number {
    const found = this.#find(to);
    for (const connection of found) connection.close(code, reason);
    return found.length;
  }

  #unsubscribeHere(to: string, channel: string, reason: string): number {
    let ended = 0;
    for (const connection of this.#find(to)) {
      const subscription = connection.subscriptions.get(channel);
      if (subscription === undefined) continue;
      end(subscription);
      // One that has no answer yet is answered with the error.
      if (subscription.answered) connection.send({ type: "ended", channel, error: ["forbidden", reason, false, 0] });
      ended++;
    }
    return ended;
  }

  #expiresHere(client: string, expires: number): number {
    const found = this.#find(client);
    for (const connection of found) {
      connection.expires = expires;
      if (expires !== 0 && expires <= this.#core.clock.now())
        connection.close(CloseCode.expired, "the session expired");
    }
    return found.length;
  }

  #connectionsHere(after: string | undefined, limit: number): RecordPage<ConnectionRecord> {
    const page = this.#core.connections.sessionsAfter(Number(after ?? 0), limit + 1);
    const items = page.slice(0, limit).map((connection): ConnectionRecord => ({
      client: connection.client,
      ...(connection.user !== undefined && { user: connection.user }),
      instance: this.#core.instance,
      address: connection.address,
      subscriptions: connection.subscriptions.size,
      bufferedBytes: connection.bufferedBytes,
      ...(connection.expires > 0 && { expires: connection.expires }),
    }));
    const last = page[limit - 1];
    return { items, ...(page.length > limit && last && { next: String(last.place) }) };
  }

  #channelsHere(after: string | undefined, limit: number): RecordPage<ChannelRecord> {
    const names: ChannelRecord[] = [];
    for (const { name, subscribers } of this.#core.channels.values()) {
      if (subscribers > 0 && (after === undefined || name > after))
        names.push({ channel: name, subscriptions: subscribers });
    }
    names.sort((a, b) => (a.channel < b.channel ? -1 : 1));
    const items = names.slice(0, limit);
    const last = items.at(-1);
    return { items, ...(names.length > limit && last && { next: last.channel }) };
  }
}

function pageArgs(args: unknown): { after: string | undefined; limit: number } {
  const { after, limit } = (args ?? {}) as { after?: unknown; limit?: unknown };
  return {
    after: typeof after === "string" ? after : undefined,
    limit: typeof limit === "number" && limit >= 1 ? Math.min(limit, 1000) : 100,
  };
}
