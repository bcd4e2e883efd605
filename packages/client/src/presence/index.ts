export type { Member, MemberConnection, Members, MembersChange } from "./members.ts";
export { reduceMembers } from "./members.ts";
export { presence, type Presence, type PresenceCount, type PresenceEvents } from "./presence.ts";
