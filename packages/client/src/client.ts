import {
  type ChannelName,
  type DataOf,
  isChannelName,
  type Packet,
  type PacketOf,
  type PacketType,
  type Payload,
  type Timer,
  type WirePosition,
  ZurufError,
} from "@zuruf/protocol";
import { ClientChannel, type Channel, type ChannelHost, type PublishOptions } from "./channel.ts";
import { Connection, fromWire, noAnswer } from "./connection.ts";
import { Backoff, type Ending } from "./ending.ts";
import { Emitter, type Listenable } from "./emitter.ts";
import type { Answered, Line, Request } from "./line.ts";
import { settle, type ClientOptions, type Settings } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { Refresh } from "./refresh.ts";
import { webSocketUrl } from "./transport.ts";
import { onWake } from "./wake.ts";

export type ClientState = "disconnected" | "connecting" | "connected";

export interface ClientEvents {
  /** Every change of `state`, and every failed attempt (`connecting` again). */
  state: {
    readonly state: ClientState;
    readonly previous: ClientState;
    /** `requested`, `answered`, `timeout`, `silent`, `token`, `transport`, `badPacket`, `wake`, `lost`, an error's code, or the server's own word. */
    readonly reason: string;
    /** The WebSocket close code, where a connection ended; 1006: without one. */
    readonly code?: number;
    /** Milliseconds until the next attempt, while there is one to wait for. */
    readonly retryIn?: number;
  };
  /** What went wrong beside the answers to requests: a token that could not be had, a refused session. Retried where that can help. */
  error: ZurufError;
}

/** One client of one server: a connection that comes back by itself, and channels over it. */
export interface Client<Channels extends object = Record<string, unknown>> extends Listenable<ClientEvents> {
  readonly state: ClientState;
  /** The client id that the server gave; kept over short interruptions. Undefined before the first connection. */
  readonly id: string | undefined;
  /** Whom the server takes this client for; undefined: nobody it knows. */
  readonly user: string | undefined;
  /** The name of the server instance of the latest connection. */
  readonly instance: string | undefined;
  /** Connects; also happens by itself at the first subscription, publication or request. Nothing where it is connected or connecting. */
  connect(): void;
  /** Ends the connection and stays away until `connect`: what waits for an answer is rejected, subscriptions wait. */
  disconnect(): void;
  /**
   * The channel of this name (1–200 bytes of UTF-8 without control characters, space, `{` or `}`; else `TypeError`), the same object each time.
   * With a channel map the data's type comes from the name; without, it may be given.
   */
  channel<Name extends ChannelName<Channels>>(name: Name): Channel<DataOf<Channels, Name>>;
  channel<Data = never>(name: [Data] extends [never] ? ChannelName<Channels> : string): Channel<Data>;
}

/** A client, whatever its types. */
export type AnyClient = Pick<Client, "state" | "id" | "connect" | "disconnect">;

/** Milliseconds after which a connection counts as good, and the next failure as the first. */
const stable = 5_000;
/** Earlier ids of this client that are remembered, so that its own publications stay its own. */
const maxIds = 1_000;

export class ClientCore extends Emitter<ClientEvents> implements Client {
  readonly #url: string;
  readonly #settings: Settings;
  readonly #channels = new Map<string, ClientChannel<unknown>>();
  readonly #ids = new Set<string>();
  readonly #outbox: Outbox;
  readonly #backoff: Backoff;
  readonly #refresh: Refresh | undefined;
  readonly #handlers = new Map<PacketType, (packet: never) => void>();
  /** Requests that wait for a connection. */
  readonly #waiting = new Set<() => void>();
  readonly line: Line;
  readonly #host: ChannelHost;
  #state: ClientState = "disconnected";
  #connection: Connection | undefined;
  #session: PacketOf<"connected"> | undefined;
  #connectedAt = 0;
  /** Why there is no connection and none to come; undefined: one comes when it is needed. */
  #away: ZurufError | undefined;
  #retry: Timer;
  #retryAt = 0;
  #notBefore = 0;
  #endWake: (() => void) | undefined;

