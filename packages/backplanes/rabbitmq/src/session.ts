import { randomBytes } from "node:crypto";
import { BackplaneError } from "@zuruf/hub";
import { Canary } from "@zuruf/hub/store";
import type { AsyncMessage, Channel, Connection } from "rabbitmq-client";
import type { Settings } from "./options.ts";

/** The part of `rabbitmq-client` that is used here: an optional peer, loaded when the backplane starts. */
export interface Driver {
  readonly Connection: typeof Connection;
}

export async function loadDriver(): Promise<Driver> {
  try {
    return await import("rabbitmq-client");
  } catch (error) {
    throw new BackplaneError(
      "unusable",
      "the RabbitMQ backplane needs the package rabbitmq-client: npm install rabbitmq-client",
      error,
    );
  }
}

/** Milliseconds for connecting and declaring. */
export const connectWithin = 3000;

export interface SessionEvents {
  /** The connections are of no use any more; called once, never by `close`. */
  broken(session: Session, reason: string, silentFor?: number): void;
  message(routingKey: string, body: Buffer): void;
}

/**
 * Two connections (RabbitMQ holds back a connection that publishes too fast, and what it consumes would wait with it) and the topology:
 * a direct exchange that goes with its last queue, and one exclusive queue of this instance. From connecting to the first failure.
 */
export class Session {
  readonly #settings: Settings;
  readonly #connections: readonly Connection[];
  readonly #publisher: Channel;
  readonly #consumer: Channel;
  readonly #queue: string;
  readonly #events: SessionEvents;
  readonly #canary: Canary;
  readonly #canaryKey = `canary.${randomBytes(8).toString("hex")}`;
  #over = false;

