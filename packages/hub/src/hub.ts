import {
  CloseCode,
  isChannelName,
  payloadValue,
  toPayload,
  utf8Length,
  ZurufError,
  type CallMap,
  type CallName,
  type ChannelName,
  type Codec,
  type DataIn,
  type DataOf,
  type DataOut,
  type Receipt,
} from "@zuruf/protocol";
import type { BackplaneSink, InstanceId, Position } from "./backplane.ts";
import { resolveOptions, type ChannelOptions, type ResolvedOptions } from "./channel-options.ts";
import {
  Administration,
  type ChannelRecord,
  type ConnectionRecord,
  type Reach,
  type RecordPage,
  type Target,
} from "./administration.ts";
import { answerCalls, callClient, defaultCallTimeout, type CallHandler } from "./calls.ts";
import { Channels } from "./channels.ts";
import { expiry } from "./connect.ts";
import { Connection } from "./connection.ts";
import { Connections } from "./connections.ts";
import { Control } from "./control.ts";
import { optionsOf, type Core } from "./core.ts";
import { Directs } from "./direct.ts";
import { newCounters, type Counters } from "./counters.ts";
import { describe, toZurufError } from "./errors.ts";
import { readHistory } from "./history.ts";
import type { Hooks } from "./hooks.ts";
import { resolveLimits, type Limits } from "./limits.ts";
import { Patterns } from "./patterns.ts";
import { Presence, type PresenceSummary } from "./presence/presence.ts";
import { checkKey, infoNow, prepare, store, type PreparedPublication } from "./publish.ts";
import type { HistoryRecord, HubOptions, HubStatus } from "./hub-types.ts";
import type { HubConnection, Transport } from "./transport.ts";

/** How often heads are compared: the bound for finding a lost last message. */
const headCheck = 10_000;
const second = 1000;

/**
 * Channels, sessions and everything between them, for one instance. It knows no sockets: transports come in by `accept`.
 * `ChannelMap` gives the data's types by channel name or pattern and `Methods` those of calls; the same maps type a client. They are promises
 * of the application: what clients send is checked by `validate` and the hooks, not by types.
 */
export class Hub<ChannelMap extends object = Record<string, unknown>, Methods extends object = CallMap> {
  readonly counters: Counters = newCounters();
  readonly #core: Core & { readonly channels: Channels };
  readonly #administration: Administration;
  readonly #hooks: Hooks = {};
  #state: "new" | "started" | "closed" = "new";
  #backplane: { state: "up" | "down"; since: number; reason?: string };
  #timers: unknown[] = [];
  #draining = false;

  /** @throws {TypeError} for a wrong option, by name. */
  constructor(options: HubOptions) {
    const { backplane, instance, clock, random, log = () => undefined } = options;
    if (utf8Length(instance) > 64 || instance === "") throw new TypeError("instance must have 1 to 64 bytes");
    const { counters } = this;
    const core: Core = {
      instance,
      backplane,
      clock,
      random,
      limits: resolveLimits(options.limits),
      log,
      hooks: this.#hooks,
      patterns: new Patterns<ResolvedOptions>(),
      channels: new Channels({ backplane, clock, log, counters }),
      connections: new Connections(),
      counters,
      direct: options.direct ?? "user",
      calls: new Map(),
      // These three know the core and one another.
      control: undefined as unknown as Control,
      presence: undefined as unknown as Presence,
      directs: undefined as unknown as Directs,
      reachable: () => this.#backplane.state === "up",
      ticks: 0,
    };
    core.control = new Control(core);
    core.presence = new Presence(core);
    core.directs = new Directs(core);
    answerCalls(core);
    this.#administration = new Administration(core);
    this.#core = core;
    this.#backplane = { state: "down", since: clock.now(), reason: "not started" };
    for (const [pattern, given] of Object.entries(options.channels ?? {})) this.channel(pattern, given);
  }

  get instance(): InstanceId {
    return this.#core.instance;
  }

  get limits(): Limits {
    return this.#core.limits;
  }

