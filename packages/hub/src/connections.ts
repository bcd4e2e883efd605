import type { Connection } from "./connection.ts";

/** The connections of this instance, by client and by user. */
export class Connections {
  readonly all: Set<Connection> = new Set();
  readonly #clients = new Map<string, Connection>();
  readonly #users = new Map<string, Set<Connection>>();
  #opened = 0;

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

  /** The sessions that were opened after a `place`, in the order of their opening. */
  sessionsAfter(place: number, limit: number): Connection[] {
    const page: Connection[] = [];
    for (const connection of this.#clients.values())
      if (connection.place > place && page.push(connection) >= limit) break;
    return page;
  }

  opened(connection: Connection): void {
    connection.place = ++this.#opened;
    // Behind all others, also where it takes the place of an older connection of its session.
    this.#clients.delete(connection.client);
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
