import {
  BackplaneError,
  type Backplane,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Item,
  type Position,
  type PublishOptions,
} from "@zuruf/hub";
import { Gatherer } from "@zuruf/hub/store";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** What the network between instances and broker does to what it carries; probabilities per message. */
export interface BrokerFaults {
  /** A relayed publication or control message never arrives. */
  drop: number;
  /** A relayed publication arrives twice. */
  duplicate: number;
  /** Least and most milliseconds a message takes; publications overtake each other. */
  delay: readonly [least: number, most: number];
  /** The answer to a publish is lost although it was stored. */
  loseAnswer: number;
  /** A publish is refused, and nothing of it stored. */
  refuse: number;
  /** Whether publications of one channel are gathered (`can.ordered`), or each stored as it comes, however they overtake each other. */
  readonly gathers: boolean;
}

interface Link {
  readonly epoch: string;
  readonly first: number;
}
interface Entry extends Item {
  readonly time: number;
}
interface Log {
  entries: Entry[];
  chain: Link[];
  head: number;
  /** Incarnation of the newest link. */
  incarnation: number;
  keys: Map<string, { readonly position: Position; readonly until: number }>;
  /** What a rollback returns to. */
  saved:
    | {
        entries: Entry[];
        chain: Link[];
        head: number;
        incarnation: number;
        keys: Map<string, { readonly position: Position; readonly until: number }>;
      }
    | undefined;
}

/** What the store took, and how often it had forgotten something before. */
export interface Stored {
  readonly channel: string;
  readonly item: Item;
  readonly rollbacks: number;
}

const DEADLINE = 5_000;
const KEY_WINDOW = 300_000;

/** A store and relay with the failures of real ones: it is unreachable for a while, forgets its newest entries, loses, doubles and reorders announcements. */
export class Broker {
  readonly #world: World;
  readonly #random: Random;
  readonly faults: BrokerFaults;
  readonly #logs = new Map<string, Log>();
  readonly #members = new Map<InstanceId, Member>();
  #incarnation = 1;
  #upSince: number | undefined;
  #epochs = 0;
  /** Every entry that was ever appended, for the checker: a rollback does not remove from here. */
  readonly archive: Stored[] = [];
  readonly #places = new Map<string, Stored>();
  /** Positions from which the store refused to continue. */
  readonly #refused = new Set<string>();
  /** The epoch that each epoch continues. */
  readonly #parents = new Map<string, string>();
  rollbacks = 0;

  constructor(world: World, random: Random, faults: BrokerFaults) {
    this.#world = world;
    this.#random = random;
    this.faults = faults;
    this.#upSince = world.now();
  }

  get up(): boolean {
    return this.#upSince !== undefined;
  }

  /** Since when it can be reached; undefined: it cannot. */
  get upSince(): number | undefined {
    return this.#upSince;
  }

