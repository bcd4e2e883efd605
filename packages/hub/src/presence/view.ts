import type { Member, MemberConnection } from "@zuruf/protocol";
import type { InstanceId } from "../backplane.ts";
import type { Entry } from "../control-message.ts";

/** The member that a connection belongs to: its user, or itself. */
export function memberOf({ client, user }: Pick<Entry, "client" | "user">): string {
  return user === undefined ? client : `user:${user}`;
}

/**
 * Who is in one channel, merged from what each instance says of its own connections. Pure: no time, no line.
 * Every change returns the members that it touched.
 */
export class PresenceView {
  readonly #owners = new Map<InstanceId, Map<string, Entry>>();
  readonly #members = new Map<string, Map<string, Map<InstanceId, Entry>>>();

  /** The instances that have connections here. */
  owners(): Iterable<InstanceId> {
    return this.#owners.keys();
  }

  entries(owner: InstanceId): Entry[] {
    return [...(this.#owners.get(owner)?.values() ?? [])];
  }

  set(owner: InstanceId, entry: Entry): string[] {
    const before = this.#owners.get(owner)?.get(entry.client);
    const touched =
      before === undefined || memberOf(before) === memberOf(entry) ? [] : this.remove(owner, entry.client);
    const entries = this.#owners.get(owner) ?? new Map<string, Entry>();
    this.#owners.set(owner, entries.set(entry.client, entry));
    const member = memberOf(entry);
    const clients = this.#members.get(member) ?? new Map<string, Map<InstanceId, Entry>>();
    this.#members.set(member, clients);
    clients.set(entry.client, (clients.get(entry.client) ?? new Map<InstanceId, Entry>()).set(owner, entry));
    return [...touched, member];
  }

  remove(owner: InstanceId, client: string): string[] {
    const entries = this.#owners.get(owner);
    const entry = entries?.get(client);
    if (entries === undefined || entry === undefined) return [];
    entries.delete(client);
    if (entries.size === 0) this.#owners.delete(owner);
    const member = memberOf(entry);
    const clients = this.#members.get(member);
    const copies = clients?.get(client);
    copies?.delete(owner);
    if (copies?.size === 0) clients?.delete(client);
    if (clients?.size === 0) this.#members.delete(member);
    return [member];
  }

  /** What an instance has counts as another's from now on; no member is touched. */
  rename(owner: InstanceId, as: InstanceId): void {
    const entries = this.#owners.get(owner);
    if (entries === undefined) return;
    this.#owners.delete(owner);
    this.#owners.set(as, entries);
    for (const entry of entries.values()) {
      const copies = this.#members.get(memberOf(entry))?.get(entry.client);
      copies?.delete(owner);
      copies?.set(as, entry);
    }
  }

  /** What an instance has now, in place of all it had. */
  replace(owner: InstanceId, entries: readonly Entry[]): string[] {
    const touched = new Set<string>();
    const staying = new Set(entries.map(({ client }) => client));
    for (const client of this.#owners.get(owner)?.keys() ?? []) {
      if (!staying.has(client)) for (const member of this.remove(owner, client)) touched.add(member);
    }
    for (const entry of entries) for (const member of this.set(owner, entry)) touched.add(member);
    return [...touched];
  }

  /** One member as it travels; without connections when it is not here. */
  member(id: string): Member {
    const connections: (Entry & { readonly client: string })[] = [];
    for (const copies of this.#members.get(id)?.values() ?? []) {
      // A connection that moved lingers where it was: what came last speaks for it.
      let newest: Entry | undefined;
      for (const copy of copies.values()) if (newest === undefined || copy.since > newest.since) newest = copy;
      if (newest !== undefined) connections.push(newest);
    }
    connections.sort((a, b) => a.since - b.since || (a.client < b.client ? -1 : 1));
    return [
      id,
      connections.map(({ client, info }): MemberConnection => (info === undefined ? [client] : [client, info])),
    ];
  }

  list(limit: number): Member[] {
    const list: Member[] = [];
    for (const id of this.#members.keys()) {
      if (list.length >= limit) break;
      list.push(this.member(id));
    }
    return list;
  }

  get members(): number {
    return this.#members.size;
  }

  get connections(): number {
    let count = 0;
    for (const clients of this.#members.values()) count += clients.size;
    return count;
  }
}
