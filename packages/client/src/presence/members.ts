import type { Member as WireMember } from "@zuruf/protocol";

/** One connection of a member. */
export interface MemberConnection {
  /** Its client id: whom `send` reaches. */
  readonly client: string;
  /** What it said about itself when it subscribed; undefined: nothing. */
  readonly info: unknown;
}

/** Who is subscribed: a user with all its connections (tabs, devices), or one connection without a user. */
export interface Member {
  /** `user:<id>`, or the client id where there is no user. */
  readonly id: string;
  /** Undefined: nobody the server knows. */
  readonly user: string | undefined;
  /** Oldest first; at least one. */
  readonly connections: readonly MemberConnection[];
}

/** The view of a channel's presence, by member id. */
export type Members = ReadonlyMap<string, Member>;

/** What one push changed. */
export interface MembersChange {
  readonly members: Members;
  readonly joined: readonly Member[];
  readonly left: readonly Member[];
  /** Here before and after, with other connections or other info. */
  readonly updated: readonly Member[];
}

export const nobody: Members = new Map();

/**
 * The view after a push: each change replaces what was known of that member, none of its connections means that it left; with `snapshot`, who is not in it has left too.
 * Pure: `before` stays as it is; members that did not change are the same objects.
 */
export function reduceMembers(before: Members, changes: readonly WireMember[], snapshot: boolean): MembersChange {
  const members = new Map(snapshot ? [] : before);
  const joined: Member[] = [];
  const updated: Member[] = [];
  const left: Member[] = [];
  for (const [id, connections] of changes) {
    const known = before.get(id);
    if (connections.length === 0) {
      if (members.delete(id) && known !== undefined) left.push(known);
      continue;
    }
    const member = memberOf(id, connections);
    if (known !== undefined && isSame(known, member)) {
      members.set(id, known);
      continue;
    }
    members.set(id, member);
    (known === undefined ? joined : updated).push(member);
  }
  if (snapshot) for (const member of before.values()) if (!members.has(member.id)) left.push(member);
  return { members, joined, left, updated };
}

export function memberOf(id: string, connections: WireMember[1]): Member {
  return {
    id,
    user: id.startsWith("user:") ? id.slice(5) : undefined,
    connections: connections.map(([client, info]) => ({ client, info })),
  };
}

/** By what they say: info is JSON. */
function isSame(a: Member, b: Member): boolean {
  return JSON.stringify(a.connections) === JSON.stringify(b.connections);
}