  constructor(url: string, options: ClientOptions) {
    super();
    this.#url = webSocketUrl(url);
    this.#settings = settle(options);
    const { clock, queue, token } = this.#settings;
    const backoff = (): Backoff => new Backoff(this.#settings.random, this.#settings.backoff);
    this.#backoff = backoff();
    this.#outbox = new Outbox(clock, queue, backoff);
    this.line = {
      request: (request, expect, timeout) => this.#request(request, expect, timeout ?? this.#settings.timeout),
      notify: (packet) => void (this.#state === "connected" && this.#connection?.send(packet)),
      handle: (type, handler) => void this.#handlers.set(type, handler),
    };
    this.#refresh = token && new Refresh(clock, this.line, token, backoff(), (error) => this.emit("error", error));
    this.#host = {
      line: this.line,
      ids: this.#ids,
      backoff,
      clock,
      send: (request, answered) => this.#send(request, answered, this.#settings.timeout),
      hold: (channel) => this.#outbox.hold(channel),
      release: (channel) => this.#outbox.release(channel),
      wake: () => this.#wake(),
      publish: (channel, payload, options) => this.#publish(channel, payload, options),
    };
  }

  get state(): ClientState {
    return this.#state;
  }
  get id(): string | undefined {
    return this.#session?.client;
  }
  get user(): string | undefined {
    return this.#session?.user;
  }
  get instance(): string | undefined {
    return this.#session?.instance;
  }

  channel<Data>(name: string): Channel<Data> {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      if (!isChannelName(name))
        throw new TypeError(`"${String(name)}" is no channel name: 1–200 bytes, no spaces, { or }`);
      channel = this.open(name, this.#host);
      this.#channels.set(name, channel);
    }
    return channel as unknown as Channel<Data>;
  }

  protected open(name: string, host: ChannelHost): ClientChannel<unknown> {
    return new ClientChannel(name, host);
  }

  connect(): void {
    this.#away = undefined;
    if (this.#state !== "disconnected") return;
    this.#backoff.reset();
    this.#endWake = onWake((offline) => this.#woken(offline));
    this.#enter("connecting", "requested");
    // A handler may have disconnected.
    if (this.#away === undefined) this.#dial();
  }

  disconnect(): void {
    if (this.#away === undefined)
      this.#stayAway(new ZurufError("disconnected", "disconnect() was called"), "requested");
  }

  #dial(): void {
    const { token, codec, clock, transport, timeout, heartbeat } = this.#settings;
    const resume = this.#session && ([this.#session.client, this.#session.secret] as const);
    this.#retry = undefined;
    this.#connection = new Connection(
      { url: this.#url, codec, clock, transport, timeout, heartbeat, token, resume },
      {
        connected: (packet) => this.#connected(packet),
        push: (packet) => this.#push(packet),
        ended: (ending) => this.#ended(ending),
      },
    );
  }

  #connected(packet: PacketOf<"connected">): void {
    this.#session = packet;
    this.#ids.add(packet.client);
    const [oldest] = this.#ids;
    if (this.#ids.size > maxIds && oldest !== undefined) this.#ids.delete(oldest);
    this.#connectedAt = this.#settings.clock.now();
    this.#enter("connected", "answered");
    if (this.#connection === undefined) return;
    this.#refresh?.plan(packet.expires);
    for (const channel of this.#channels.values()) channel.request();
    this.#outbox.connected(this.#connection);
    for (const go of this.#waiting) go();
  }

  #push(packet: Packet): void {
    if ("channel" in packet) this.#channels.get(packet.channel)?.push(packet);
    this.#handlers.get(packet.type)?.(packet as never);
    // The answer to what the server could not read at all.
    if (packet.type === "error" && packet.id === 0) this.emit("error", fromWire(packet.error));
  }

  #lost(code: number): void {
    this.#connection = undefined;
    this.#refresh?.stop();
    this.#outbox.lost(code);
    for (const channel of this.#channels.values()) channel.lost();
  }

  #ended(ending: Ending): void {
    const { code, reason, returns, retryAfter, error } = ending;
    const { clock, random, backoff } = this.#settings;
    const opened = this.#state === "connected";
    this.#lost(code);
    if (error !== undefined) this.emit("error", error);
    // The handler of `error` may have decided already.
    if (this.#away !== undefined) return;
    if (returns === "never")
      return this.#stayAway(
        error ?? new ZurufError("disconnected", `the server sent this client away: ${reason}`),
        reason,
        code,
      );
    const now = clock.now();
    if (opened && now - this.#connectedAt >= stable) this.#backoff.reset();
    const jitter = returns === "now" && opened ? Math.floor(random() * backoff.min) : this.#backoff.next();
    this.#notBefore = now + retryAfter;
    this.#plan(retryAfter + jitter, reason, code);
  }

  #plan(retryIn: number, reason: string, code?: number): void {
    const { clock } = this.#settings;
    clock.clearTimeout(this.#retry);
    this.#retryAt = clock.now() + retryIn;
    this.#retry = clock.setTimeout(() => this.#dial(), retryIn);
    this.#enter("connecting", reason, { retryIn, ...(code !== undefined && { code }) });
  }

  /** The network or the user is back: no need to wait out a long delay, only what the server asked for. Whether a connection outlived what happened is asked. */
  #woken(offline: boolean): void {
    if (this.#state === "connected") return this.#connection?.probe();
    if (offline || this.#retry === undefined) return;
    const now = this.#settings.clock.now();
    this.#backoff.reset();
    const retryIn = Math.max(0, this.#notBefore - now) + this.#backoff.next();
    if (now + retryIn < this.#retryAt) this.#plan(retryIn, "wake");
  }

  #stayAway(error: ZurufError, reason: string, code?: number): void {
    this.#away = error;
    const connection = this.#connection;
    this.#lost(code ?? 1000);
    connection?.close();
    this.#settings.clock.clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#endWake?.();
    this.#outbox.clear(error.message);
    this.#enter("disconnected", reason, code === undefined ? {} : { code });
    for (const channel of this.#channels.values()) channel.disconnected(error);
    for (const go of this.#waiting) go();
  }

  #enter(state: ClientState, reason: string, more: { code?: number; retryIn?: number } = {}): void {
    const previous = this.#state;
    this.#state = state;
    if (state !== previous || more.retryIn !== undefined) this.emit("state", { state, previous, reason, ...more });
  }

  /** Connects when it never was; says why it will not where the application or the server decided so. */
  #wake(): ZurufError | undefined {
    if (this.#away === undefined) this.connect();
    return this.#away;
  }

  #send(request: Request, answered: Answered, timeout?: number): boolean {
    if (this.#state !== "connected" || this.#connection === undefined) return false;
    this.#connection.request(request, answered, timeout);
    return true;
  }

  #publish(channel: string, payload: Payload, options: PublishOptions): Promise<WirePosition | undefined> {
    const { random, deadline } = this.#settings;
    const away = this.#wake();
    if (away !== undefined)
      return Promise.reject(new ZurufError("notStored", `not sent: ${away.message}`, { retryable: false }));
    // 96 random bits; unguessable with the default source.
    const key = options.key ?? [0, 0, 0].map(() => Math.floor(random() * 2 ** 32).toString(36)).join("");
    return this.#outbox.publish(channel, payload, key, options.deadline ?? deadline);
  }

  #request<T extends PacketType>(request: Request, expect: T, timeout: number): Promise<PacketOf<T>> {
    const { clock, queue } = this.#settings;
    const refused = this.#wake();
    if (refused !== undefined) return Promise.reject(refused);
    if (this.#waiting.size >= queue.publications)
      return Promise.reject(new ZurufError("tooMany", `${this.#waiting.size} requests wait for a connection already`));
    return new Promise((resolve, reject) => {
      let sent = false;
      const finish = (): void => {
        clock.clearTimeout(timer);
        this.#waiting.delete(go);
      };
      const timer = clock.setTimeout(() => {
        finish();
        reject(
          sent
            ? noAnswer()
            : new ZurufError("unavailable", "there was no connection in time: the request was not sent"),
        );
      }, timeout);
      const go = (): void => {
        if (this.#away !== undefined) {
          finish();
          reject(this.#away);
          return;
        }
        sent = this.#send(request, (answer, error) => {
          finish();
          if (answer?.type === expect) resolve(answer as PacketOf<T>);
          else reject(error ?? new ZurufError("internal", `the server answered ${request.type} with something else`));
        });
        if (sent) this.#waiting.delete(go);
        else this.#waiting.add(go);
      };
      go();
    });
  }
}
