import { CloseCode, type PacketOf } from "@zuruf/protocol";
import type { Position } from "./backplane.ts";
import type { Channel, Page } from "./channel.ts";
import { describe } from "./errors.ts";
import { toWire } from "./history.ts";
import type { Subscription } from "./subscription.ts";

type Answer = (given: Partial<PacketOf<"subscribed">>) => void;

/** Before the store is asked again: when it failed, and when it knew less than the relay. */
const retryAfterFailure = 1000;
const retryWhenEmpty = 100;

/**
 * Continues a subscription from a position: answers, sends what came after it page by page, and joins the live
 * subscribers where they are. What is published meanwhile is read from the store, so it is ordered in by itself.
 */
export async function recover(
  subscription: Subscription,
  channel: Channel,
  from: Position,
  answer: Answer,
): Promise<void> {
  const { counters } = subscription.connection.core;
  const page = await channel.readAfter(from);
  if (subscription.ended) return;
  if (page.reason !== undefined) {
    counters.notRecovered++;
    const cursor = await agreed(channel, page.head);
    if (subscription.ended) return;
    subscription.at(cursor);
    answer({ position: toWire(cursor), recovered: false, reason: page.reason });
    channel.join(subscription);
    return;
  }
  counters.recovered++;
  subscription.at(from);
  answer({ position: toWire(from), recovered: true });
  // The request is answered; the rest of the way needs nobody to wait for it.
  follow(subscription, channel, page);
}

/** Sends what came after the subscription's own position, from `first` on where that page was read already, until it is among the live. */
export function follow(subscription: Subscription, channel: Channel, first?: Page): void {
  catchUp(subscription, channel, first).catch((error: unknown) => {
    const { core } = subscription.connection;
    core.log("error", "a recovery failed", { channel: channel.name, error: describe(error) });
    subscription.connection.close(CloseCode.unavailable, "the server failed");
  });
}

async function catchUp(subscription: Subscription, channel: Channel, first: Page | undefined): Promise<void> {
  const { connection } = subscription;
  for (let page = first ?? (await read(subscription, channel)); page !== undefined;) {
    if (page.reason !== undefined) {
      const head = await agreed(channel, page.head);
      if (subscription.ended) return;
      connection.core.counters.restarted++;
      subscription.restarted(head, page.reason);
      channel.join(subscription);
      return;
    }
    const before = subscription.offset;
    for (const publication of page.publications) {
      if (connection.congested) await connection.writable();
      if (subscription.ended) return;
      if (publication.offset <= subscription.offset) continue;
      if (publication.epoch !== subscription.epoch)
        subscription.moved({ epoch: publication.epoch, offset: subscription.offset });
      subscription.deliver(publication);
      subscription.offset = publication.offset;
    }
    if (joined(subscription, channel)) return;
    if (!page.more && channel.cursor?.epoch !== subscription.epoch) {
      // The store is in an epoch that the channel has not come to yet.
      await channel.verify();
      if (subscription.ended || joined(subscription, channel)) return;
    }
    if (subscription.offset === before) await channel.pause(retryWhenEmpty);
    page = await read(subscription, channel);
  }
}

/** Goes on with the live subscribers where they are, if it is there. */
function joined(subscription: Subscription, channel: Channel): boolean {
  const cursor = channel.cursor as Position;
  if (cursor.epoch !== subscription.epoch || subscription.offset < cursor.offset) return false;
  channel.join(subscription);
  return true;
}

/** The next page; tried again for as long as there is somebody to have it. */
async function read(subscription: Subscription, channel: Channel): Promise<Page | undefined> {
  for (;;) {
    if (subscription.ended) return undefined;
    try {
      const page = await channel.readAfter({ epoch: subscription.epoch, offset: subscription.offset });
      return subscription.ended ? undefined : page;
    } catch (error) {
      subscription.connection.core.log("warn", "the store could not be read in a recovery; it will be tried again", {
        channel: channel.name,
        error: describe(error),
      });
      await channel.pause(retryAfterFailure);
    }
  }
}

/** The channel's cursor, after it has come to the epoch that the store is in. */
async function agreed(channel: Channel, head: Position): Promise<Position> {
  if (channel.cursor?.epoch !== head.epoch) await channel.verify();
  return channel.cursor as Position;
}

/** `latest`: starts with the newest publication there is, unless the client has it; never with a backlog. */
export async function startLatest(
  subscription: Subscription,
  channel: Channel,
  from: Position | undefined,
  answer: Answer,
): Promise<void> {
  let answered = false;
  for (;;) {
    const page = await channel.readNewest().catch((error: unknown) => {
      // A subscription that has its answer goes on when the store is back.
      if (!answered) throw error;
      return undefined;
    });
    if (subscription.ended) return;
    if (page === undefined) {
      await channel.pause(retryAfterFailure);
      continue;
    }
    const { head, publications } = page;
    const newest = publications.at(-1);
    const seen = answered ? { epoch: subscription.epoch, offset: subscription.offset } : from;
    const fresh =
      newest !== undefined && (seen === undefined || seen.epoch !== head.epoch || newest.offset > seen.offset);
    subscription.at({ epoch: head.epoch, offset: fresh ? newest.offset - 1 : head.offset });
    if (!answered) {
      const position = toWire(subscription);
      answer(from === undefined ? { position } : { position, recovered: true });
      answered = true;
    }
    if (fresh) subscription.deliver(newest);
    subscription.offset = head.offset;
    const cursor = channel.cursor as Position;
    if (cursor.epoch === head.epoch && head.offset >= cursor.offset) {
      channel.join(subscription);
      return;
    }
    await channel.verify();
  }
}
