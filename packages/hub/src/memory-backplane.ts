import { systemClock, type Clock } from "@zuruf/protocol";
import {
  BackplaneError,
  type Backplane,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Item,
  type Position,
  type PublishOptions,
} from "./backplane.ts";
import { MemoryKeys } from "./memory-keys.ts";
import { MemoryLog } from "./memory-log.ts";

/** Logs and lines in this process's memory; backplanes that share one see each other. */
export class MemoryBroker {
  readonly members: Map<InstanceId, MemoryBackplane> = new Map();
  readonly #logs = new Map<string, MemoryLog>();
  readonly #keys: MemoryKeys;
  readonly #clock: Clock;
  readonly #epoch: () => string;
  /** The epoch of logs that nothing was written to: one that is forgotten comes back as it was. Another once a log is forgotten that had entries. */
  #fresh: string;

  /** `keyBytes`: what the idempotency keys of all channels may take; 64 MiB unless told, and > 0. Beyond it the oldest are forgotten before their 5 minutes. */
  constructor(options: { readonly clock?: Clock; readonly epoch?: () => string; readonly keyBytes?: number } = {}) {
    this.#keys = new MemoryKeys(options.keyBytes);
    this.#clock = options.clock ?? systemClock;
    this.#epoch = options.epoch ?? (() => crypto.randomUUID());
    this.#fresh = this.#epoch();
  }

  get clock(): Clock {
    return this.#clock;
  }

  log(channel: string, now: number = this.#clock.now()): MemoryLog {
    let log = this.#logs.get(channel);
    if (log === undefined) {
      log = new MemoryLog(this.#fresh, now, this.#keys);
      this.#logs.set(channel, log);
    }
    log.touch(now);
    return log;
  }

  /** Drops what has expired, so that channels nobody asks for any more cost nothing. */
  sweep(): void {
    const now = this.#clock.now();
    for (const [channel, log] of this.#logs) {
      if (!log.expire(now)) continue;
      this.#logs.delete(channel);
      // Its offsets will be given out again.
      if (log.head.offset > 0) this.#fresh = this.#epoch();
    }
  }
}

const sweepEvery = 30_000;

/** The backplane of a single process: relay and store in memory. What it holds ends with the process. */
export class MemoryBackplane implements Backplane {
  readonly can = { history: true, contiguous: true, idempotent: true, ordered: true } as const;
  readonly #broker: MemoryBroker;
  readonly #interest = new Set<string>();
  #instance: InstanceId = "";
  #sink: BackplaneSink | undefined;
  #sweep: unknown;

  constructor(broker: MemoryBroker = new MemoryBroker()) {
    this.#broker = broker;
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    if (this.#broker.members.has(instance))
      throw new BackplaneError("unusable", `an instance named ${instance} is there already: give each its own name`);
    this.#instance = instance;
    this.#sink = sink;
    this.#broker.members.set(instance, this);
    this.#sweepLater();
    sink.up();
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    this.#open();
    for (const channel of channels) this.#interest.add(channel);
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    this.#open();
    for (const channel of channels) this.#interest.delete(channel);
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    this.#open();
    if (options.retention === undefined) {
      this.#announce(channel, { epoch: "", offset: 0, data });
      return undefined;
    }
    if (options.line?.failed === true) throw new BackplaneError("notStored", "an earlier publication failed");
    const now = this.#broker.clock.now();
    const log = this.#broker.log(channel, now);
    const { position, item } = log.append(data, options.retention, options.key, now);
    if (item !== undefined) this.#announce(channel, item);
    return position;
  }

  async heads(channels: readonly string[]): Promise<Map<string, Position>> {
    this.#open();
    return new Map(channels.map((channel) => [channel, this.#broker.log(channel).head]));
  }

  async history(
    channel: string,
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<HistoryPage> {
    this.#open();
    return this.#broker.log(channel).page(range, this.#broker.clock.now());
  }

  async control(message: Uint8Array, to?: InstanceId): Promise<void> {
    this.#open();
    const from = this.#instance;
    for (const [instance, member] of this.#broker.members) {
      if (instance === from || (to !== undefined && to !== instance)) continue;
      // Not within the sender's own call, as through a broker.
      queueMicrotask(() => member.#sink?.control(from, message));
    }
  }

  async close(): Promise<void> {
    if (this.#sink === undefined) return;
    this.#sink = undefined;
    this.#broker.clock.clearTimeout(this.#sweep);
    this.#broker.members.delete(this.#instance);
  }

  #announce(channel: string, item: Item): void {
    for (const member of this.#broker.members.values()) {
      if (member.#interest.has(channel)) member.#sink?.publication(channel, item);
    }
  }

  #open(): void {
    if (this.#sink === undefined)
      throw new BackplaneError("closed", "the memory backplane is not started or was closed");
  }

  #sweepLater(): void {
    this.#sweep = this.#broker.clock.setTimeout(() => {
      this.#broker.sweep();
      this.#sweepLater();
    }, sweepEvery);
    // A timer of the system's clock must not keep a process alive that has nothing else to do.
    (this.#sweep as { unref?: () => void } | undefined)?.unref?.();
  }
}

/** The backplane of a single process. With a `broker`, several hubs in one process share it (tests). */
export function memoryBackplane(broker?: MemoryBroker): Backplane {
  return new MemoryBackplane(broker);
}
