import { ZurufError, type Packet, type PacketOf } from "@zuruf/protocol";
import { mayAccess } from "../access.ts";
import type { Connection } from "../connection.ts";
import { optionsOf } from "../core.ts";
import { inTime } from "../in-time.ts";

/** Answers a client's `presence`: for those who may subscribe to the channel, subscribed or not. */
export async function presenceFor(connection: Connection, packet: PacketOf<"presence">): Promise<Packet> {
  const { core, client, user, data } = connection;
  const { channel: name, id } = packet;
  const options = optionsOf(core, name);
  if (!options.presence) throw new ZurufError("notFound", `${name} keeps no presence`);
  if (!connection.subscriptions.has(name)) {
    await inTime(core, "subscribe", mayAccess(options.subscribe, connection, name, "subscribe to"));
    await inTime(core, "onSubscribe", core.hooks.subscribe?.({ client, user, data, channel: name, info: undefined }));
  }
  const limit = packet.count === true ? 0 : core.limits.presenceMembers;
  const { members, connections, stale, list } = await core.presence.ask(name, limit);
  return { type: "presencePage", id, members, connections, ...(stale && { stale }), list };
}
