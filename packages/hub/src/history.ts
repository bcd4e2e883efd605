import {
  ZurufError,
  type HistoryItem,
  type LossReason,
  type Packet,
  type PacketOf,
  type WirePosition,
} from "@zuruf/protocol";
import type { Backplane, HistoryPage, Position } from "./backplane.ts";
import type { Connection } from "./connection.ts";
import { decodeEnvelope } from "./envelope.ts";

export const fromWire = ([epoch, offset]: WirePosition): Position => ({ epoch, offset });
export const toWire = ({ epoch, offset }: { readonly epoch: string; readonly offset: number }): WirePosition => [
  epoch,
  offset,
];

/** A page of a channel's log, decoded. */
export interface DecodedPage {
  readonly items: readonly HistoryItem[];
  readonly position: Position;
  readonly complete: boolean;
  readonly reason?: LossReason;
}

export function decodePage(page: HistoryPage): DecodedPage {
  const items: HistoryItem[] = [];
  for (const { offset, data } of page.items) {
    const parts = decodeEnvelope(data);
    if (parts !== undefined) items.push({ offset, ...parts });
  }
  return {
    items,
    position: page.head,
    complete: page.complete,
    ...(page.reason !== undefined && { reason: page.reason }),
  };
}

export function readHistory(
  backplane: Backplane,
  channel: string,
  range: { after?: Position; before?: Position; limit: number },
): Promise<DecodedPage> {
  return backplane.history(channel, range).then(decodePage);
}

/** Answers a client's `history`: for those who are subscribed to the channel. */
export async function historyFor(connection: Connection, packet: PacketOf<"history">): Promise<Packet> {
  const { core } = connection;
  const subscription = connection.subscriptions.get(packet.channel);
  if (subscription === undefined)
    throw new ZurufError("notSubscribed", `subscribe to ${packet.channel} before asking for its history`);
  const { retention, live } = subscription.options;
  if (retention === undefined) throw new ZurufError("notFound", `${packet.channel} keeps no history`);
  if (live) throw new ZurufError("forbidden", `${packet.channel} is live only`);
  if (packet.limit < 1 || packet.limit > core.limits.historyPage)
    throw new ZurufError("badRequest", `limit must be 1 to ${core.limits.historyPage}`);
  const { items, position, complete, reason } = await readHistory(core.backplane, packet.channel, {
    ...(packet.after && { after: fromWire(packet.after) }),
    ...(packet.before && { before: fromWire(packet.before) }),
    limit: packet.limit,
  });
  return {
    type: "historyPage",
    id: packet.id,
    position: toWire(position),
    complete,
    ...(reason !== undefined && { reason }),
    items,
  };
}
