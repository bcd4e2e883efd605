import {
  type Clock,
  type Delivery,
  type LossReason,
  type Packet,
  type PacketOf,
  type Payload,
  type Timer,
  toPayload,
  type WirePosition,
  ZurufError,
} from "@zuruf/protocol";
import { fromWire } from "./connection.ts";
import type { Backoff } from "./ending.ts";
import { Emitter, type Listenable } from "./emitter.ts";
import type { Answered, Line, Request } from "./line.ts";
import { type Position, type Publication, publicationOf } from "./publication.ts";

export type ChannelState = "unsubscribed" | "subscribing" | "subscribed";

export interface ChannelEvents<Data> {
  publication: Publication<Data>;
  /** Every change of `state`, with its reason: `requested`, `answered`, `connection`, `ended`, or an error's code. */
  state: { readonly state: ChannelState; readonly previous: ChannelState; readonly reason: string };
  /**
   * The subscription starts, or starts over, at `position` (undefined where the channel keeps no history). `recovered`: it continues without a gap
   * from the position this client had, or was given; false: load what else you show of this channel now.
   */
  subscribed: {
    readonly recovered: boolean;
    readonly position: Position | undefined;
    readonly reason: LossReason | undefined;
    readonly delivery: Delivery | undefined;
  };
  /** Publications were lost between the position this client had and `position`. `subscribed` with `recovered: false` follows. */
  restarted: { readonly position: Position | undefined; readonly reason: LossReason | undefined };
  /** The server refused or ended the subscription; where a retry can help, it is under way. */
  error: ZurufError;
}

export interface SubscribeOptions {
  /** Continue after this place instead of starting with what comes next; from `zuruf.position()` on the server, or from a publication. */
  readonly position?: Position;
  /** false: this client's own publications are not delivered to it. Default true. */
  readonly echo?: boolean;
  /** What this connection says about itself to those who watch the channel's presence: a JSON value. Default: nothing. */
  readonly info?: unknown;
}

export interface PublishOptions {
  /**
   * Idempotency key, 1–128 bytes: where the channel keeps history, a repeat within 5 minutes is answered with the first position and published once.
   * Without history only Redis remembers keys; elsewhere a repeat, a retry of the SDK's own too, may arrive twice. Default: a random one of its own.
   */
  readonly key?: string;
  /** Milliseconds for all of it: waiting for a connection, retries, the answer. Default the client's `deadline`; Infinity: none. */
  readonly deadline?: number;
}

export interface HistoryOptions {
  /** Oldest first, after this place. */
  readonly after?: Position;
  /** The newest before this place; without either, the newest of all. */
  readonly before?: Position;
  /** Publications at most, 1 or more; the server may give fewer. Default 100. */
  readonly limit?: number;
}

export interface HistoryPage<Data> {
  /** In offset order. */
  readonly publications: readonly Publication<Data>[];
  /** The channel's head. */
  readonly position: Position;
  /** Nothing between `after` and the first publication was lost. False: `reason` says why. */
  readonly complete: boolean;
  readonly reason: LossReason | undefined;
}

/** A named stream. `client.channel(name)` gives the same object each time. */
export interface Channel<Data = unknown> extends Listenable<ChannelEvents<Data>> {
  readonly name: string;
  readonly state: ChannelState;
  /** After the last publication delivered; undefined before the first `subscribed` and where the channel keeps no history. */
  readonly position: Position | undefined;
  /**
   * Subscribes, and keeps it so through reconnects until `unsubscribe`. Connects the client if it never was. Options count where the channel is `unsubscribed`.
   * Resolves at the first `subscribed`; rejects when the server refuses for good, at `unsubscribe`, and when the client is or gets disconnected for good
   * (the wish stays then, and comes true after `connect`). Events say the same, so that it need not be awaited.
   */
  subscribe(options?: SubscribeOptions): Promise<void>;
  /** Takes the wish back. No publication is delivered after it. */
  unsubscribe(): void;
  /**
   * Publishes a JSON value or bytes (`Uint8Array`, `ArrayBuffer`), whether subscribed or not; queued while there is no connection.
   * Resolves when it is stored. Rejects with a `ZurufError`: at its deadline with `notStored` (certain) or `unknown`; `tooMany` when the queue is full;
   * `rateLimited` with how long to wait; `rejected`, `forbidden` and the like when the server refuses.
   */
  publish(data: Data, options?: PublishOptions): Promise<{ readonly position: Position | undefined }>;
  /** Reads a page of what the channel keeps. */
  history(options?: HistoryOptions): Promise<HistoryPage<Data>>;
}

