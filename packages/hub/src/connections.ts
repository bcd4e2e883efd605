import type { Connection } from "./connection.ts";

/** The connections of this instance, by client and by user. */
export class Connections {
  readonly all: Set<Connection> = new Set();
  readonly #clients = new Map<string, Connection>();
  readonly #users = new Map<string, Set<Connection>>();

  /** Connections that have a session. */
  get sessions(): number {
    return this.#clients.size;
  }

  client(id: string): Connection | undefined {
    return this.#clients.get(id);
  }

  user(id: string): ReadonlySet<Connection> {
    return this.#users.get(id) ?? none;
  }

  /** The sessions, in the order of their opening. */
  sessionsAfter(client: string | undefined, limit: number): Connection[] {
    const page: Connection[] = [];
    let skip = client !== undefined && this.#clients.has(client);
    for (const connection of this.#clients.values()) {
      if (skip) {
        skip = connection.client !== client;
        continue;
      }
      if (page.push(connection) >= limit) break;
    }
    return page;
  }

  opened(connection: Connection): void {
    this.#clients.set(connection.client, connection);
    if (connection.user === undefined) return;
    const connections = this.#users.get(connection.user) ?? new Set();
    this.#users.set(connection.user, connections.add(connection));
  }

  closed(connection: Connection): void {
    this.all.delete(connection);
    if (this.#clients.get(connection.client) === connection) this.#clients.delete(connection.client);
    if (connection.user === undefined) return;
    const connections = this.#users.get(connection.user);
    connections?.delete(connection);
    if (connections?.size === 0) this.#users.delete(connection.user);
  }
}

const none: ReadonlySet<Connection> = new Set();