  /** Connects to the backplane. @throws {BackplaneError} with one line that says why it is of no use. */
  async start(): Promise<void> {
    if (this.#state !== "new") throw new ZurufError("badRequest", `this hub is ${this.#state} already`);
    this.#state = "started";
    const { core, sink } = { core: this.#core, sink: this.#sink() };
    try {
      await core.backplane.start(core.instance, sink);
    } catch (error) {
      this.#state = "new";
      throw error;
    }
    // Whoever resolves `start` can be reached.
    if (this.#backplane.reason === "not started") this.#up();
    this.#every(second, () => {
      this.#sweep();
    });
    this.#every(headCheck, () => {
      this.#check();
    });
  }

  /**
   * Closes every connection with 4400, spread over `within` ms (0: at once), and the backplane after them. Safe to call twice.
   * `between`: done after the last `onVacated`, while the backplane can still be used.
   */
  async close({
    within = 0,
    between,
  }: { readonly within?: number; readonly between?: () => Promise<void> } = {}): Promise<void> {
    if (this.#state === "closed") return;
    if (this.#state === "started") await this.drain({ within });
    this.#state = "closed";
    for (const timer of this.#timers) this.#core.clock.clearTimeout(timer);
    this.#core.channels.close();
    await this.#core.presence.close();
    await between?.();
    await this.#core.backplane.close();
  }

  /**
   * Closes the connections one after the other over `within` ms, each told to return not before the last has gone.
   * New ones are closed at once. Resolves when all were told.
   */
  async drain({ within }: { readonly within: number }): Promise<void> {
    this.#draining = true;
    const { connections, clock } = this.#core;
    const end = clock.now() + within;
    const slices = Math.max(1, Math.ceil(within / 50));
    for (let slice = 0; slice < slices; slice++) {
      const left = slices - slice;
      let count = Math.ceil(connections.all.size / left);
      for (const connection of connections.all) {
        if (count-- <= 0) break;
        connection.close(CloseCode.draining, `draining retryAfter=${Math.max(0, end - clock.now())}`);
        connections.all.delete(connection);
      }
      if (left > 1) await new Promise<void>((resolve) => clock.setTimeout(resolve, within / slices));
    }
  }

  /** A client that attached over any transport. Its packets go to the returned connection. */
  accept(
    transport: Transport,
    info: { readonly codec: Codec; readonly address: string; readonly headers?: Readonly<Record<string, string>> },
  ): HubConnection {
    const { connections, limits } = this.#core;
    const connection = new Connection(this.#core, transport, info);
    if (this.#state !== "started" || this.#draining) connection.close(CloseCode.draining, "draining retryAfter=1000");
    else if (limits.connections > 0 && connections.all.size >= limits.connections)
      connection.close(CloseCode.overloaded, "too many connections retryAfter=5000");
    else connections.all.add(connection);
    return connection;
  }

  /** Configures the channels of a pattern; replaces what the same pattern said before, for channels opened from now on. @throws {TypeError} */
  channel(pattern: string, options: ChannelOptions): void {
    const { backplane, patterns, limits } = this.#core;
    const resolved = resolveOptions(pattern, options, limits.dataBytes);
    if (resolved.retention !== undefined && !backplane.can.history)
      throw new TypeError(
        `channel "${pattern}" wants history, and this backplane keeps none: give it a store, with compose({ relay, store }) or --backplane RELAY+STORE`,
      );
    patterns.set(pattern, resolved);
  }

  /** Who a token is. Without this hook everybody is anonymous. */
  onConnect(hook: NonNullable<Hooks["connect"]>): void {
    this.#hooks.connect = hook;
  }
  onSubscribe(hook: NonNullable<Hooks["subscribe"]>): void {
    this.#hooks.subscribe = hook;
  }
  onPublish(hook: NonNullable<Hooks["publish"]>): void {
    this.#hooks.publish = hook;
  }
  /** A client's direct messages: with this hook it alone decides, without it the option `direct`. */
  onDirect(hook: NonNullable<Hooks["direct"]>): void {
    this.#hooks.direct = hook;
  }
  onOccupied(hook: NonNullable<Hooks["occupied"]>): void {
    this.#hooks.occupied = hook;
  }
  onVacated(hook: NonNullable<Hooks["vacated"]>): void {
    this.#hooks.vacated = hook;
  }
  /** Answers what clients `call` by this name, on the instance that they are connected to; replaces the handler before. */
  handle<Name extends CallName<Methods>>(
    method: Name,
    handler: CallHandler<DataIn<Methods, Name>, DataOut<Methods, Name>>,
  ): void {
    this.#core.calls.set(method, handler as CallHandler);
  }
  onDisconnect(hook: NonNullable<Hooks["disconnect"]>): void {
    this.#hooks.disconnect = hook;
  }

  /**
   * Publishes for the server: no hook is asked and no limit but the log's applies.
   * Resolves with the position once stored, undefined on a channel without history. @throws {ZurufError}
   */
  async publish<Name extends ChannelName<ChannelMap>>(
    channel: Name,
    data: DataOf<ChannelMap, Name>,
    { key }: { readonly key?: string } = {},
  ): Promise<Position | undefined> {
    const options = this.#options(channel);
    checkKey(key);
    const position = await this.#asking(store(this.#core, channel, toPayload(data), options, infoNow(this.#core, key)));
    this.counters.published++;
    return position;
  }

  /**
   * What `publish` would give to the backplane, for one that can take it in another way: PostgreSQL's, within your own transaction.
   * Nothing is published. @throws {ZurufError}
   */
  prepare<Name extends ChannelName<ChannelMap>>(
    channel: Name,
    data: DataOf<ChannelMap, Name>,
    { key }: { readonly key?: string } = {},
  ): PreparedPublication {
    checkKey(key);
    return prepare(channel, toPayload(data), this.#options(channel), infoNow(this.#core, key));
  }

  /** Where the channel's log is now: read it before your own data, and subscribe from it, and nothing is missed. @throws {ZurufError} */
  async position(channel: ChannelName<ChannelMap>): Promise<Position> {
    if (this.#options(channel).retention === undefined) throw new ZurufError("notFound", `${channel} keeps no history`);
    const head = (await this.#asking(this.#core.backplane.heads([channel]))).get(channel);
    if (head === undefined) throw new ZurufError("unavailable", `the backplane gave no head of ${channel}`);
    return head;
  }

  /** Publications after a position, oldest first, or the newest before one (or before the head). `limit`: 100 unless told. @throws {ZurufError} */
  async history<Name extends ChannelName<ChannelMap>>(
    channel: Name,
    range: { readonly after?: Position; readonly before?: Position; readonly limit?: number } = {},
  ): Promise<HistoryRecord<DataOf<ChannelMap, Name>>> {
    if (this.#options(channel).retention === undefined) throw new ZurufError("notFound", `${channel} keeps no history`);
    const { items, ...page } = await this.#asking(
      readHistory(this.#core.backplane, channel, { ...range, limit: range.limit ?? 100 }),
    );
    return {
      publications: items.map(({ offset, info, payload }) => ({
        ...info,
        offset,
        data: payloadValue(payload) as DataOf<ChannelMap, Name>,
      })),
      ...page,
    };
  }

  /** Sends a direct message from the server to a client id or `user:<id>`. `timeout`: ms, 5000 unless told. */
  async send(to: string, data: unknown, { timeout }: { readonly timeout?: number } = {}): Promise<Receipt> {
    return this.#core.directs.send({}, to, toPayload(data), timeout);
  }

  /** Sends the same to many users; each one's receipt. */
  async broadcast(
    users: readonly string[],
    data: unknown,
    options: { readonly timeout?: number } = {},
  ): Promise<Map<string, Receipt>> {
    const receipts = await Promise.all(users.map((user) => this.send(`user:${user}`, data, options)));
    return new Map(users.map((user, i) => [user, receipts[i] as Receipt]));
  }

  /** Calls a client with a JSON value or bytes (nothing: null), wherever it is connected, and gives its result. `timeout`: ms, 10000 unless told. @throws {ZurufError} the client's own, `notFound` or `timeout`. */
  async call(
    client: string,
    method: string,
    data: unknown = null,
    { timeout = defaultCallTimeout }: { readonly timeout?: number } = {},
  ): Promise<unknown> {
    return callClient(this.#core, client, method, toPayload(data), timeout);
  }

  /** Who is in a presence channel now, over all instances. `limit`: members in the list, 0 for numbers only; default `limits.presenceMembers`. */
  async presence(
    channel: string,
    { limit = this.#core.limits.presenceMembers }: { readonly limit?: number } = {},
  ): Promise<PresenceSummary> {
    if (!this.#options(channel).presence) throw new ZurufError("notFound", `${channel} keeps no presence`);
    return this.#core.presence.ask(channel, limit);
  }

  /** Closes a client's or a user's connections on all instances, with 4004 unless told: the client does not return by itself. */
  disconnect(
    target: Target,
    {
      code = CloseCode.disconnected,
      reason = "disconnected by the server",
    }: { readonly code?: number; readonly reason?: string } = {},
  ): Promise<Reach> {
    return this.#administration.disconnect(target, code, reason);
  }

  /** Ends a client's or a user's subscriptions to a channel on all instances: they are told so, and do not come back by themselves. */
  unsubscribe(
    target: Target,
    channel: string,
    { reason = "the server ended the subscription" }: { readonly reason?: string } = {},
  ): Promise<Reach> {
    return this.#administration.unsubscribe(target, channel, reason);
  }

  /** Takes a session's rights: its connections are closed with 4001, and `onConnect` decides whether it may come back. */
  revoke(target: Target): Promise<Reach> {
    return this.#administration.disconnect(target, CloseCode.unauthorized, "the session was revoked");
  }

  /** Gives a session another end: ms since 1970 or a date, 0 for none. @throws {TypeError} for what is no time. */
  async refresh(client: string, expires: number | Date): Promise<Reach> {
    return this.#administration.expires(client, expiry(expires));
  }

  /** This instance and the others that live. */
  instances(): InstanceId[] {
    return [this.#core.instance, ...this.#core.control.peers.live()];
  }

  /** A page of an instance's sessions (default: this one's; 100 unless told); undefined when it does not answer. */
  connections({
    instance = this.#core.instance,
    after,
    limit = 100,
  }: { readonly instance?: InstanceId; readonly after?: string; readonly limit?: number } = {}): Promise<
    RecordPage<ConnectionRecord> | undefined
  > {
    return this.#administration.connections(instance, after, limit);
  }

  /** A page of an instance's channels with subscribers, by name; undefined when it does not answer. */
  channels({
    instance = this.#core.instance,
    after,
    limit = 100,
  }: { readonly instance?: InstanceId; readonly after?: string; readonly limit?: number } = {}): Promise<
    RecordPage<ChannelRecord> | undefined
  > {
    return this.#administration.channels(instance, after, limit);
  }

  status(): HubStatus {
    const { instance, connections, channels } = this.#core;
    const { state, since, reason } = this.#backplane;
    return {
      instance,
      connections: connections.all.size,
      sessions: connections.sessions,
      channels: channels.size,
      backplane: state,
      since,
      ...(reason !== undefined && { reason }),
    };
  }

  #options(channel: string): ResolvedOptions {
    if (!isChannelName(channel)) throw new ZurufError("badRequest", `${JSON.stringify(channel)} is no channel name`);
    return optionsOf(this.#core, channel);
  }

  async #asking<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw toZurufError(error);
    }
  }

  #sink(): BackplaneSink {
    const { channels, control, log } = this.#core;
    // The contract says that a sink does not throw; a defect here must not reach a driver's socket.
    const safely = (what: string, run: () => void): void => {
      try {
        run();
      } catch (error) {
        log("error", `${what} failed`, { error: describe(error) });
      }
    };
    return {
      publication: (channel, item) => {
        safely("a publication from the backplane", () => {
          channels.arrived(channel, item);
        });
      },
      control: (from, message) => {
        safely("a control message", () => {
          control.received(from, message);
        });
      },
      up: () => {
        this.#up();
      },
      down: (reason, silentFor = 0) => {
        const { state, since } = this.#backplane;
        if (state === "up") log("warn", "the backplane is down", { reason });
        // Told again with a newer reason: it is down since the first.
        this.#backplane = { state: "down", since: state === "up" ? this.#core.clock.now() - silentFor : since, reason };
        this.#core.presence.down();
      },
      suspect: (names) => {
        this.#check(names);
      },
    };
  }

  #up(): void {
    const { clock, log } = this.#core;
    if (this.#backplane.state === "down") log("info", "the backplane is up");
    if (this.#backplane.state === "down") this.#backplane = { state: "up", since: clock.now() };
    this.#core.presence.up();
    this.#check();
  }

  #check(names?: readonly string[]): void {
    // Down: `up` will check. A failure is the next period's.
    if (this.#backplane.state === "down") return;
    this.#core.channels.check(names).catch((error: unknown) => {
      this.#core.log("warn", "the heads could not be checked", { error: describe(error) });
    });
  }

  #sweep(): void {
    const core = this.#core;
    core.ticks++;
    const now = core.clock.now();
    for (const connection of core.connections.all) connection.sweep(now);
    core.channels.sweep(now);
    core.presence.sweep();
  }

  #every(ms: number, run: () => void): void {
    const index = this.#timers.length;
    const again = (): void => {
      this.#timers[index] = this.#core.clock.setTimeout(() => {
        run();
        if (this.#state === "started") again();
      }, ms);
    };
    again();
  }
}
