import { type Clock, type Payload, payloadLength, type Timer, type WirePosition, ZurufError } from "@zuruf/protocol";
import type { Connection } from "./connection.ts";
import { after, type Backoff } from "./ending.ts";

/** Close code "message too big" (RFC 6455 §7.4.1). */
const tooBig = 1009;

interface Entry {
  readonly key: string;
  readonly payload: Payload;
  readonly resolve: (position: WirePosition | undefined) => void;
  readonly reject: (error: ZurufError) => void;
  deadline: Timer;
  /** Clock time of the deadline. */
  readonly until: number;
  /** Waiting for an answer on this connection. */
  flying: boolean;
  /** Was sent at least once. */
  sent: boolean;
  /** What the server said of it last; undefined: nothing since it was last sent. */
  failure: ZurufError | undefined;
  /** An earlier attempt may have been stored: only a position ends the doubt. */
  doubtful: boolean;
  /** Could not be sent at once. */
  waited: boolean;
}

/** Answers after which a publication may be stored all the same. */
const doubts: ReadonlySet<string> = new Set(["unknown", "timeout", "internal"]);

/** One channel's publications that have no answer yet, in call order. */
interface Lane {
  readonly channel: string;
  readonly entries: Set<Entry>;
  readonly backoff: Backoff;
  /** Since one failed, the server refuses later ones until told that the retry begins (docs/protocol.md, "Publishing in order, also with retries"). */
  barred: boolean;
  /** Those that wait for their retry, and all behind them, wait until none is flying, then until the timer. */
  holding: boolean;
  timer: Timer;
}

export interface OutboxLimits {
  /** Publications without an answer. */
  readonly publications: number;
  /** Their data together, bytes. */
  readonly bytes: number;
}

/** Publications on their way: sent in call order per channel, kept while there is no connection, sent again with the same key until they are answered or their deadline is over. */
export class Outbox {
  readonly #clock: Clock;
  readonly #limits: OutboxLimits;
  readonly #backoff: () => Backoff;
  readonly #lanes = new Map<string, Lane>();
  /** Channels whose publications wait for the answer to `subscribe`, so that who subscribed first hears them. */
  readonly #held = new Set<string>();
  #connection: Connection | undefined;
  #count = 0;
  #bytes = 0;

  constructor(clock: Clock, limits: OutboxLimits, backoff: () => Backoff) {
    this.#clock = clock;
    this.#limits = limits;
    this.#backoff = backoff;
  }

  publish(channel: string, payload: Payload, key: string, deadline: number): Promise<WirePosition | undefined> {
    const size = payloadLength(payload);
    if (this.#count >= this.#limits.publications || this.#bytes + size > this.#limits.bytes)
      return Promise.reject(
        new ZurufError(
          "tooMany",
          `${this.#count} publications wait for an answer already: publish less, or raise \`queue\``,
        ),
      );
    return new Promise((resolve, reject) => {
      const until = this.#clock.now() + deadline;
      const entry: Entry = {
        key,
        payload,
        resolve,
        reject,
        deadline: undefined,
        until,
        flying: false,
        sent: false,
        failure: undefined,
        doubtful: false,
        waited: false,
      };
      const lane = this.#lanes.get(channel) ?? this.#open(channel);
      lane.entries.add(entry);
      this.#count += 1;
      this.#bytes += size;
      entry.deadline = after(this.#clock, deadline, () => this.#expire(lane, entry));
      if (!lane.holding) this.#send(lane, entry);
      entry.waited = !entry.sent;
    });
  }

  connected(connection: Connection): void {
    this.#connection = connection;
    for (const lane of this.#lanes.values()) this.#release(lane);
  }

  /** Until `release` (or the connection's end), publications to this channel wait. */
  hold(channel: string): void {
    this.#held.add(channel);
  }

  release(channel: string): void {
    const lane = this.#held.delete(channel) ? this.#lanes.get(channel) : undefined;
    if (lane !== undefined && !lane.holding) this.#release(lane);
  }

  /** @param code the close code. */
  lost(code: number): void {
    this.#connection = undefined;
    this.#held.clear();
    if (code === tooBig) this.#rejectLargest();
    for (const lane of this.#lanes.values()) {
      this.#clock.clearTimeout(lane.timer);
      // A bar was the old connection's.
      lane.barred = lane.holding = false;
      if (lane.entries.size === 0) this.#lanes.delete(lane.channel);
    }
  }

  /** Gives all up. */
  clear(why: string): void {
    for (const lane of this.#lanes.values()) {
      for (const entry of lane.entries) this.#drop(lane, entry).reject(ending(entry, why));
    }
  }

  /** The connection ended because of a message that no retry makes smaller. */
  #rejectLargest(): void {
    let largest: [Lane, Entry] | undefined;
    for (const lane of this.#lanes.values()) {
      for (const entry of lane.entries) {
        if (entry.flying && (largest === undefined || payloadLength(entry.payload) > payloadLength(largest[1].payload)))
          largest = [lane, entry];
      }
    }
    if (largest !== undefined)
      this.#drop(...largest).reject(
        new ZurufError("tooLarge", "the server takes no message as large as this publication"),
      );
  }

  #open(channel: string): Lane {
    const lane: Lane = {
      channel,
      entries: new Set(),
      backoff: this.#backoff(),
      barred: false,
      holding: false,
      timer: undefined,
    };
    this.#lanes.set(channel, lane);
    return lane;
  }

