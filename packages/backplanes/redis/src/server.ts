import { setTimeout as sleep } from "node:timers/promises";
import { BackplaneError } from "@zuruf/hub";
import { Canary } from "@zuruf/hub/store";
import { connect, discard, type Client, type ConnectionSettings, type Driver } from "./driver.ts";
import { explain } from "./failures.ts";
import { printAddress, type Address } from "./options.ts";
import { within } from "./patience.ts";
import { scripts } from "./scripts.ts";

export interface ServerInfo {
  /** Names one life of the process: what it forgot, it forgot when this changed. */
  readonly runId: string;
  readonly version: string;
  readonly primary: boolean;
  readonly cluster: boolean;
}

export interface ServerEvents {
  /** The connections are of no use any more; called once, never by `close`. */
  broken(server: RedisServer, reason: string, silentFor?: number): void;
  message(payload: Buffer, channel: Buffer): void;
  control(payload: Buffer): void;
  /** The server itself ended a subscription: its slot moved. */
  moved(server: RedisServer, channel: string): void;
}

/** One Redis process as this instance uses it: a connection for commands and one for subscriptions, from connecting to the first failure. */
export class RedisServer {
  readonly address: Address;
  readonly name: string;
  readonly info: ServerInfo;
  readonly commands: Client;
  readonly #subscriptions: Client;
  readonly #events: ServerEvents;
  readonly #onMessage: (payload: Buffer, channel: Buffer) => void;
  readonly #onControl: (payload: Buffer) => void;
  readonly #noticers = new Set<Set<string>>();
  #over = false;
  #watched: { readonly channel: string; readonly canary: Canary } | undefined;

  /** Connects and looks at what is there. Rejects with a `BackplaneError` of one line. */
  static async open(
    driver: Driver,
    address: Address,
    clientName: string,
    settings: ConnectionSettings,
    events: ServerEvents,
  ): Promise<RedisServer> {
    const where = printAddress(address);
    const opened: Client[] = [];
    let early: Error | undefined;
    let server: RedisServer | undefined;
    const lost = (error: Error): void => {
      early ??= error;
      server?.break(error.message);
    };
    try {
      const [commands, subscriptions] = await Promise.all(
        ["commands", "subscriptions"].map(async (role) => {
          const client = await connect(driver, address, `${clientName}:${role}`, settings, lost);
          opened.push(client);
          return client;
        }),
      );
      if (commands === undefined || subscriptions === undefined) throw new Error("no connection");
      const { deadline } = settings;
      const info = await within(prepare(commands), deadline, () => new Error(`no answer within ${deadline} ms`));
      if (early !== undefined) throw early;
      server = new RedisServer(address, info, commands, subscriptions, events);
      return server;
    } catch (error) {
      for (const client of opened) discard(client);
      throw explain(where, error);
    }
  }

  constructor(address: Address, info: ServerInfo, commands: Client, subscriptions: Client, events: ServerEvents) {
    this.address = address;
    this.name = printAddress(address);
    this.info = info;
    this.commands = commands;
    this.#subscriptions = subscriptions;
    this.#events = events;
    // The driver tells subscriptions apart by their listener, so it is one for all channels, and one for control.
    this.#onMessage = (payload, channel) => events.message(payload, channel);
    this.#onControl = (payload) => events.control(payload);
    subscriptions.on("sharded-channel-moved", (channel: string) => {
      if (this.#over) return;
      for (const dropped of this.#noticers) dropped.add(channel);
      if (this.#watched?.channel === channel) {
        this.#watched.canary.stop();
        this.#watched = undefined;
      }
      events.moved(this, channel);
    });
  }

  get live(): boolean {
    return !this.#over;
  }

  /**
   * `channels` are Pub/Sub names; on a cluster all of one slot. Resolves with those that the server dropped again meanwhile:
   * a slot may move on between its answer and the moment at which this is heard of.
   */
  async subscribe(channels: string[]): Promise<ReadonlySet<string>> {
    return this.#noticing(this.#subscriptions.sSubscribe(channels, this.#onMessage, true));
  }
  async subscribeControl(channels: string[]): Promise<ReadonlySet<string>> {
    return this.#noticing(this.#subscriptions.sSubscribe(channels, this.#onControl, true));
  }
  async #noticing(subscribing: Promise<void>): Promise<ReadonlySet<string>> {
    const dropped = new Set<string>();
    this.#noticers.add(dropped);
    try {
      await subscribing;
      return dropped;
    } finally {
      this.#noticers.delete(dropped);
    }
  }
  unsubscribe(channels: string[]): Promise<void> {
    return this.#subscriptions.sUnsubscribe(channels, this.#onMessage, true);
  }

  /** Flies a canary through both connections, on a channel whose slot is here; it replaces the one before. */
  async watch(channel: string): Promise<void> {
    const before = this.#watched;
    if (before?.channel === channel) return;
    before?.canary.stop();
    const canary = new Canary(
      (mark) => this.commands.sendCommand(["SPUBLISH", channel, mark]),
      (reason, silentFor) => this.break(reason, silentFor),
    );
    this.#watched = { channel, canary };
    await this.#subscriptions.sSubscribe(channel, (mark) => canary.heard(mark), false);
    if (this.#watched?.canary !== canary || this.#over) return;
    canary.start();
    if (before !== undefined) await this.#subscriptions.sUnsubscribe(before.channel);
  }

  /** The first failure ends both connections: half a server is harder to reason about than none. */
  break(reason: string, silentFor?: number): void {
    if (this.#over) return;
    this.#end();
    this.#events.broken(this, reason, silentFor);
  }

  /** Resolves when commands that were sent are answered, at most after `ms`. */
  async close(ms: number): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#watched?.canary.stop();
    await Promise.race([this.commands.close(), sleep(ms, undefined, { ref: false })]);
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#watched?.canary.stop();
    discard(this.commands);
    discard(this.#subscriptions);
  }
}

async function prepare(commands: Client): Promise<ServerInfo> {
  const [text] = await Promise.all([
    commands.sendCommand<string>(["INFO"]),
    ...scripts.map((s) => load(commands, s.source)),
  ]);
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(text)?.[1] ?? "";
  const info: ServerInfo = {
    runId: field("run_id"),
    version: field("redis_version"),
    primary: field("role") === "master",
    cluster: field("cluster_enabled") === "1",
  };
  if (!/^[0-9a-f]{40}$/.test(info.runId))
    throw new BackplaneError("unusable", "Redis does not say its run id: INFO must be allowed");
  if (Number.parseInt(info.version, 10) < 7)
    throw new BackplaneError(
      "unusable",
      `Redis ${info.version} is too old: Zuruf needs Redis 7.0 or Valkey 7.2, or newer`,
    );
  return info;
}

/** Ahead of time, so that the first publications keep their order: see `NOSCRIPT`. A user who may not load scripts sends them whole. */
async function load(commands: Client, source: string): Promise<void> {
  try {
    await commands.sendCommand(["SCRIPT", "LOAD", source]);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("NOPERM"))) throw error;
  }
}
