/** What a hub has counted since it started. */
export interface Counters {
  /** Packets received. */
  received: number;
  /** Publications handed to subscriptions of this instance. */
  delivered: number;
  /** Publications of clients and of the server that were stored or announced. */
  published: number;
  /** `latest`: publications replaced by a newer one before a slow connection could take them. */
  replaced: number;
  /** `volatile`: publications that a slow connection missed. */
  dropped: number;
  /** Connections closed because they were slow. */
  slow: number;
  /** Publications from the backplane that were no envelope. */
  malformed: number;
  /** Subscriptions told that they could not continue without a gap. */
  restarted: number;
  /** Publications read from the store because the relay missed them. */
  gaps: number;
  /** Recoveries that succeeded, and that could not. */
  recovered: number;
  notRecovered: number;
  /** Requests refused for being too fast. */
  rateLimited: number;
  /** Packets that could not be read. */
  badPackets: number;
}

export function newCounters(): Counters {
  return {
    received: 0,
    delivered: 0,
    published: 0,
    replaced: 0,
    dropped: 0,
    slow: 0,
    malformed: 0,
    restarted: 0,
    gaps: 0,
    recovered: 0,
    notRecovered: 0,
    rateLimited: 0,
    badPackets: 0,
  };
}
