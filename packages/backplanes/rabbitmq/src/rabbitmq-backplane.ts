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
import { readSettings, type RabbitmqOptions, type Settings } from "./options.ts";
import { Interest, partitionOf } from "./partitions.ts";
import { connectWithin, loadDriver, Session, type Driver } from "./session.ts";
import { isTooOld, oldest, serverVersion } from "./version.ts";

/** Bytes of publications that may wait for RabbitMQ; beyond, publications are refused at once. */
const mostBytesInFlight = 64 * 1024 * 1024;
const controlToAll = "control.all";

/** A relay: it announces and keeps nothing. `compose` gives it a store. */
export class RabbitmqBackplane implements Backplane {
  readonly can = { history: false, contiguous: false, idempotent: false } as const;
  readonly #settings: Settings;
  readonly #deadlines: Deadlines;
  readonly #interest: Interest;
  #driver: Driver | undefined;
  #session: Session | undefined;
  #reconnector: Reconnector | undefined;
  #sink: BackplaneSink | undefined;
  #instance: InstanceId = "";
  #inFlight = 0;
  #surplus = 0;

  constructor(url: string, options: RabbitmqOptions) {
    this.#settings = readSettings(url, options);
    this.#deadlines = new Deadlines(this.#settings.deadline);
    this.#interest = new Interest(this.#settings.partitions);
  }

  /** Publications that came for the sake of other channels of the same partition. */
  get surplus(): number {
    return this.#surplus;
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    if (this.#reconnector !== undefined)
      throw new BackplaneError("closed", "the RabbitMQ backplane was started before: make another with rabbitmq(url)");
    this.#instance = instance;
    this.#sink = sink;
    this.#reconnector = new Reconnector(() => this.#connect(), {
      up: () => sink.up(),
      down: (reason, silentFor) => sink.down(`RabbitMQ at ${this.#settings.where}: ${reason}`, silentFor),
    });
    this.#driver = await loadDriver();
    await this.#reconnector.start();
  }

  async #connect(): Promise<void> {
    if (this.#driver === undefined || this.#reconnector === undefined) return;
    const reconnector = this.#reconnector;
    const version = await serverVersion(this.#settings, connectWithin);
    if (version !== undefined && isTooOld(version))
      throw new BackplaneError(
        "unusable",
        `RabbitMQ ${version.slice(0, 32)} at ${this.#settings.where} is too old: Zuruf needs ${oldest} or newer`,
      );
    const session = await Session.open(this.#driver, this.#settings, this.#instance, {
      broken: (broken, reason, silentFor) => {
        if (this.#session === broken) reconnector.broken(reason, silentFor);
      },
      message: (routingKey, body) => this.#receive(routingKey, body),
    });
    this.#session = session;
    try {
      const own = [controlToAll, controlTo(this.#instance)];
      await this.#limit(session.bind([...own, ...this.#interest.partitions().map(routingKeyOf)]), "unavailable");
      if (!session.live || reconnector.closed) throw new Error("the connection ended");
    } catch (error) {
      await session.close(0);
      throw error;
    }
  }

  /** The body is a name and its bytes: the channel of a publication, the sender of a control message. */
  #receive(routingKey: string, body: Buffer): void {
    const named = readControl(body);
    if (named === undefined) return;
    const { from: name, message } = named;
    if (routingKey.startsWith("control.")) {
      if (name !== this.#instance) this.#sink?.control(name, message);
    } else if (this.#interest.has(name)) this.#sink?.publication(name, { epoch: "", offset: 0, data: message });
    else this.#surplus++;
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    const session = this.#connected("unavailable");
    const fresh = channels.filter((channel) => !this.#interest.has(channel));
    const begun = this.#interest.add(fresh);
    try {
      // Also those bound before: another call's binding may be on its way, and bindings are answered in order.
      await this.#limit(
        session.bind([...new Set([...begun, ...fresh.map((channel) => this.#partition(channel))])].map(routingKeyOf)),
        "unavailable",
      );
    } catch (error) {
      this.#interest.remove(fresh);
      throw error;
    }
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    if (this.#reconnector === undefined || this.#reconnector.closed) throw closed();
    const ceased = this.#interest.remove(channels);
    const session = this.#session;
    if (session?.live !== true || ceased.length === 0) return;
    // Nobody waits for it; a failure ends the session, and the next one binds what is wanted then.
    session.unbind(ceased.map(routingKeyOf)).catch((error: unknown) => session.break(String(error)));
  }

  async publish(channel: string, data: Uint8Array, { retention }: PublishOptions): Promise<Position | undefined> {
    const session = this.#connected("notStored");
    if (retention !== undefined)
      throw new BackplaneError(
        "notStored",
        "RabbitMQ keeps no history here: give it a store with compose({ relay, store })",
      );
    if (this.#inFlight + data.byteLength > mostBytesInFlight)
      throw new BackplaneError("notStored", "too many publications wait for RabbitMQ: publish slower, or later");
    this.#inFlight += data.byteLength;
    try {
      await this.#limit(session.publish(routingKeyOf(this.#partition(channel)), named(channel, data)), "unknown");
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
    const routingKey = to === undefined ? controlToAll : controlTo(to);
    await this.#limit(session.publish(routingKey, named(this.#instance, message)), "unavailable");
  }

  async close(): Promise<void> {
    if (this.#reconnector?.closed !== false) return;
    this.#reconnector.close();
    await this.#session?.close(this.#settings.deadline);
    this.#deadlines.close();
  }

  #partition(channel: string): number {
    return partitionOf(channel, this.#settings.partitions);
  }

  #connected(code: BackplaneErrorCode): Session {
    if (this.#reconnector === undefined || this.#reconnector.closed) throw closed();
    if (this.#session?.live !== true || !this.#reconnector.up)
      throw new BackplaneError(code, `RabbitMQ at ${this.#settings.where} cannot be reached now`);
    return this.#session;
  }

  async #limit<T>(answer: Promise<T>, code: BackplaneErrorCode): Promise<T> {
    try {
      return await this.#deadlines.limit(
        answer,
        () => new BackplaneError(code, `RabbitMQ did not answer within ${this.#deadlines.ms} ms`),
      );
    } catch (error) {
      if (error instanceof BackplaneError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new BackplaneError(code, `RabbitMQ at ${this.#settings.where}: ${message}`, error);
    }
  }
}

function routingKeyOf(partition: number): string {
  return `p.${partition}`;
}
/** A routing key is at most 255 bytes, and its words are divided by dots. */
function controlTo(instance: InstanceId): string {
  return `control.to.${Buffer.from(instance).toString("base64url")}`;
}
function named(name: string, data: Uint8Array): Buffer {
  return Buffer.from(writeControl(name, data).buffer);
}
function closed(): BackplaneError {
  return new BackplaneError("closed", "the RabbitMQ backplane is closed, or was not started");
}
function withoutHistory(): BackplaneError {
  return new BackplaneError(
    "unusable",
    "RabbitMQ keeps no history here: give it a store with compose({ relay, store })",
  );
}
