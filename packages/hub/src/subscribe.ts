import { utf8Length, ZurufError, type Packet, type PacketOf, type WirePosition } from "@zuruf/protocol";
import { mayAccess } from "./access.ts";
import type { Channel } from "./channel.ts";
import type { Connection } from "./connection.ts";
import { optionsOf } from "./core.ts";
import { fromWire, toWire } from "./history.ts";
import { inTime } from "./in-time.ts";
import { recover, startLatest } from "./recovery.ts";
import { Subscription } from "./subscription.ts";

/** Answers `subscribe` before the first publication goes out. */
export async function subscribe(connection: Connection, packet: PacketOf<"subscribe">): Promise<undefined> {
  const { core, subscriptions } = connection;
  const { channel: name } = packet;
  if (subscriptions.has(name)) throw new ZurufError("alreadySubscribed", `already subscribed to ${name}`);
  const options = optionsOf(core, name);
  if (subscriptions.size >= core.limits.subscriptions)
    throw new ZurufError("tooMany", `a connection has at most ${core.limits.subscriptions} subscriptions`);
  if (packet.info !== undefined && utf8Length(JSON.stringify(packet.info)) > core.limits.infoBytes)
    throw new ZurufError("tooLarge", `info may have ${core.limits.infoBytes} bytes`);
  const subscription = new Subscription(connection, name, options, packet.echo !== false);
  // Counted from now on, so that a burst cannot pass the limit.
  subscriptions.set(name, subscription);
  try {
    const { client, user, data } = connection;
    await inTime(core, "subscribe", mayAccess(options.subscribe, connection, name, "subscribe to"));
    const asked = core.hooks.subscribe?.({ client, user, data, channel: name, info: packet.info });
    const granted = await inTime(core, "onSubscribe", asked);
    const channel = await core.channels.acquire(name, options);
    subscription.channel = channel;
    if (subscription.ended) core.channels.release(channel);
    else {
      await start(subscription, channel, packet);
      if (options.presence && !subscription.ended)
        core.presence.join(connection, name, packet.presence === true, granted?.info ?? packet.info);
    }
    // The server ended it before it began: the request still has its answer.
    if (subscription.ended && !subscription.answered)
      throw new ZurufError("forbidden", `the server ended the subscription to ${name}`);
  } catch (error) {
    end(subscription);
    throw error;
  }
}

export async function unsubscribe(connection: Connection, packet: PacketOf<"unsubscribe">): Promise<Packet> {
  const subscription = connection.subscriptions.get(packet.channel);
  if (subscription === undefined) throw new ZurufError("notSubscribed", `not subscribed to ${packet.channel}`);
  end(subscription);
  return { type: "unsubscribed", id: packet.id };
}

/** @param clean the client left on purpose: presence need not wait for it. */
export function unsubscribeAll(connection: Connection, clean: boolean): void {
  for (const subscription of connection.subscriptions.values()) end(subscription, clean);
}

/** Nothing more is sent for the subscription. */
export function end(subscription: Subscription, clean = true): void {
  if (subscription.ended) return;
  subscription.ended = true;
  const { connection, channel, name } = subscription;
  connection.subscriptions.delete(name);
  if (channel === undefined) return;
  channel.leave(subscription);
  // After its last publications, which may be held, too.
  connection.holding.delete(subscription);
  if (subscription.options.presence) connection.core.presence.leave(connection, name, clean);
  connection.core.channels.release(channel);
}

async function start(subscription: Subscription, channel: Channel, packet: PacketOf<"subscribe">): Promise<void> {
  const { connection, options } = subscription;
  const { delivery } = options;
  const answer = (given: Partial<PacketOf<"subscribed">>): void => {
    subscription.answered = true;
    connection.send({ type: "subscribed", id: packet.id, delivery, ...given });
  };
  const { cursor } = channel;
  if (cursor === undefined) {
    answer({});
    channel.join(subscription);
    return;
  }
  const from = options.live || packet.position === undefined ? undefined : fromWire(packet.position);
  if (delivery === "latest" && !options.live) {
    await startLatest(subscription, channel, from, answer);
  } else if (from === undefined || (from.epoch === cursor.epoch && from.offset === cursor.offset)) {
    // The cursor is checked against the store all the time: who is there needs no read.
    subscription.at(cursor);
    const position: WirePosition = toWire(cursor);
    answer(from === undefined ? { position } : { position, recovered: true });
    if (from !== undefined) connection.core.counters.recovered++;
    channel.join(subscription);
  } else await recover(subscription, channel, from, answer);
}
