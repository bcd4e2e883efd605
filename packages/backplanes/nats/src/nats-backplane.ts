import {
  BackplaneError,
  type Backplane,
  type BackplaneErrorCode,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Position,
  type PublishOptions,
} from "@zuruf/hub";
import {
  Deadlines,
  Gatherer,
  readControl,
  readFrames,
  readOffset,
  Reconnector,
  writeControl,
  writeFrames,
  type Gathered,
} from "@zuruf/hub/store";
import type { Msg } from "@nats-io/transport-node";
import { Epochs } from "./epochs.ts";
import { itemsOf, mostInBlock, readEntry, type Entry } from "./entry.ts";
import { explain, isDenied } from "./explain.ts";
import { JetStreamError } from "./answers.ts";
import { expectedHeader, JetStream, keyWindow } from "./jetstream.ts";
import { Log } from "./log.ts";
import { readSettings, type NatsOptions, type Settings } from "./options.ts";
import { loadDriver, Session, type Driver } from "./session.ts";
import { Subjects } from "./subjects.ts";
import { Trimmer } from "./trimmer.ts";
import { Writer } from "./writer.ts";

/** Bytes of publications that may wait for NATS; beyond, publications are refused at once. */
const mostBytes = 64 * 1024 * 1024;
/** Bytes of the publications of a channel that go together: few enough not to hold up others. */
const mostBytesTogether = 256 * 1024;
/** Bytes that a message needs besides, for lengths and keys of many publications. */
const overhead = 8 * 1024;

/** The store over one connection. */
interface Store {
  readonly jetstream: JetStream;
  readonly log: Log;
  readonly writer: Writer;
}

/**
 * Core NATS announces, and JetStream keeps the logs: publications with history that came together are one request, which JetStream appends and announces itself
 * ("republish"). One subject per channel, so that nothing comes without interest.
 */
export class NatsBackplane implements Backplane {
  readonly can: Backplane["can"];
  readonly #settings: Settings;
  readonly #subjects: Subjects;
  readonly #deadlines: Deadlines;
  readonly #epochs: Epochs;
  readonly #trimmer: Trimmer;
  /** Of publications with history, and without. */
  readonly #appender: Gatherer;
  readonly #announcer: Gatherer;
  readonly #most = { publications: mostInBlock, bytes: mostBytesTogether };
  /** Channels that somebody here is subscribed to, by the subject of their announcements. */
  readonly #interest = new Map<string, string>();
  #driver: Driver | undefined;
  #session: Session | undefined;
  #store: Store | undefined;
  #reconnector: Reconnector | undefined;
  #sink: BackplaneSink | undefined;
  #instance: InstanceId = "";

  constructor(url: string, options: NatsOptions) {
    this.#settings = readSettings(url, options);
    this.#subjects = new Subjects(this.#settings.prefix);
    this.#epochs = new Epochs(this.#subjects.epochs);
    this.#trimmer = new Trimmer(keyWindow, () => (this.#session?.live === true ? this.#store?.log : undefined));
    this.#deadlines = new Deadlines(this.#settings.deadline);
    const history = this.#settings.stream !== undefined;
    this.can = { history, contiguous: false, idempotent: history, ordered: history };
    const gathering = {
      most: this.#most,
      mostBytes,
      deadline: this.#settings.deadline,
      now: () => performance.now(),
      soon: setImmediate,
    };
    this.#appender = new Gatherer({
      ...gathering,
      send: (channel, batch, within) => this.#append(channel, batch, within),
    });
    this.#announcer = new Gatherer({
      ...gathering,
      send: (channel, batch, within) => this.#announce(channel, batch, within),
    });
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
    this.#most.bytes = Math.min(mostBytesTogether, session.maxPayload - overhead);
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
        this.#store = this.#storeOver(jetstream, session);
        this.#trimmer.start();
      }
      if (!session.live || reconnector.closed) throw new Error("the connection ended");
    } catch (error) {
      await session.close(0);
      throw error;
    }
  }

  #storeOver(jetstream: JetStream, session: Session): Store {
    const log = new Log(jetstream, this.#epochs, this.#subjects);
    const writer = new Writer(jetstream, this.#epochs, this.#subjects, (channel, end, retention) =>
      this.#trimmer.appended(channel, end, retention),
    );
    session.atEnd(() => writer.close());
    return { jetstream, log, writer };
  }

  #receive(message: Msg): void {
    const { subject, data, headers } = message;
    const channel = this.#interest.get(subject);
    if (channel !== undefined) {
      if (headers === undefined) this.#announced(channel, data);
      else this.#stored(channel, headers, data);
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
    this.#store?.writer.forget();
  }

  #announced(channel: string, frames: Uint8Array): void {
    for (const data of readFrames(frames) ?? []) this.#sink?.publication(channel, { epoch: "", offset: 0, data });
  }

  /** JetStream appended this to a log. */
  #stored(channel: string, headers: NonNullable<Msg["headers"]>, data: Uint8Array): void {
    const { stream } = this.#settings;
    if (stream === undefined || headers.get("Nats-Stream") !== stream.name) return;
    const seq = readOffset(headers.get("Nats-Sequence"));
    const last = readOffset(headers.get("Nats-Last-Sequence"));
    let entry: Entry;
    try {
      // Whatever it is that is not as it was written: the log knows.
      if (seq === undefined || last !== readOffset(headers.get(expectedHeader)))
        throw new Error("not what was expected");
      entry = readEntry({ seq, time: 0, size: data.length, headers, data });
    } catch {
      this.#sink?.suspect([channel]);
      return;
    }
    if (last !== undefined) this.#store?.writer.heard(channel, entry, last);
    for (const item of itemsOf(entry, this.#epochs.of(entry.seq))) this.#sink?.publication(channel, item);
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    const session = this.#connected("unavailable");
    const subjects = channels.map((channel) => this.#subjects.live(channel));
    const fresh = subjects.filter((subject) => !this.#interest.has(subject));
    for (const [i, subject] of subjects.entries())
      if (!this.#interest.has(subject)) this.#interest.set(subject, channels[i] ?? "");
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
    this.#connected("notStored");
    if (options.retention !== undefined) {
      if (this.#store === undefined) throw withoutHistory("notStored");
      return this.#appender.publish(channel, data, options);
    }
    return this.#announcer.publish(channel, data, {});
  }

  async #announce(channel: string, batch: readonly Gathered[], within: number): Promise<readonly undefined[]> {
    const frames = writeFrames(batch.map(({ data }) => data));
    await this.#limit(this.#connected("notStored").publish(this.#subjects.live(channel), frames), "unknown", within);
    return [];
  }

  async #append(channel: string, batch: readonly Gathered[], within: number): Promise<Position[]> {
    this.#connected("notStored");
    if (this.#store === undefined) throw withoutHistory("notStored");
    return this.#limit(this.#store.writer.append(channel, batch, within), "unknown", within);
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

  #limit<T>(answer: Promise<T>, code: BackplaneErrorCode, within?: number): Promise<T> {
    const { ms } = this.#deadlines;
    const late = (): Error =>
      new BackplaneError(code, `NATS at ${this.#settings.where} did not answer within ${ms} ms`);
    return this.#told(this.#deadlines.limit(answer, late, within), code);
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
