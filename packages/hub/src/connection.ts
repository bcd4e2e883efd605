import {
  CloseCode,
  isChannelName,
  PacketError,
  ZurufError,
  type Codec,
  type Packet,
  whenToReturn,
} from "@zuruf/protocol";
import { connect, refresh } from "./connect.ts";
import { callFrom } from "./calls.ts";
import type { Core } from "./core.ts";
import { sendFrom } from "./direct.ts";
import { describe, toWireError } from "./errors.ts";
import { historyFor } from "./history.ts";
import type { Session } from "./hooks.ts";
import { presenceFor } from "./presence/request.ts";
import type { Publication } from "./publication.ts";
import { publishFrom, type Lane } from "./publish.ts";
import { subscribe, unsubscribe, unsubscribeAll } from "./subscribe.ts";
import type { Subscription } from "./subscription.ts";
import { Pushes } from "./pushes.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { HubConnection, SharedMessages, Transport } from "./transport.ts";

/** The client said goodbye, or was told never to come back: it is not expected any more. */
const isClean = (code: number): boolean => code === 1000 || whenToReturn(code) === "never";

/** Silence beyond two heartbeats, in seconds, after which the other side is gone. */
const silenceGrace = 5;

/** One client attached to this instance: reads its packets, answers each, and keeps what waits for it within bounds. */
export class Connection implements HubConnection, Session {
  readonly core: Core;
  readonly codec: Codec;
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly subscriptions: Map<string, Subscription> = new Map();
  readonly lanes: Map<string, Lane> = new Map();
  /** `latest` subscriptions that hold a publication until the connection can take it. */
  readonly holding: Set<Subscription> = new Set();
  /** What the server waits for from this client. */
  readonly pushes: Pushes;
  state: "new" | "connecting" | "open" | "closing" | "closed" = "new";
  client = "";
  user: string | undefined;
  data: unknown;
  /** How many times the session was resumed; who has more is the newer connection. */
  life = 0;
  /** Counts up in the order in which this instance's sessions were opened; 0: not opened yet. */
  place = 0;
  /** Milliseconds since 1970; 0: never. */
  expires = 0;
  /** Seconds. */
  heartbeat: number;
  readonly #transport: Transport;
  readonly #opened: number;
  readonly #bucket: TokenBucket | undefined;
  /** What may still be refused before the connection ends; undefined: nothing was refused yet. */
  #patience: TokenBucket | undefined;
  #congested = false;
  #whenWritable: (() => void)[] = [];
  #waiting = 0;
  #bad = 0;
  #inbox: Packet[] = [];
  readonly #turns = new Map<string, Promise<unknown>>();
  #heard: number;
  #sent: number;

  constructor(
    core: Core,
    transport: Transport,
    info: { codec: Codec; address: string; headers?: Readonly<Record<string, string>> },
  ) {
    const { limits } = core;
    this.core = core;
    this.codec = info.codec;
    this.address = info.address;
    this.headers = info.headers ?? {};
    this.heartbeat = limits.heartbeat / 1000;
    this.pushes = new Pushes(core);
    this.#transport = transport;
    this.#opened = this.#heard = this.#sent = core.ticks;
    if (limits.packetsPerSecond > 0)
      this.#bucket = new TokenBucket(limits.packetBurst, limits.packetsPerSecond / 1000, core.clock.now());
  }

  get congested(): boolean {
    return this.#congested;
  }

  get bufferedBytes(): number {
    return this.#transport.bufferedBytes;
  }

