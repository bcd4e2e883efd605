import { BackplaneError } from "@zuruf/hub";
import type { Driver } from "./driver.ts";
import { explain } from "./failures.ts";
import { slotOf, type Names } from "./names.ts";
import { printAddress, type Address, type Target } from "./options.ts";
import { within } from "./patience.ts";
import { RedisServer } from "./server.ts";
import { discover, type Topology } from "./topology.ts";

/** Time for one connection or one question while connecting, in milliseconds: less than a call's deadline, so that the next server gets its turn. */
const connectDeadline = 3000;
/** How often the picture of a cluster is compared with the cluster itself, should all signs of a move have been missed; milliseconds. */
const compareEvery = 3000;
const backoff = { first: 50, most: 2000 };

/** What the servers report. Calls never overlap `start`. */
export interface ServersEvents {
  up(): void;
  down(reason: string, silentFor?: number): void;
  suspect(channels: readonly string[]): void;
  announcement(payload: Buffer, pubSubChannel: Buffer): void;
  control(payload: Buffer): void;
}

/**
 * All servers, and on which of them each subscription lives.
 *
 * One procedure heals everything, `#repair`: ask who is who, connect to those that are missing, subscribe what is not where it belongs.
 * It runs at start, when a connection broke, and when a slot moved; one at a time, until it succeeds.
 */
export class Servers {
  readonly #driver: Driver;
  readonly #instance: string;
  readonly #names: Names;
  readonly #events: ServersEvents;
  #target: Target;
  #topology: Topology | undefined;
  readonly #servers = new Map<string, RedisServer>();
  /** Pub/Sub channels that are wanted, and where each is subscribed. */
  readonly #wanted = new Map<string, RedisServer | undefined>();
  readonly #control: readonly string[];
  readonly #controlAt = new Map<string, RedisServer>();
  #up = false;
  #closed = false;
  #repairing = false;
  #again = false;
  #wake: (() => void) | undefined;
  #compare: NodeJS.Timeout | undefined;

  constructor(driver: Driver, target: Target, instance: string, names: Names, events: ServersEvents) {
    this.#driver = driver;
    this.#target = target;
    this.#instance = instance;
    this.#names = names;
    this.#events = events;
    this.#control = [names.control(), names.control(instance)];
  }