  #release(lane: Lane): void {
    lane.holding = false;
    for (const entry of lane.entries) {
      if (lane.holding) return;
      if (!entry.flying) this.#send(lane, entry);
    }
  }

  #send(lane: Lane, entry: Entry): void {
    const connection = this.#connection;
    if (connection === undefined || this.#held.has(lane.channel)) return;
    const { key, payload } = entry;
    const { channel } = lane;
    const again = lane.barred;
    lane.barred = false;
    entry.flying = true;
    entry.sent = true;
    entry.failure = undefined;
    connection.request({ type: "publish", channel, key, ...(again && { again }), payload }, (answer, error) => {
      entry.flying = false;
      // The connection's end is not an answer: `connected` sends it again.
      if (connection !== this.#connection) {
        entry.doubtful = true;
        return;
      }
      if (error === undefined) {
        lane.backoff.reset();
        if (lane.entries.has(entry))
          this.#drop(lane, entry).resolve(answer?.type === "published" ? answer.position : undefined);
      } else this.#failed(lane, entry, error);
      if (lane.holding) this.#retryWhenIdle(lane);
    });
  }

  #failed(lane: Lane, entry: Entry, error: ZurufError): void {
    if (error.retryable) lane.barred = lane.holding = true;
    if (!lane.entries.has(entry)) return;
    entry.failure = error;
    entry.doubtful ||= doubts.has(error.code);
    // Too fast is for the application to say to whoever is too fast, unless a doubt is left, or it was this queue that went out too fast;
    // and what cannot come true in time is said at once.
    const tooFast = error.code === "rateLimited" && !entry.doubtful && !entry.waited;
    const tooLate = this.#clock.now() + error.retryAfter > entry.until;
    if (!error.retryable || tooFast || tooLate)
      this.#drop(lane, entry).reject(entry.doubtful ? ending(entry, "the retry was refused") : error);
  }

  #retryWhenIdle(lane: Lane): void {
    let least = 0;
    let refused = false;
    for (const { flying, failure } of lane.entries) {
      if (flying) return;
      least = Math.max(least, failure?.retryAfter ?? 0);
      refused ||= failure !== undefined;
    }
    this.#clock.clearTimeout(lane.timer);
    // Those that failed may have been given up: then there is nothing to wait for.
    if (!refused) this.#release(lane);
    else lane.timer = this.#clock.setTimeout(() => this.#release(lane), least + lane.backoff.next());
  }

  #expire(lane: Lane, entry: Entry): void {
    this.#drop(lane, entry).reject(ending(entry, "its deadline is over"));
    if (lane.holding) this.#retryWhenIdle(lane);
  }

  #drop(lane: Lane, entry: Entry): Entry {
    this.#clock.clearTimeout(entry.deadline);
    lane.entries.delete(entry);
    this.#count -= 1;
    this.#bytes -= payloadLength(entry.payload);
    // A bar outlives its entries: the next publication has to lift it.
    if (lane.entries.size === 0 && !lane.barred) {
      this.#clock.clearTimeout(lane.timer);
      this.#lanes.delete(lane.channel);
    }
    return entry;
  }
}

/** `notStored` is certain: never sent, or the server said so of every attempt. */
function ending({ sent, failure, doubtful }: Entry, why: string): ZurufError {
  if (!sent) return new ZurufError("notStored", `the publication was never sent: ${why}`);
  if (failure === undefined) return new ZurufError("unknown", `no answer to the publication came: ${why}`);
  return new ZurufError(doubtful ? "unknown" : failure.code, `${failure.message} (${why})`, {
    retryAfter: failure.retryAfter,
  });
}