/** A channel, whatever its data. */
export type AnyChannel = Pick<Channel, "name" | "state" | "position" | "unsubscribe">;

/** What a channel needs of its client. */
export interface ChannelHost {
  readonly line: Line;
  /** The client ids that this client has had. */
  readonly ids: ReadonlySet<string>;
  readonly clock: Clock;
  backoff(): Backoff;
  /** Sends on the connection of now; false when there is none. */
  send(request: Request, answered: Answered): boolean;
  /** Publications to this channel wait from `hold` to `release`. */
  hold(channel: string): void;
  release(channel: string): void;
  /** Connects if the application never said. Returns why it will not. */
  wake(): ZurufError | undefined;
  publish(channel: string, payload: Payload, options: PublishOptions): Promise<WirePosition | undefined>;
}

function fromPair(position: WirePosition | undefined): Position | undefined {
  return position && { epoch: position[0], offset: position[1] };
}
function toPair({ epoch, offset }: Position): WirePosition {
  return [epoch, offset];
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: ZurufError) => void;
}

export class ClientChannel<Data> extends Emitter<ChannelEvents<Data>> implements Channel<Data> {
  readonly name: string;
  readonly #host: ChannelHost;
  readonly #backoff: Backoff;
  #watched = false;
  #info: unknown;
  #state: ChannelState = "unsubscribed";
  #position: Position | undefined;
  /** Of the next publication, where that is another than the position's. */
  #nextEpoch: string | undefined;
  #echo = true;
  #timer: Timer;
  #waiting: Waiting[] = [];
  /** The newest `subscribe` on the wire; answers to older ones, and pushes before its answer, are of the past. */
  #attempt = 0;

  constructor(name: string, host: ChannelHost) {
    super();
    this.name = name;
    this.#host = host;
    this.#backoff = host.backoff();
  }

  get line(): Line {
    return this.#host.line;
  }
  get state(): ChannelState {
    return this.#state;
  }
  get position(): Position | undefined {
    return this.#position;
  }

