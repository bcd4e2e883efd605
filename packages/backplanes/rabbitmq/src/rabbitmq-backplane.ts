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
  Reconnector,
  writeControl,
  writeFrames,
  type Gathered,
} from "@zuruf/hub/store";
import { readSettings, type RabbitmqOptions, type Settings } from "./options.ts";
import { Interest, partitionOf } from "./partitions.ts";
import { connectWithin, loadDriver, Session, type Driver } from "./session.ts";
import { isTooOld, oldest, serverVersion } from "./version.ts";

/** Bytes of publications that may wait for RabbitMQ; beyond, publications are refused at once. */
const mostBytes = 64 * 1024 * 1024;
/** Of one message: few enough not to hold up others. */
const most = { publications: 256, bytes: 256 * 1024 };
const controlToAll = "control.all";

/**
 * A relay: it announces and keeps nothing. `compose` gives it a store.
 * What is published to a partition while a message of it is under way goes together in the next: RabbitMQ's work is by the message.
 */
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
  readonly #gatherer: Gatherer;
  #surplus = 0;

  constructor(url: string, options: RabbitmqOptions) {
    this.#settings = readSettings(url, options);
    this.#deadlines = new Deadlines(this.#settings.deadline);
    this.#interest = new Interest(this.#settings.partitions);
    this.#gatherer = new Gatherer({
      send: (routingKey, batch, within) => this.#announce(routingKey, batch, within),
      most,
      mostBytes,
      deadline: this.#settings.deadline,
      now: () => performance.now(),
      soon: setImmediate,
    });
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

  /** What comes is named: a publication by its channel, a control message by its sender. */
  #receive(routingKey: string, body: Buffer): void {
    if (routingKey.startsWith("control.")) {
      const control = readControl(body);
      if (control !== undefined && control.from !== this.#instance) this.#sink?.control(control.from, control.message);
      return;
    }
    for (const frame of readFrames(body) ?? []) {
      const named = readControl(frame);
      if (named === undefined) continue;
      const { from: channel, message } = named;
      if (this.#interest.has(channel)) this.#sink?.publication(channel, { epoch: "", offset: 0, data: message });
      else this.#surplus++;
    }
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
    this.#connected("notStored");
    if (retention !== undefined)
      throw new BackplaneError(
        "notStored",
        "RabbitMQ keeps no history here: give it a store with compose({ relay, store })",
      );
    return this.#gatherer.publish(routingKeyOf(this.#partition(channel)), writeControl(channel, data), {});
  }

  async #announce(routingKey: string, batch: readonly Gathered[], within: number): Promise<readonly undefined[]> {
    const body = bufferOf(writeFrames(batch.map(({ data }) => data)));
    await this.#limit(this.#connected("notStored").publish(routingKey, body), "unknown", within);
    return [];
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
    await this.#limit(session.publish(routingKey, bufferOf(writeControl(this.#instance, message))), "unavailable");
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

  async #limit<T>(answer: Promise<T>, code: BackplaneErrorCode, within?: number): Promise<T> {
    try {
      return await this.#deadlines.limit(
        answer,
        () => new BackplaneError(code, `RabbitMQ did not answer within ${this.#deadlines.ms} ms`),
        within,
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
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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
