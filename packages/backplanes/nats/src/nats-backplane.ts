import {
  BackplaneError,
  type Backplane,
  type BackplaneErrorCode,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Position,
  type PublishOptions,
  type Retention,
} from "@zuruf/hub";
import { Deadlines, readControl, readOffset, Reconnector, writeControl } from "@zuruf/hub/store";
import type { Msg } from "@nats-io/transport-node";
import { Epochs } from "./epochs.ts";
import { explain, isDenied } from "./explain.ts";
import { headHeader, JetStream, JetStreamError } from "./jetstream.ts";
import { Log } from "./log.ts";
import { readSettings, type NatsOptions, type Settings } from "./options.ts";
import { loadDriver, Session, type Driver } from "./session.ts";
import { Subjects } from "./subjects.ts";
import { Trimmer, type Store } from "./trimmer.ts";

/** Bytes of publications that may wait for NATS; beyond, publications are refused at once. */
const mostBytesInFlight = 64 * 1024 * 1024;

/** A channel that somebody here is subscribed to. */
interface Interest {
  readonly channel: string;
  /** The last marker in its log, and the head that it stands for. */
  marker?: { readonly seq: number; readonly head: number };
}

/**
 * Core NATS announces, and JetStream keeps the logs: a publication with history is one request, which JetStream appends and announces itself ("republish"),
 * naming the sequence and the one before it in the channel. One subject per channel, so that nothing comes without interest.
 */
export class NatsBackplane implements Backplane {
  readonly can: Backplane["can"];
  readonly #settings: Settings;
  readonly #subjects: Subjects;
  readonly #deadlines: Deadlines;
  readonly #epochs: Epochs;
  readonly #trimmer: Trimmer;
  /** By the subject of announcements. */
  readonly #interest = new Map<string, Interest>();
  #driver: Driver | undefined;
  #session: Session | undefined;
  #store: Store | undefined;
  #reconnector: Reconnector | undefined;
  #sink: BackplaneSink | undefined;
  #instance: InstanceId = "";
  #inFlight = 0;

