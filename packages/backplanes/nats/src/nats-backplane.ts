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
import { Deadlines, readControl, Reconnector, writeControl } from "@zuruf/hub/store";
import { readSettings, type NatsOptions, type Settings } from "./options.ts";
import { loadDriver, Session, type Driver } from "./session.ts";

/** Bytes of publications that may wait for NATS; beyond, publications are refused at once. */
const mostBytesInFlight = 64 * 1024 * 1024;

/** A relay: it announces and keeps nothing. `compose` gives it a store. One subject per channel, so that nothing comes without interest. */
export class NatsBackplane implements Backplane {
  readonly can = { history: false, contiguous: false, idempotent: false } as const;
  readonly #settings: Settings;
  readonly #deadlines: Deadlines;
  /** Channels by their subject: names may hold what a subject cannot (`.`, `*`, `>`), so they travel in base64url. */
  readonly #interest = new Map<string, string>();
  #driver: Driver | undefined;
  #session: Session | undefined;
  #reconnector: Reconnector | undefined;
  #sink: BackplaneSink | undefined;
  #instance: InstanceId = "";
  #inFlight = 0;

  constructor(url: string, options: NatsOptions) {
    this.#settings = readSettings(url, options);
    this.#deadlines = new Deadlines(this.#settings.deadline);
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    if (this.#reconnector !== undefined)
      throw new BackplaneError("closed", "the NATS backplane was started before: make another with nats(url)");
    this.#instance = instance;
    this.#sink = sink;
    this.#reconnector = new Reconnector(() => this.#connect(), {
      up: () => sink.up(),
      down: (reason) => sink.down(`NATS at ${this.#settings.where}: ${reason}`),
    });
    this.#driver = await loadDriver();
    await this.#reconnector.start();
  }

  async #connect(): Promise<void> {
    if (this.#driver === undefined || this.#reconnector === undefined) return;
    const reconnector = this.#reconnector;
    const session = await Session.open(this.#driver, this.#settings, this.#instance, {
      broken: (broken, reason) => {
        if (this.#session === broken) reconnector.broken(reason);
      },
      message: (subject, data) => this.#receive(subject, data),
    });
    this.#session = session;
    try {
      const subjects = [this.#controlSubject(), this.#controlSubject(this.#instance), ...this.#interest.keys()];
      await this.#limit(session.subscribe(subjects), "unavailable");
      if (!session.live || reconnector.closed) throw new Error("the connection ended");
    } catch (error) {
      await session.close(0);
      throw error;
    }
  }

  #receive(subject: string, data: Uint8Array): void {
    const channel = this.#interest.get(subject);
    if (channel !== undefined) this.#sink?.publication(channel, { epoch: "", offset: 0, data });
    else if (subject.startsWith(`${this.#settings.prefix}.control.`)) {
      const control = readControl(data);
      if (control !== undefined && control.from !== this.#instance) this.#sink?.control(control.from, control.message);
    }
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    const session = this.#connected("unavailable");
    const subjects = channels.map((channel) => this.#subjectOf(channel));
    const fresh = subjects.filter((subject) => !this.#interest.has(subject));
    for (const [i, subject] of subjects.entries()) this.#interest.set(subject, channels[i] ?? "");
    try {
      await this.#limit(session.subscribe(subjects), "unavailable");
    } catch (error) {
      for (const subject of fresh) this.#interest.delete(subject);
      session.unsubscribe(fresh);
      throw error;
    }
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    if (this.#reconnector === undefined || this.#reconnector.closed) throw closed();
    const subjects = channels.map((channel) => this.#subjectOf(channel));
    for (const subject of subjects) this.#interest.delete(subject);
    if (this.#session?.live === true) this.#session.unsubscribe(subjects);
  }

  async publish(channel: string, data: Uint8Array, { retention }: PublishOptions): Promise<Position | undefined> {
    const session = this.#connected("notStored");
    if (retention !== undefined)
      throw new BackplaneError(
        "notStored",
        "NATS keeps no history here: give it a store with compose({ relay, store })",
      );
    if (this.#inFlight + data.byteLength > mostBytesInFlight)
      throw new BackplaneError("notStored", "too many publications wait for NATS: publish slower, or later");
    this.#inFlight += data.byteLength;
    try {
      await this.#limit(session.publish(this.#subjectOf(channel), data), "unknown");
      return undefined;
    } finally {
      this.#inFlight -= data.byteLength;
    }
  }

  async heads(): Promise<Map<string, Position>> {
    this.#connected("unavailable");
    throw withoutHistory();
  }
  async history(): Promise<HistoryPage> {
    this.#connected("unavailable");
    throw withoutHistory();
  }

  async control(message: Uint8Array, to?: InstanceId): Promise<void> {
    const session = this.#connected("unavailable");
    await this.#limit(session.publish(this.#controlSubject(to), writeControl(this.#instance, message)), "unavailable");
  }

  async close(): Promise<void> {
    if (this.#reconnector?.closed !== false) return;
    this.#reconnector.close();
    await this.#session?.close(this.#settings.deadline);
    this.#deadlines.close();
  }

  #subjectOf(channel: string): string {
    return `${this.#settings.prefix}.channel.${Buffer.from(channel).toString("base64url")}`;
  }
  #controlSubject(instance?: InstanceId): string {
    const to = instance === undefined ? "all" : `to.${Buffer.from(instance).toString("base64url")}`;
    return `${this.#settings.prefix}.control.${to}`;
  }

  #connected(code: BackplaneErrorCode): Session {
    if (this.#reconnector === undefined || this.#reconnector.closed) throw closed();
    if (this.#session?.live !== true || !this.#reconnector.up)
      throw new BackplaneError(code, `NATS at ${this.#settings.where} cannot be reached now`);
    return this.#session;
  }

  async #limit<T>(answer: Promise<T>, code: BackplaneErrorCode): Promise<T> {
    try {
      return await this.#deadlines.limit(
        answer,
        () => new BackplaneError(code, `NATS did not answer within ${this.#deadlines.ms} ms`),
      );
    } catch (error) {
      if (error instanceof BackplaneError) throw error;
      // The driver refuses what is larger than the server's max_payload before it sends anything.
      const unsent = error instanceof Error && error.name === "InvalidArgumentError" && code === "unknown";
      const message = error instanceof Error ? error.message : String(error);
      throw new BackplaneError(unsent ? "notStored" : code, `NATS at ${this.#settings.where}: ${message}`, error);
    }
  }
}

function closed(): BackplaneError {
  return new BackplaneError("closed", "the NATS backplane is closed, or was not started");
}
function withoutHistory(): BackplaneError {
  return new BackplaneError("unusable", "NATS keeps no history here: give it a store with compose({ relay, store })");
}