  /** The first connection: one attempt, and one line when it fails. */
  async start(): Promise<void> {
    try {
      await this.#settle();
    } catch (error) {
      this.#closed = true;
      for (const server of this.#servers.values()) await server.close(0);
      throw explain(this.#target.seeds.map(printAddress).join(","), error);
    }
    this.#up = true;
    this.#compareLater();
    this.#events.up();
  }

  get up(): boolean {
    return this.#up;
  }
  get cluster(): boolean {
    return this.#topology?.cluster ?? false;
  }

  /** The server for a key or Pub/Sub channel; throws `unavailable` at once when it is gone. */
  at(key: string): RedisServer {
    const topology = this.#topology;
    const name = topology?.serverOf(topology.cluster ? slotOf(key) : 0);
    const server = name === undefined ? undefined : this.#servers.get(name);
    if (server === undefined || !server.live)
      throw new BackplaneError(
        this.#closed ? "closed" : "unavailable",
        this.#closed
          ? "the Redis backplane is closed"
          : `Redis${name === undefined ? "" : ` at ${name}`} cannot be reached now`,
      );
    return server;
  }

  /** A server by the address that an ASK named, if this instance is connected to it. */
  named(address: string): RedisServer | undefined {
    const server = this.#servers.get(address);
    return server?.live === true ? server : undefined;
  }

  /** Resolves once all are live; on rejection none of those that are new stays wanted. */
  async subscribe(channels: readonly string[]): Promise<void> {
    const fresh = channels.filter((channel) => !this.#wanted.has(channel));
    for (const channel of fresh) this.#wanted.set(channel, undefined);
    try {
      await this.#place(channels);
    } catch (error) {
      this.#forget(fresh);
      if (error instanceof BackplaneError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new BackplaneError("unavailable", `Redis did not take a subscription: ${message}`, error);
    }
  }

  unsubscribe(channels: readonly string[]): void {
    this.#forget(channels);
  }

  #forget(channels: readonly string[]): void {
    const at = new Map<RedisServer, string[]>();
    for (const channel of channels) {
      const server = this.#wanted.get(channel);
      this.#wanted.delete(channel);
      if (server?.live === true) append(at, server, channel);
    }
    for (const [server, names] of at)
      for (const part of this.#commandsFor(names))
        server.unsubscribe(part).catch((error: Error) => server.break(error.message));
  }

  /** Subscribes those that are not where they belong. */
  async #place(channels: Iterable<string>): Promise<void> {
    const at = new Map<RedisServer, string[]>();
    for (const channel of channels) {
      const server = this.at(channel);
      if (this.#wanted.get(channel) !== server) append(at, server, channel);
    }
    const all: Promise<void>[] = [];
    for (const [server, names] of at)
      for (const part of this.#commandsFor(names)) all.push(this.#placePart(server, part));
    await Promise.all(all);
  }

  async #placePart(server: RedisServer, part: string[]): Promise<void> {
    const dropped = await server.subscribe(part);
    const unwanted: string[] = [];
    for (const channel of part) {
      if (!this.#wanted.has(channel)) unwanted.push(channel);
      else if (!dropped.has(channel)) this.#wanted.set(channel, server);
    }
    if (unwanted.length > 0 && server.live) await server.unsubscribe(unwanted);
  }

  /** One command takes many channels, on a cluster only those of one slot. */
  #commandsFor(names: string[]): string[][] {
    const parts: string[][] = [];
    if (this.cluster) {
      const bySlot = new Map<number, string[]>();
      for (const name of names) append(bySlot, slotOf(name), name);
      parts.push(...bySlot.values());
    } else for (let i = 0; i < names.length; i += 1000) parts.push(names.slice(i, i + 1000));
    return parts;
  }

  /** Says that the picture of the servers is old: an answer said MOVED, or a primary became a replica. */
  refresh(): void {
    void this.#repair();
  }

  #broken(server: RedisServer, reason: string, silentFor?: number): void {
    if (this.#servers.get(server.name) === server) this.#servers.delete(server.name);
    if (this.#closed) return;
    this.#fall(`Redis at ${server.name}: ${reason}`, silentFor);
    void this.#repair();
  }

  #fall(reason: string, silentFor?: number): void {
    if (!this.#up) return;
    this.#up = false;
    this.#events.down(reason, silentFor);
  }

  async #repair(): Promise<void> {
    this.#again = true;
    if (this.#repairing) return;
    this.#repairing = true;
    let wait = backoff.first;
    const moved = new Set<string>();
    while (this.#again && !this.#closed) {
      this.#again = false;
      try {
        for (const channel of await this.#settle()) moved.add(channel);
        if (this.#closed) break;
        wait = backoff.first;
        // A connection that broke meanwhile has asked for another round.
        if (this.#again) continue;
        if (!this.#up) {
          this.#up = true;
          this.#events.up();
        } else if (moved.size > 0) this.#events.suspect([...moved]);
        moved.clear();
      } catch (error) {
        this.#fall(error instanceof Error ? error.message : String(error));
        this.#again = true;
        // Full jitter: all instances lose the same server at the same time.
        await this.#pause(Math.random() * wait);
        wait = Math.min(wait * 2, backoff.most);
      }
    }
    this.#repairing = false;
    this.#compareLater();
  }

  #compareLater(): void {
    clearTimeout(this.#compare);
    if (this.cluster && !this.#closed) this.#compare = setTimeout(() => this.refresh(), compareEvery);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Makes everything as it should be; resolves with the channels whose subscriptions were made anew. */
  async #settle(): Promise<string[]> {
    const topology = await discover(this.#driver, this.#target, connectDeadline, [...this.#servers.values()]);
    for (const name of this.#servers.keys()) {
      // A server that holds no slot any more; its subscriptions are placed anew below.
      if (!topology.servers.has(name)) void this.#retire(name);
    }
    const opened = await Promise.allSettled(
      [...topology.servers]
        .filter(([name]) => this.#servers.get(name)?.live !== true)
        .map(([, address]) => this.#open(address)),
    );
    const failed = opened.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const [only] = this.#servers.values();
    if (!topology.cluster && only?.info.cluster === true) {
      // A plain URL that leads to a cluster: from now on it is one.
      this.#target = { ...this.#target, kind: "cluster" };
      return this.#settle();
    }
    this.#topology = topology;
    const moved = [...this.#wanted].filter(([channel, at]) => at !== this.at(channel)).map(([channel]) => channel);
    const late = new BackplaneError("unavailable", "Redis did not answer to subscriptions in time");
    try {
      await within(this.#attach(), connectDeadline + this.#wanted.size / 10, () => late);
    } catch (error) {
      if (error === late)
        for (const server of this.#servers.values()) server.break("it did not answer to subscriptions in time");
      throw error;
    }
    return moved;
  }

  async #attach(): Promise<void> {
    const all: Promise<void>[] = [this.#place(this.#wanted.keys())];
    for (const channel of this.#control) {
      const server = this.at(channel);
      if (this.#controlAt.get(channel) !== server) all.push(this.#attachControl(server, channel));
    }
    for (const server of this.#servers.values()) all.push(server.watch(this.#canaryFor(server)));
    await Promise.all(all);
  }

  async #attachControl(server: RedisServer, channel: string): Promise<void> {
    const dropped = await server.subscribeControl([channel]);
    if (!dropped.has(channel)) this.#controlAt.set(channel, server);
  }

  /** A Pub/Sub channel whose slot is on this server. */
  #canaryFor(server: RedisServer): string {
    for (let n = 0; n < 100_000; n++) {
      const name = this.#names.canary(this.#instance, n);
      if (!this.cluster || this.#topology?.serverOf(slotOf(name)) === server.name) return name;
    }
    throw new BackplaneError("unavailable", `Redis at ${server.name} holds no slot`);
  }

  async #open(address: Address): Promise<void> {
    const server = await RedisServer.open(
      this.#driver,
      address,
      `zuruf:${encodeURIComponent(this.#instance)}`,
      {
        credentials: this.#target.credentials,
        tls: this.#target.tls,
        database: this.#target.database,
        deadline: connectDeadline,
      },
      {
        broken: (server, reason, silentFor) => this.#broken(server, reason, silentFor),
        message: (payload, channel) => this.#events.announcement(payload, channel),
        control: (payload) => this.#events.control(payload),
        moved: (server, channel) => this.#moved(server, channel),
      },
    );
    if (this.#closed || (!server.info.primary && !server.info.cluster)) {
      await server.close(0);
      if (this.#closed) throw new BackplaneError("closed", "the Redis backplane is closed");
      throw new BackplaneError("unavailable", `Redis at ${printAddress(address)} is a replica: name its primary`);
    }
    this.#servers.set(server.name, server);
  }

  #moved(server: RedisServer, channel: string): void {
    if (this.#wanted.get(channel) === server) this.#wanted.set(channel, undefined);
    if (this.#controlAt.get(channel) === server) this.#controlAt.delete(channel);
    void this.#repair();
  }

  async #retire(name: string): Promise<void> {
    const server = this.#servers.get(name);
    this.#servers.delete(name);
    await server?.close(connectDeadline);
  }

  /** Resolves once what was sent is answered, or after `ms`. */
  async close(ms: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake?.();
    clearTimeout(this.#compare);
    await Promise.all([...this.#servers.values()].map((server) => server.close(ms)));
    this.#servers.clear();
    this.#wanted.clear();
  }
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