  /** A backplane for one instance's life. */
  join(): Backplane {
    return new Member(this, this.#world);
  }

  /** The broker is gone: requests fail, relayed messages in flight are lost. With `forget` it comes back without the entries since the last save. */
  crash(forget: boolean): void {
    if (!this.up) return;
    this.#upSince = undefined;
    // Who comes back may have forgotten something: nobody can tell from outside.
    this.#incarnation++;
    if (forget) {
      this.rollbacks++;
      for (const [name, log] of this.#logs) {
        if (log.saved === undefined) this.#logs.delete(name);
        else this.#logs.set(name, { ...copy(log.saved), saved: log.saved });
      }
    }
    for (const member of this.#members.values()) member.lostBroker();
  }

  recover(): void {
    if (this.up) return;
    this.#upSince = this.#world.now();
    for (const member of this.#members.values()) member.foundBroker();
  }

  /** What a later crash with `forget` returns to. */
  save(): void {
    for (const log of this.#logs.values()) log.saved = copy(log);
  }

  /** What was ever stored at a position; a later epoch's name for it is as good. */
  stored(channel: string, { epoch, offset }: Position): Stored | undefined {
    for (let name: string | undefined = epoch; name !== undefined; name = this.#parents.get(name)) {
      const found = this.#places.get(`${channel} ${name} ${offset}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Whether what came after a position is gone, or was gone when somebody asked. */
  hasLost(channel: string, after: Position): boolean {
    return this.#refused.has(`${channel} ${after.epoch} ${after.offset}`) || this.loss(channel, after) !== undefined;
  }

  head(channel: string): Position {
    const log = this.#log(channel);
    return { epoch: this.#epoch(log), offset: log.head };
  }

  /** Why a subscription cannot continue from `after`, or undefined when it can. */
  loss(channel: string, after: Position): "retention" | "rollback" | "epoch" | undefined {
    const log = this.#log(channel);
    const index = log.chain.findIndex((link) => link.epoch === after.epoch);
    if (index < 0) return "epoch";
    const next = log.chain[index + 1];
    if (after.offset > log.head || (next !== undefined && after.offset >= next.first)) return "rollback";
    const oldest = log.entries[0]?.offset ?? log.head + 1;
    return after.offset + 1 < oldest ? "retention" : undefined;
  }

  /** The process behind this backplane is gone: its calls get no answer any more. */
  lose(backplane: Backplane): void {
    if (backplane instanceof Member) backplane.lose();
  }

  attach(instance: InstanceId, member: Member): void {
    this.#members.set(instance, member);
  }
  detach(instance: InstanceId, member: Member): void {
    if (this.#members.get(instance) === member) this.#members.delete(instance);
  }

  append(channel: string, data: Uint8Array, options: PublishOptions): Position | undefined {
    const retention = options.retention;
    if (retention === undefined) {
      this.#announce(channel, { epoch: "", offset: 0, data });
      return undefined;
    }
    const log = this.#log(channel);
    const now = this.#world.now();
    const known = options.key === undefined ? undefined : log.keys.get(options.key);
    if (known !== undefined && known.until > now) return known.position;
    if (log.incarnation !== this.#incarnation) {
      log.incarnation = this.#incarnation;
      const epoch = `e${++this.#epochs}`;
      this.#parents.set(epoch, this.#epoch(log));
      log.chain.push({ epoch, first: log.head + 1 });
    }
    log.head++;
    const entry: Entry = { epoch: this.#epoch(log), offset: log.head, data, time: now };
    log.entries.push(entry);
    const stored = { channel, item: entry, rollbacks: this.rollbacks };
    this.archive.push(stored);
    this.#places.set(`${channel} ${entry.epoch} ${entry.offset}`, stored);
    while (log.entries.length > retention.size || (log.entries[0]?.time ?? now) < now - retention.ttl)
      log.entries.shift();
    const position = { epoch: entry.epoch, offset: entry.offset };
    if (options.key !== undefined) log.keys.set(options.key, { position, until: now + KEY_WINDOW });
    this.#announce(channel, entry);
    return position;
  }

  page(
    channel: string,
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): HistoryPage {
    const log = this.#log(channel);
    const head = this.head(channel);
    if (range.after !== undefined) {
      const { offset } = range.after;
      const reason = this.loss(channel, range.after);
      if (reason !== undefined) {
        this.#refused.add(`${channel} ${range.after.epoch} ${offset}`);
        return { items: [], head, complete: false, reason };
      }
      return {
        items: log.entries.filter((entry) => entry.offset > offset).slice(0, range.limit),
        head,
        complete: true,
      };
    }
    const end = range.before?.offset ?? Number.POSITIVE_INFINITY;
    return { items: log.entries.filter((entry) => entry.offset < end).slice(-range.limit), head, complete: true };
  }

  send(from: InstanceId, message: Uint8Array, to: InstanceId | undefined): void {
    for (const [instance, member] of this.#members) {
      if (instance === from || (to !== undefined && instance !== to)) continue;
      if (!this.#random.chance(this.faults.drop)) member.deliverControl(from, message, this.latency());
    }
  }

  latency(): number {
    return this.#random.between(...this.faults.delay);
  }

  get refuses(): boolean {
    return this.#random.chance(this.faults.refuse);
  }

  get losesAnswer(): boolean {
    return this.#random.chance(this.faults.loseAnswer);
  }

  #announce(channel: string, item: Item): void {
    for (const member of this.#members.values()) {
      if (this.#random.chance(this.faults.drop)) continue;
      member.deliver(channel, item, this.latency());
      if (this.#random.chance(this.faults.duplicate)) member.deliver(channel, item, this.latency());
    }
  }

  #log(channel: string): Log {
    let log = this.#logs.get(channel);
    if (log === undefined) {
      log = {
        entries: [],
        chain: [{ epoch: `e${++this.#epochs}`, first: 1 }],
        head: 0,
        incarnation: this.#incarnation,
        keys: new Map(),
        saved: undefined,
      };
      this.#logs.set(channel, log);
    }
    return log;
  }

  #epoch(log: Log): string {
    return log.chain.at(-1)?.epoch ?? "";
  }
}

function copy(log: Omit<Log, "saved">): Omit<Log, "saved"> {
  return {
    entries: [...log.entries],
    chain: [...log.chain],
    head: log.head,
    incarnation: log.incarnation,
    keys: new Map(log.keys),
  };
}

/** One instance's connection to the broker. */
class Member implements Backplane {
  readonly can: Backplane["can"];
  readonly #broker: Broker;
  readonly #world: World;
  readonly #gatherer: Gatherer;
  readonly #channels = new Set<string>();
  readonly #fifo = new Map<InstanceId, number>();
  #instance: InstanceId = "";
  #sink: BackplaneSink | undefined;
  #life = 0;
  #lost = false;

  constructor(broker: Broker, world: World) {
    this.#broker = broker;
    this.#world = world;
    this.can = { history: true, contiguous: true, idempotent: true, ordered: broker.faults.gathers };
    this.#gatherer = new Gatherer({
      send: (channel, batch, within) =>
        this.#ask(() => batch.map(({ data, options }) => broker.append(channel, data, options)), within),
      most: { publications: 3, bytes: 10_000 },
      mostBytes: 1_000_000,
      deadline: DEADLINE,
      now: () => world.now(),
      soon: (run) => void world.setTimeout(run, 0),
    });
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    this.#instance = instance;
    this.#sink = sink;
    this.#broker.attach(instance, this);
    if (!this.#broker.up) throw new BackplaneError("unavailable", "the broker is down");
    sink.up();
  }

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#ask(() => void channels.forEach((channel) => this.#channels.add(channel)));
  }
  unsubscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#channels.delete(channel);
    return Promise.resolve();
  }
  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    if (this.can.ordered === true && options.retention !== undefined)
      return this.#gatherer.publish(channel, data, options);
    return this.#ask(() => this.#broker.append(channel, data, options), DEADLINE);
  }
  heads(channels: readonly string[]): Promise<Map<string, Position>> {
    return this.#ask(() => new Map(channels.map((channel) => [channel, this.#broker.head(channel)])));
  }
  history(
    channel: string,
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<HistoryPage> {
    return this.#ask(() => this.#broker.page(channel, range));
  }
  async control(message: Uint8Array, to?: InstanceId): Promise<void> {
    if (!this.#broker.up) throw new BackplaneError("unavailable", "the broker is down");
    this.#broker.send(this.#instance, message, to);
  }
  lose(): void {
    this.#life++;
    this.#lost = true;
    this.#sink = undefined;
    this.#broker.detach(this.#instance, this);
  }
  async close(): Promise<void> {
    this.#sink = undefined;
    this.#broker.detach(this.#instance, this);
  }

  deliver(channel: string, item: Item, delay: number): void {
    const life = this.#life;
    this.#world.setTimeout(() => {
      if (life === this.#life && this.#channels.has(channel)) this.#sink?.publication(channel, item);
    }, delay);
  }

  deliverControl(from: InstanceId, message: Uint8Array, delay: number): void {
    const life = this.#life;
    const at = Math.max(this.#world.now() + delay, this.#fifo.get(from) ?? 0);
    this.#fifo.set(from, at);
    this.#world.setTimeout(() => {
      if (life === this.#life) this.#sink?.control(from, message);
    }, at - this.#world.now());
  }

  lostBroker(): void {
    this.#life++;
    this.#sink?.down("the broker is down");
  }
  /** Subscriptions are restored from the full registry before `up`. */
  foundBroker(): void {
    this.#world.setTimeout(() => {
      if (this.#broker.up) this.#sink?.up();
    }, this.#broker.latency());
  }

  /**
   * A request: there after one delay, its answer back after another; the broker may be gone at either moment.
   * @param publishing milliseconds that a publish may take.
   */
  #ask<T>(action: () => T, publishing?: number): Promise<T> {
    const mayLose = publishing !== undefined;
    return new Promise((resolve, reject) => {
      if (this.#lost) return;
      if (!this.#broker.up) return void reject(new BackplaneError("unavailable", "the broker is down"));
      const life = this.#life;
      const deadline = this.#world.setTimeout(
        () => void reject(new BackplaneError("unknown", "no answer from the broker")),
        publishing ?? DEADLINE,
      );
      const fail = (code: "unavailable" | "unknown"): void => {
        this.#world.clearTimeout(deadline);
        reject(new BackplaneError(code, "the connection to the broker was lost"));
      };
      this.#world.setTimeout(() => {
        if (life !== this.#life || this.#sink === undefined) return void fail(mayLose ? "unknown" : "unavailable");
        if (mayLose && this.#broker.refuses) {
          this.#world.clearTimeout(deadline);
          reject(new BackplaneError("notStored", "the broker refused"));
          return;
        }
        const value = action();
        if (mayLose && this.#broker.losesAnswer) return;
        this.#world.setTimeout(() => {
          if (life !== this.#life) return void fail(mayLose ? "unknown" : "unavailable");
          this.#world.clearTimeout(deadline);
          resolve(value);
        }, this.#broker.latency());
      }, this.#broker.latency());
    });
  }
}
