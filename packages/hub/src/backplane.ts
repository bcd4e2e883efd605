import type { LossReason } from "@zuruf/protocol";

/** The name of one running server process, unique among those that share a backplane; at most 64 bytes. */
export type InstanceId = string;

/** A place in a channel's log. `epoch` is opaque and names one history of that log; an empty log is at offset 0. */
export interface Position {
  readonly epoch: string;
  /** Safe integer ≥ 0; offsets increase. */
  readonly offset: number;
}

/** One publication as the backplane carries it: `data` is the hub's envelope, opaque to the backplane. */
export interface Item {
  readonly epoch: string;
  readonly offset: number;
  readonly data: Uint8Array;
  /**
   * In announcements of a store whose offsets have holes: the offset of the publication before this one in its channel (0: none), so that the hub finds gaps.
   * Absent there: the backplane vouches that it announced everything before, or said `suspect`.
   */
  readonly previous?: number;
}

/** What a channel's log keeps; whichever bound is met first. */
export interface Retention {
  /** Publications; > 0. */
  readonly size: number;
  /** Milliseconds; > 0. */
  readonly ttl: number;
  /** Sum of the items' `data` in bytes; 0: no bound. */
  readonly bytes: number;
}

/**
 * Publications that must not overtake one another: those with a key of one client in one channel. Whoever publishes makes it; the backplane marks it.
 * With it they can be under way together, and still one that failed can be repeated before any that came after it.
 */
export interface Line {
  /** One of them failed, or nobody waits for them any more: none that is not under way yet may be stored. */
  failed: boolean;
}

export interface PublishOptions {
  /** Append to the log with this retention; absent: announce only (no offset, no position). */
  readonly retention?: Retention | undefined;
  /**
   * Idempotency key, scoped by the hub to user and channel; a repeat within `keyWindow` returns the first position and announces nothing.
   * It is the log that keeps it: without `retention` a backplane may ignore it, so that a repeat is announced again (Redis keeps it all the same).
   */
  readonly key?: string | undefined;
  /** Heeded by backplanes that are `ordered`. */
  readonly line?: Line | undefined;
}

export interface HistoryPage {
  /** In offset order. */
  readonly items: readonly Item[];
  readonly head: Position;
  /**
   * Nothing between `after` and the first item was lost. False: `reason` says why, and `items` is empty.
   * True with `items` shorter than `limit` means: that was all up to `head`.
   */
  readonly complete: boolean;
  readonly reason?: LossReason;
}

/** Where a backplane reports to. Calls may come at any time after `start` was called; they MUST NOT throw. */
export interface BackplaneSink {
  /** A publication on a subscribed channel; `item.offset` is 0 (and epoch empty) without history. May repeat, reorder or miss: offsets are the truth. */
  publication(channel: string, item: Item): void;
  control(from: InstanceId, message: Uint8Array): void;
  /** The broker can be reached, and all subscriptions are live again. */
  up(): void;
  /** @param silentFor milliseconds for which the broker had given no sign of life by then; default 0. Readiness counts from its last sign. */
  down(reason: string, silentFor?: number): void;
  /** Publications on these channels (undefined: all) may have been missed: the hub checks their heads. */
  suspect(channels?: readonly string[]): void;
}

/**
 * What connects instances. All calls have a deadline of their own and reject with a `BackplaneError`; none may hang.
 *
 * A backplane MUST: give increasing offsets per channel; change the epoch (a new link in the channel's chain) on the first append under a new store incarnation;
 * keep head and epoch at least ten times the history's age and 7 days; deliver an instance's own publications back to it like everybody else's; treat what the broker delivers as untrusted.
 * It MUST NOT: deliver on channels without interest of this instance (RabbitMQ: partitions); change or look into `data`; throw out of the sink's callers.
 */
export interface Backplane {
  /**
   * `history`: keeps logs. `contiguous`: offsets have no holes, so the hub finds gaps by itself. `idempotent`: keeps keys.
   * `ordered`: publications to one channel need not wait for each other's answers: they are stored in the order of the calls, and when one fails,
   * its line is marked as failed before anybody hears of it, and nothing more of this line is stored: what waits is `notStored`. Absent: the hub waits for each answer.
   */
  readonly can: {
    readonly history: boolean;
    readonly contiguous: boolean;
    readonly idempotent: boolean;
    readonly ordered?: boolean;
  };
  /** Connects. Rejects with a one-line reason when the broker cannot be used (unreachable, wrong password, too old). */
  start(instance: InstanceId, sink: BackplaneSink): Promise<void>;
  /** Resolves once publications on these channels reach this instance. */
  subscribe(channels: readonly string[]): Promise<void>;
  unsubscribe(channels: readonly string[]): Promise<void>;
  /** Resolves with the position once stored (undefined without retention); rejects with `notStored` or `unknown`. */
  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined>;
  /** The heads of many channels in few round trips; a channel that was never published to gets an epoch here, at offset 0. */
  heads(channels: readonly string[]): Promise<Map<string, Position>>;
  /** Oldest first after `after` (exclusive), or the newest `limit` before `before` (exclusive; absent: from the head). `limit` ≥ 1. */
  history(
    channel: string,
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<HistoryPage>;
  /** At most once, in order per sender while connected; to one instance, or to all others. */
  control(message: Uint8Array, to?: InstanceId): Promise<void>;
  /** Leaves nothing behind in the broker that was not asked for; safe to call twice. */
  close(): Promise<void>;
}

/** Codes: `notStored` surely not stored, `unknown` perhaps stored, `unavailable` could not be asked, `unusable` the broker is of no use (wrong version, password, rights), `closed` after `close()`. */
export type BackplaneErrorCode = "notStored" | "unknown" | "unavailable" | "unusable" | "closed";

export class BackplaneError extends Error {
  override readonly name = "BackplaneError";
  readonly code: BackplaneErrorCode;
  constructor(code: BackplaneErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