  static async open(driver: Driver, settings: Settings, instance: string, events: SessionEvents): Promise<Session> {
    const connections: Connection[] = [];
    let session: Session | undefined;
    let fail: ((error: Error) => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    const failed = new Promise<never>((_resolve, reject) => {
      fail = reject;
      timer = setTimeout(() => reject(new Error(`no answer within ${connectWithin} ms`)), connectWithin);
    });
    // It may fail after the race is over.
    failed.catch(() => undefined);
    const lost = (error: unknown): void => {
      const reason = error instanceof Error ? error : new Error(String(error));
      fail?.(reason);
      session?.break(reason.message);
    };
    const openChannel = async (role: string): Promise<Channel> => {
      const connection = new driver.Connection({
        url: settings.url,
        connectionName: `zuruf:${instance}:${role}`,
        connectionTimeout: connectWithin,
        acquireTimeout: connectWithin,
        heartbeat: 10,
        noDelay: true,
        ...(settings.tls === undefined ? {} : { tls: settings.tls }),
      });
      connections.push(connection);
      // It would connect again by itself; here every loss ends it, and another session begins.
      connection.on("error", lost);
      connection.on("connection.blocked", (reason) => lost(new Error(`it takes no publications: ${reason}`)));
      const channel = await connection.acquire({ emitErrorsFromChannel: true });
      channel.on("error", lost);
      // What the call in question was refused for is said by its own rejection, and that comes first.
      channel.on("close", () => setImmediate(() => lost(new Error("it closed the channel"))));
      channel.on("basic.cancel", () => lost(new Error("it cancelled the consumer")));
      return channel;
    };
    const opening = (async () => {
      const publisher = await openChannel("publisher");
      const consumer = await openChannel("consumer");
      await publisher.confirmSelect();
      await consumer.exchangeDeclare({ exchange: settings.exchange, type: "direct", durable: false, autoDelete: true });
      const queue = `${settings.exchange}.${instance}.${randomBytes(6).toString("hex")}`;
      await consumer.queueDeclare({ queue, exclusive: true, arguments: { "x-max-length-bytes": settings.queueBytes } });
      session = new Session(settings, connections, publisher, consumer, queue, events);
      await session.#consume();
      return session;
    })();
    opening.catch(() => undefined);
    try {
      return await Promise.race([opening, failed]);
    } catch (error) {
      for (const connection of connections) destroy(connection);
      throw explain(settings, error);
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(
    settings: Settings,
    connections: readonly Connection[],
    publisher: Channel,
    consumer: Channel,
    queue: string,
    events: SessionEvents,
  ) {
    this.#settings = settings;
    this.#connections = connections;
    this.#publisher = publisher;
    this.#consumer = consumer;
    this.#queue = queue;
    this.#events = events;
    this.#canary = new Canary(
      (mark) => this.publish(this.#canaryKey, Buffer.from(mark)),
      (reason, silentFor) => this.break(reason, silentFor),
    );
  }

  get live(): boolean {
    return !this.#over;
  }

  async #consume(): Promise<void> {
    await this.#consumer.basicConsume({ queue: this.#queue, noAck: true, exclusive: true }, (message: AsyncMessage) => {
      const body: unknown = message.body;
      if (this.#over || !(body instanceof Buffer)) return;
      if (message.routingKey === this.#canaryKey) this.#canary.heard(body.toString());
      else this.#events.message(message.routingKey, body);
    });
    await this.bind([this.#canaryKey]);
    // A right to publish is denied only to who publishes.
    await this.publish(this.#canaryKey, Buffer.from("0"));
    this.#canary.start();
  }

  /** Resolves once messages with these routing keys reach the queue. */
  async bind(routingKeys: readonly string[]): Promise<void> {
    const { exchange } = this.#settings;
    await Promise.all(
      routingKeys.map((routingKey) => this.#consumer.queueBind({ queue: this.#queue, exchange, routingKey })),
    );
  }
  async unbind(routingKeys: readonly string[]): Promise<void> {
    const { exchange } = this.#settings;
    await Promise.all(
      routingKeys.map((routingKey) => this.#consumer.queueUnbind({ queue: this.#queue, exchange, routingKey })),
    );
  }

  /** Resolves when the broker has confirmed it: it is in the queues of those bound. */
  publish(routingKey: string, body: Buffer): Promise<void> {
    return this.#publisher.basicPublish({ exchange: this.#settings.exchange, routingKey }, body);
  }

  break(reason: string, silentFor?: number): void {
    if (this.#over) return;
    this.#end();
    this.#events.broken(this, reason, silentFor);
  }

  /** What was published is answered by now: the queue goes with its connection, and the exchange with the last queue. */
  async close(ms: number): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#canary.stop();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    const closing = Promise.allSettled([this.#publisher.close(), this.#consumer.close()]).then(() =>
      Promise.allSettled(this.#connections.map((connection) => connection.close())),
    );
    await Promise.race([closing, late]);
    clearTimeout(timer);
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#canary.stop();
    for (const connection of this.#connections) destroy(connection);
  }
}

function destroy(connection: Connection): void {
  connection.removeAllListeners();
  // What it still has to say is about a connection that is given up.
  connection.on("error", () => undefined);
  connection.unsafeDestroy();
}

/** One line for an operator. */
function explain({ url, where }: Settings, error: unknown): BackplaneError {
  if (error instanceof BackplaneError) return error;
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const text = (inner instanceof Error ? inner.message : String(inner)).replaceAll(/\s+/g, " ");
  const code = inner instanceof Error && "code" in inner ? String(inner.code) : "";
  // RabbitMQ names its reply code before the text (AMQP 0-9-1 §1.2), and the driver what it was about before that.
  const message = text.slice(text.indexOf(` ${code} - `) + 1).replace(`${code} - `, "");
  const unusable = (line: string): BackplaneError =>
    new BackplaneError("unusable", `RabbitMQ at ${where} ${line}`, error);
  if (code === "ACCESS_REFUSED" && message.startsWith("Login"))
    return unusable(`refuses the user name or password: ${message}`);
  if (code === "ACCESS_REFUSED") return unusable(`denies this user a right that Zuruf needs: ${message}`);
  if (code === "NOT_ALLOWED" || code === "PRECONDITION_FAILED") return unusable(`refuses: ${message}`);
  if (code === "EPROTO" && url.startsWith("amqps:"))
    return unusable("does not speak TLS at this port: write amqp:// for it, or its port for TLS (5671)");
  return new BackplaneError("unavailable", `RabbitMQ at ${where} cannot be reached: ${text}`, error);
}