  receive(message: string | Uint8Array): void {
    if (this.state === "closing" || this.state === "closed") return;
    this.#heard = this.core.ticks;
    this.core.counters.received++;
    try {
      const packet = this.codec.decode(message);
      if (this.#bucket !== undefined && this.#tooFast(packet, this.#bucket)) return;
      this.#handle(packet);
    } catch (error) {
      this.#failed(error);
    }
  }

  drained(): void {
    this.#congested = false;
    try {
      for (const subscription of this.holding) {
        // Congested again: what is left waits for the next time.
        if (this.#congested) return;
        const publication = subscription.held;
        subscription.held = undefined;
        this.holding.delete(subscription);
        if (publication !== undefined) this.sendShared(publication.message(this.codec));
      }
      this.#releaseWaiters();
    } catch (error) {
      this.#broken(error);
    }
  }

  closed(code: number, reason: string): void {
    if (this.state === "closed") return;
    const had = this.client !== "";
    this.state = "closed";
    this.#inbox = [];
    this.holding.clear();
    this.#releaseWaiters();
    try {
      this.pushes.end();
      for (const lane of this.lanes.values()) lane.abandon();
      unsubscribeAll(this, isClean(code));
      this.core.connections.closed(this);
    } catch (error) {
      this.core.log("error", "cleaning up after a connection failed", { error: describe(error) });
    }
    const hook = this.core.hooks.disconnect;
    if (!had || hook === undefined) return;
    const session = { client: this.client, user: this.user, data: this.data };
    Promise.resolve()
      .then(() => hook(session, { code, reason }))
      .catch((error: unknown) => {
        this.core.log("error", "the onDisconnect hook failed", { error: describe(error) });
      });
  }

  /** Ends the connection from this side. */
  close(code: number, reason: string): void {
    if (this.state === "closing" || this.state === "closed") return;
    this.state = "closing";
    try {
      this.#transport.close(code, reason);
    } catch (error) {
      this.core.log("error", "closing a connection failed", { client: this.client, error: describe(error) });
      // It will not say so itself any more.
      this.closed(code, reason);
    }
  }

  send(packet: Packet): void {
    this.#sendRaw(this.codec.encode(packet));
  }

  sendShared(messages: SharedMessages): void {
    this.#sendRaw(messages);
  }

  /** A publication for one subscription, by the policy of its channel. */
  deliver(subscription: Subscription, publication: Publication): void {
    if (this.#congested) {
      const { delivery } = subscription.options;
      if (delivery === "volatile") {
        this.core.counters.dropped++;
        return;
      }
      if (delivery === "latest") {
        if (subscription.held === undefined) this.holding.add(subscription);
        else this.core.counters.replaced++;
        subscription.held = publication;
        return;
      }
    }
    this.#sendRaw(publication.message(this.codec));
  }

  /** Resolves when the connection takes more without queueing far, or is gone. */
  writable(): Promise<void> {
    if (!this.#congested || this.state !== "open") return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenWritable.push(resolve);
    });
  }

  /** Answers a request with what `work` returns, or with its error. */
  request(id: number, word: string, work: () => Promise<Packet | undefined>): void {
    if (!this.begin(id)) return;
    void this.#finish(id, word, work);
  }

  /** Counts a request that will be answered later; false: there are too many, and it was refused. */
  begin(id: number): boolean {
    if (this.#waiting >= this.core.limits.requests) {
      this.core.counters.rateLimited++;
      this.fail(
        id,
        new ZurufError("rateLimited", "too many requests wait for their answer", { retryAfter: 100 }),
        "request",
      );
      return false;
    }
    this.#waiting++;
    return true;
  }

  end(): void {
    this.#waiting--;
  }

  fail(id: number, error: unknown, during: string): void {
    this.answer({ type: "error", id, error: toWireError(error, this.core.log, during) });
  }

  /** The session is there: handles what came while it was being opened. */
  opened(): void {
    // The answer to connect may have been what ended it.
    if (this.state !== "connecting") return;
    this.state = "open";
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const packet of inbox) {
      try {
        this.#handle(packet);
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  /** Once a second: time-outs, expiry and heartbeat. */
  sweep(now: number): void {
    const { ticks, limits } = this.core;
    if (this.state === "new" || this.state === "connecting") {
      if ((ticks - this.#opened) * 1000 > limits.connectTimeout)
        this.close(CloseCode.connectTimeout, "no connect packet in time");
      return;
    }
    if (this.state !== "open") return;
    if (this.expires !== 0 && now >= this.expires) this.close(CloseCode.expired, "the session expired");
    else if (ticks - this.#heard > 2 * this.heartbeat + silenceGrace)
      this.close(CloseCode.silent, "nothing was heard from the client");
    else if (ticks - this.#sent >= this.heartbeat - 1) this.send({ type: "ping" });
  }

  #handle(packet: Packet): void {
    if (this.state === "closing" || this.state === "closed") return;
    if (packet.type === "connect") {
      if (this.state !== "new") throw new PacketError("this connection is connected already", packet.id);
      this.state = "connecting";
      this.request(packet.id, "connect", () => connect(this, packet));
      return;
    }
    if (this.state === "connecting") {
      // One connection is first in, first out: what comes before the session waits for it.
      if (this.#inbox.push(packet) > this.core.limits.requests)
        this.close(CloseCode.badPacket, "too many packets before connected");
      return;
    }
    if (this.state === "new") {
      if ("id" in packet && packet.id !== undefined)
        this.fail(packet.id, new ZurufError("unauthorized", "the first packet must be connect"), "request");
      return;
    }
    switch (packet.type) {
      case "publish":
        publishFrom(this, packet);
        return;
      case "subscribe":
        this.request(packet.id, "subscribe", () => this.#inTurn(packet.channel, () => subscribe(this, packet)));
        return;
      case "unsubscribe":
        this.request(packet.id, "unsubscribe", () => this.#inTurn(packet.channel, () => unsubscribe(this, packet)));
        return;
      case "history":
        this.request(packet.id, "history", () => this.#inTurn(packet.channel, () => historyFor(this, packet)));
        return;
      case "presence":
        this.request(packet.id, "presence", () => this.#inTurn(packet.channel, () => presenceFor(this, packet)));
        return;
      case "send":
        this.request(packet.id, "send", () => sendFrom(this, packet));
        return;
      case "call":
        this.request(packet.id, "call", () => callFrom(this, packet));
        return;
      case "received":
      case "result":
      case "error":
        this.pushes.answered(packet.id, packet);
        return;
      case "refresh":
        this.request(packet.id, "refresh", () => refresh(this, packet));
        return;
      case "ping":
        if (packet.id !== undefined) this.send({ type: "pong", id: packet.id });
        return;
      case "unknown":
        // A client may know more words than this server: that is no fault that ends its connection.
        if (packet.id !== undefined) {
          const word = isChannelName(packet.word) ? packet.word : "?";
          this.fail(packet.id, new ZurufError("badRequest", `the word ${word} is unknown`), "request");
        }
        return;
      default:
        // A word that only servers say.
        throw new PacketError(`${packet.type} is not for clients to send`, "id" in packet ? (packet.id ?? 0) : 0);
    }
  }

  #sendRaw(message: string | Uint8Array | SharedMessages): void {
    if (this.state === "closing" || this.state === "closed") return;
    this.#sent = this.core.ticks;
    try {
      if (this.#transport.send(message)) return;
    } catch (error) {
      // Whoever sends may be about to send to others.
      this.#broken(error);
      return;
    }
    this.#congested = true;
    if (this.#transport.bufferedBytes <= this.core.limits.queueBytes) return;
    this.core.counters.slow++;
    this.close(CloseCode.slow, "too slow: more waits for this connection than its queue may hold");
  }

  /** Sends an answer; a failing codec must not surface in whoever finished the request. */
  answer(packet: Packet): void {
    try {
      this.send(packet);
    } catch (error) {
      this.#broken(error);
    }
  }

  async #finish(id: number, word: string, work: () => Promise<Packet | undefined>): Promise<void> {
    try {
      const packet = await work();
      this.end();
      if (packet !== undefined) this.answer(packet);
    } catch (error) {
      this.end();
      this.fail(id, error, word);
    }
  }

  /** Requests about one channel are handled one after the other, as they came. */
  async #inTurn<T>(channel: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(channel);
    const begun = (): Promise<T> => {
      // What is begun now would be begun for nobody, and never end.
      if (this.state !== "open") throw new ZurufError("unavailable", "the connection is closed");
      return work();
    };
    // Whatever became of the one before: that is its own answer's matter.
    const turn = before === undefined ? work() : before.then(begun, begun);
    this.#turns.set(channel, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(channel) === turn) this.#turns.delete(channel);
    }
  }

  #tooFast(packet: Packet, bucket: TokenBucket): boolean {
    const answers = packet.type === "received" || packet.type === "result" || packet.type === "error";
    // What the server asked for is no haste of the client's; `pendingPushes` bounds it.
    if (answers && this.pushes.awaits(packet.id)) return false;
    const wait = bucket.take(this.core.clock.now());
    if (wait === 0) return false;
    this.core.counters.rateLimited++;
    // Counted on its own, not in a row: a flood is a flood though the bucket lets a trickle of it through.
    this.#patience ??= new TokenBucket(
      10 * this.core.limits.packetBurst,
      this.core.limits.packetsPerSecond / 100,
      this.core.clock.now(),
    );
    if (this.#patience.take(this.core.clock.now()) > 0)
      this.close(CloseCode.rateLimited, `too many packets retryAfter=${wait}`);
    else if (packet.type === "publish") {
      publishFrom(this, packet, new ZurufError("rateLimited", "too many packets", { retryAfter: wait }));
    } else if (!answers && "id" in packet && packet.id !== undefined)
      // The ids of answers are the server's own: repeated in an error, they would name another request of the client.
      this.fail(packet.id, new ZurufError("rateLimited", "too many packets", { retryAfter: wait }), "request");
    return true;
  }

  /** A packet could not be read, or not be handled. */
  #failed(error: unknown): void {
    if (error instanceof PacketError) this.#badPacket(error);
    else this.#broken(error);
  }

  #badPacket(error: PacketError): void {
    this.core.counters.badPackets++;
    this.fail(error.id, error, "decoding");
    if (error.fatal || ++this.#bad >= this.core.limits.badPackets)
      this.close(CloseCode.badPacket, "too many packets that cannot be read");
  }

  #releaseWaiters(): void {
    const waiters = this.#whenWritable;
    this.#whenWritable = [];
    for (const resolve of waiters) resolve();
  }

  /** A defect of ours, met while handling this connection: costs only this connection. */
  #broken(error: unknown): void {
    this.core.log("error", "handling a connection failed", { client: this.client, error: describe(error) });
    this.close(CloseCode.unavailable, "the server failed");
  }
}