  subscribe(options: SubscribeOptions = {}): Promise<void> {
    if (this.#state === "subscribed") return Promise.resolve();
    const refused = this.#host.wake();
    const subscribed = new Promise<void>((resolve, reject) => {
      if (refused === undefined) this.#waiting.push({ resolve, reject });
      else reject(refused);
    });
    // Who does not wait for it hears the same from `error` and `state`: no uncaught rejection.
    subscribed.catch(() => undefined);
    if (this.#state === "unsubscribed") {
      this.#position = options.position;
      this.#echo = options.echo ?? true;
      this.#info = options.info;
      this.#enter("subscribing", "requested");
      this.request();
    }
    return subscribed;
  }

  unsubscribe(): void {
    if (this.#state === "unsubscribed") return;
    this.#leave("requested", new ZurufError("notSubscribed", "unsubscribe() was called"));
    this.#host.send({ type: "unsubscribe", channel: this.name }, () => undefined);
  }

  async publish(data: Data, options: PublishOptions = {}): Promise<{ position: Position | undefined }> {
    return { position: fromPair(await this.#host.publish(this.name, toPayload(data), options)) };
  }

  async history({ after, before, limit = 100 }: HistoryOptions = {}): Promise<HistoryPage<Data>> {
    const page = await this.#host.line.request(
      {
        type: "history",
        channel: this.name,
        limit,
        ...(after && { after: toPair(after) }),
        ...(before && { before: toPair(before) }),
      },
      "historyPage",
    );
    const [epoch, offset] = page.position;
    return {
      publications: page.items.map((item) => publicationOf<Data>(this.name, item, epoch, this.#host.ids)),
      position: { epoch, offset },
      complete: page.complete,
      reason: page.reason,
    };
  }

  /** Asks for the subscription on the connection of now, if one is wished for. */
  request(): void {
    this.#host.clock.clearTimeout(this.#timer);
    if (this.#state === "unsubscribed") return;
    const attempt = ++this.#attempt;
    const before = this.#position;
    this.#host.hold(this.name);
    const sent = this.#host.send(
      {
        type: "subscribe",
        channel: this.name,
        ...(before && { position: toPair(before) }),
        ...(!this.#echo && { echo: false }),
        ...(this.#info !== undefined && { info: this.#info }),
        ...(this.#watched && { presence: true }),
      },
      (answer, error) => {
        // Lost connections are the client's matter: it calls `lost`.
        if (attempt !== this.#attempt || this.#state === "unsubscribed") return;
        if (answer?.type === "subscribed") this.#answered(answer, before !== undefined);
        else if (error !== undefined) this.#refused(error);
        this.#host.release(this.name);
      },
    );
    if (!sent) this.#host.release(this.name);
  }

  /** Presence is asked for from now on; a subscription that runs without is continued with it. */
  watch(): void {
    if (this.#watched) return;
    this.#watched = true;
    if (this.#state === "unsubscribed") return;
    this.#enter("subscribing", "presence");
    this.#renew();
  }

  /** Asks again where the server may have taken the request before. */
  #renew(): void {
    this.#host.send({ type: "unsubscribe", channel: this.name }, () => undefined);
    this.request();
  }

  /** There is no connection any more. */
  lost(): void {
    this.#attempt += 1;
    this.#host.clock.clearTimeout(this.#timer);
    if (this.#state === "subscribed") this.#enter("subscribing", "connection");
  }

  /** There will be no connection unless the application says so. */
  disconnected(error: ZurufError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  push(packet: Packet): void {
    // Of an earlier subscription, until the newest is answered.
    if (this.#state !== "subscribed") return;
    if (packet.type === "msg") this.#deliver(packet);
    else if (packet.type === "position") this.#move(packet.position);
    else if (packet.type === "restarted") this.#restart(fromPair(packet.position), packet.reason, undefined);
    else if (packet.type === "ended") {
      this.#enter("subscribing", "ended");
      this.#refused(fromWire(packet.error));
    }
  }

  /** The position's own epoch stays true until a publication of the next one has arrived. */
  #move([epoch, offset]: WirePosition): void {
    if (this.#position === undefined || offset > this.#position.offset) this.#position = { epoch, offset };
    else this.#nextEpoch = epoch;
  }

  #deliver(packet: PacketOf<"msg">): void {
    const { offset } = packet;
    const { ids } = this.#host;
    if (offset > 0 && this.#position !== undefined) {
      if (offset <= this.#position.offset) return;
      this.#position = { epoch: this.#nextEpoch ?? this.#position.epoch, offset };
      this.#nextEpoch = undefined;
    }
    const publication = publicationOf<Data>(this.name, packet, this.#position?.epoch, ids);
    // The server knows this client's id of now only.
    if (this.#echo || !publication.own) this.emit("publication", publication);
  }

  #answered({ position, recovered, reason, delivery }: PacketOf<"subscribed">, continued: boolean): void {
    this.#backoff.reset();
    const lost = continued && recovered !== true;
    // A recovered subscription repeats the position asked for; what came after it follows.
    this.#position = fromPair(position);
    this.#nextEpoch = undefined;
    this.#enter("subscribed", "answered");
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    if (lost) this.#restart(this.#position, reason, delivery);
    else this.emit("subscribed", { recovered: recovered === true, position: this.#position, reason, delivery });
  }

  #restart(position: Position | undefined, reason: LossReason | undefined, delivery: Delivery | undefined): void {
    this.#position = position;
    this.#nextEpoch = undefined;
    this.emit("restarted", { position, reason });
    this.emit("subscribed", { recovered: false, position, reason, delivery });
  }

  #refused(error: ZurufError): void {
    this.emit("error", error);
    // An `unsubscribe` that went out too fast was refused: the server has the subscription of before.
    const taken = error.code === "alreadySubscribed";
    if (error.retryable || taken) {
      const delay = error.retryAfter + this.#backoff.next();
      const again = taken || error.code === "timeout";
      this.#timer = this.#host.clock.setTimeout(() => (again ? this.#renew() : this.request()), delay);
    } else this.#leave(error.code, error);
  }

  #leave(reason: string, error: ZurufError): void {
    this.#attempt += 1;
    this.#host.clock.clearTimeout(this.#timer);
    this.#host.release(this.name);
    this.#enter("unsubscribed", reason);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #enter(state: ChannelState, reason: string): void {
    const previous = this.#state;
    this.#state = state;
    if (state !== previous) this.emit("state", { state, previous, reason });
  }
}