  constructor(url: string, options: NatsOptions) {
    this.#settings = readSettings(url, options);
    this.#subjects = new Subjects(this.#settings.prefix);
    this.#epochs = new Epochs(this.#subjects.epochs);
    this.#trimmer = new Trimmer(this.#subjects, () => (this.#session?.live === true ? this.#store : undefined));
    this.#deadlines = new Deadlines(this.#settings.deadline);
    const history = this.#settings.stream !== undefined;
    this.can = { history, contiguous: false, idempotent: history };
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    if (this.#reconnector !== undefined)
      throw new BackplaneError("closed", "the NATS backplane was started before: make another with nats(url)");
    this.#instance = instance;
    this.#sink = sink;
    this.#reconnector = new Reconnector(() => this.#connect(), {
      up: () => sink.up(),
      down: (reason, silentFor) => sink.down(`NATS at ${this.#settings.where}: ${reason}`, silentFor),
    });
    this.#driver = await loadDriver();
    await this.#reconnector.start();
  }

  async #connect(): Promise<void> {
    if (this.#driver === undefined || this.#reconnector === undefined) return;
    const reconnector = this.#reconnector;
    const { stream, where } = this.#settings;
    const session = await Session.open(this.#driver, this.#settings, this.#subjects, this.#instance, {
      broken: (broken, reason, silentFor) => {
        if (this.#session === broken) reconnector.broken(reason, silentFor);
      },
      message: (message) => this.#receive(message),
    });
    this.#session = session;
    try {
      const subjects = [this.#subjects.control(), this.#subjects.control(this.#instance), ...this.#interest.keys()];
      if (stream !== undefined) subjects.push(this.#subjects.liveEpochs);
      await this.#limit(session.subscribe(subjects), "unavailable");
      if (stream !== undefined) {
        const jetstream = new JetStream(session, stream, where, this.#subjects, this.#deadlines);
        const opened = await this.#limit(jetstream.open(), "unavailable");
        const epoch = this.#epochs.newest;
        const alone = !session.clustered && !opened.clustered && !stream.elsewhere;
        const serverId = alone ? session.serverId : undefined;
        await this.#limit(this.#epochs.settle(jetstream, serverId, opened), "unavailable");
        if (this.#epochs.newest !== epoch) this.#forget();
        this.#store = { jetstream, log: new Log(jetstream, this.#epochs, this.#subjects) };
        this.#trimmer.start();
      }
      if (!session.live || reconnector.closed) throw new Error("the connection ended");
    } catch (error) {
      await session.close(0);
      throw error;
    }
  }

  #receive({ subject, data, headers }: Msg): void {
    const interest = this.#interest.get(subject);
    if (interest !== undefined) {
      const seq = headers?.get("Nats-Sequence") ?? "";
      if (seq === "") this.#sink?.publication(interest.channel, { epoch: "", offset: 0, data });
      else if (headers !== undefined) this.#stored(interest, readOffset(seq), headers, data);
    } else if (subject === this.#subjects.liveEpochs) {
      // Somebody saw the store live another life, or made the stream anew.
      if (!this.#epochs.adopt(data)) return;
      this.#forget();
      if (this.#reconnector?.up === true) this.#sink?.suspect();
    } else {
      const control = readControl(data);
      if (control !== undefined && control.from !== this.#instance) this.#sink?.control(control.from, control.message);
    }
  }

  /** Sequences of before may be given out again: nothing that was noted by them holds. */
  #forget(): void {
    this.#trimmer.forget();
    this.#store?.log.forget();
    for (const interest of this.#interest.values()) delete interest.marker;
  }

  /** JetStream appended this to a log. */
  #stored(interest: Interest, seq: number | undefined, headers: NonNullable<Msg["headers"]>, data: Uint8Array): void {
    const { stream } = this.#settings;
    if (stream === undefined || headers.get("Nats-Stream") !== stream.name) return;
    const last = readOffset(headers.get("Nats-Last-Sequence"));
    const head = headers.get(headHeader);
    if (seq === undefined || last === undefined) this.#sink?.suspect([interest.channel]);
    else if (head !== "") interest.marker = { seq, head: readOffset(head) ?? 0 };
    else {
      const previous = interest.marker?.seq === last ? interest.marker.head : last;
      this.#sink?.publication(interest.channel, { epoch: this.#epochs.at(seq), offset: seq, data, previous });
    }
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    const session = this.#connected("unavailable");
    const subjects = channels.map((channel) => this.#subjects.live(channel));
    const fresh = subjects.filter((subject) => !this.#interest.has(subject));
    for (const [i, subject] of subjects.entries())
      if (!this.#interest.has(subject)) this.#interest.set(subject, { channel: channels[i] ?? "" });
    try {
      await this.#limit(Promise.all([session.subscribe(subjects), this.#store?.jetstream.confirm()]), "unavailable");
    } catch (error) {
      for (const subject of fresh) this.#interest.delete(subject);
      session.unsubscribe(fresh);
      throw error;
    }
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    if (this.#reconnector === undefined || this.#reconnector.closed) throw closed();
    const subjects = channels.map((channel) => this.#subjects.live(channel));
    for (const subject of subjects) this.#interest.delete(subject);
    this.#store?.log.forget(channels);
    if (this.#session?.live === true) this.#session.unsubscribe(subjects);
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    const session = this.#connected("notStored");
    if (options.retention !== undefined && this.#store === undefined) throw withoutHistory("notStored");
    if (this.#inFlight + data.byteLength > mostBytesInFlight)
      throw new BackplaneError("notStored", "too many publications wait for NATS: publish slower, or later");
    this.#inFlight += data.byteLength;
    try {
      if (options.retention !== undefined && this.#store !== undefined)
        return await this.#limit(this.#append(this.#store, channel, data, options.retention, options.key), "unknown");
      await this.#limit(session.publish(this.#subjects.live(channel), data), "unknown");
      return undefined;
    } finally {
      this.#inFlight -= data.byteLength;
    }
  }

  async #append(
    { log }: Store,
    channel: string,
    data: Uint8Array,
    retention: Retention,
    key: string | undefined,
  ): Promise<Position> {
    const position = await log.append(channel, data, retention, key);
    this.#trimmer.published(channel, position.offset, data.byteLength, retention);
    return position;
  }

  async heads(channels: readonly string[]): Promise<Map<string, Position>> {
    this.#connected("unavailable");
    if (this.#store === undefined) throw withoutHistory("unusable");
    // Each question has its deadline; many of them may take longer.
    return this.#told(this.#store.log.heads(channels), "unavailable");
  }

  async history(channel: string, range: Parameters<Backplane["history"]>[1]): Promise<HistoryPage> {
    this.#connected("unavailable");
    if (this.#store === undefined) throw withoutHistory("unusable");
    return this.#limit(this.#store.log.history(channel, range), "unavailable");
  }

  async control(message: Uint8Array, to?: InstanceId): Promise<void> {
    const session = this.#connected("unavailable");
    await this.#limit(
      session.publish(this.#subjects.control(to), writeControl(this.#instance, message)),
      "unavailable",
    );
  }

  async close(): Promise<void> {
    if (this.#reconnector?.closed !== false) return;
    this.#reconnector.close();
    this.#trimmer.close();
    await this.#session?.close(this.#settings.deadline);
    this.#deadlines.close();
  }

  #connected(code: BackplaneErrorCode): Session {
    if (this.#reconnector === undefined || this.#reconnector.closed) throw closed();
    if (this.#session?.live !== true || !this.#reconnector.up)
      throw new BackplaneError(code, `NATS at ${this.#settings.where} cannot be reached now`);
    return this.#session;
  }

  #limit<T>(answer: Promise<T>, code: BackplaneErrorCode): Promise<T> {
    const { ms } = this.#deadlines;
    const late = (): Error =>
      new BackplaneError(code, `NATS at ${this.#settings.where} did not answer within ${ms} ms`);
    return this.#told(this.#deadlines.limit(answer, late), code);
  }

  /** Rejects as this backplane does. */
  async #told<T>(answer: Promise<T>, code: BackplaneErrorCode): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof BackplaneError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      if (isDenied(error)) {
        const { message: line, code: fault } = explain(this.#settings.where, error);
        throw new BackplaneError(code === "unknown" ? "notStored" : fault, line, error);
      }
      // A stream that is gone is made again, and its epochs with it.
      if (error instanceof JetStreamError && (error.isNoStream || error.code === 503)) this.#session?.break(message);
      // JetStream said no, or the driver did: it refuses what is larger than the server's max_payload before it sends anything.
      const unsent =
        error instanceof JetStreamError || (error instanceof Error && error.name === "InvalidArgumentError");
      const told = unsent && code === "unknown" ? "notStored" : code;
      throw new BackplaneError(told, `NATS at ${this.#settings.where}: ${message}`, error);
    }
  }
}

function closed(): BackplaneError {
  return new BackplaneError("closed", "the NATS backplane is closed, or was not started");
}
function withoutHistory(code: BackplaneErrorCode): BackplaneError {
  return new BackplaneError(
    code,
    "this NATS backplane keeps no history: leave out history: false, or compose it with a store",
  );
}
