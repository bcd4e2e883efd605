import { randomBytes } from "node:crypto";
import { BackplaneError } from "@zuruf/hub";
import { Canary } from "@zuruf/hub/store";
import type { connect, Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import type { Settings } from "./options.ts";

/** The part of `@nats-io/transport-node` that is used here: an optional peer, loaded when the backplane starts. */
export interface Driver {
  readonly connect: typeof connect;
}

export async function loadDriver(): Promise<Driver> {
  try {
    return await import("@nats-io/transport-node");
  } catch (error) {
    const message = "the NATS backplane needs the package @nats-io/transport-node: npm install @nats-io/transport-node";
    throw new BackplaneError("unusable", message, error);
  }
}

/** Milliseconds for connecting. */
const connectWithin = 3000;

export interface SessionEvents {
  /** The connection is of no use any more; called once, never by `close`. */
  broken(session: Session, reason: string): void;
  message(subject: string, data: Uint8Array): void;
}

/** One connection, from connecting to the first failure; the driver never makes it anew by itself. */
export class Session {
  readonly #connection: NatsConnection;
  readonly #events: SessionEvents;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #canary: Canary;
  readonly #canarySubject: string;
  readonly #denied: Error[] = [];
  #flush: Promise<void> | undefined;
  #over = false;

  static async open(driver: Driver, settings: Settings, instance: string, events: SessionEvents): Promise<Session> {
    let session: Session | undefined;
    try {
      const connection = await driver.connect({
        servers: [...settings.servers],
        name: `zuruf:${instance}`,
        timeout: connectWithin,
        reconnect: false,
        ...(settings.user === undefined ? {} : { user: settings.user }),
        ...(settings.pass === undefined ? {} : { pass: settings.pass }),
        ...(settings.token === undefined ? {} : { token: settings.token }),
        ...(settings.tls === undefined ? {} : { tls: settings.tls }),
      });
      session = new Session(connection, settings, events);
      await session.#watch();
      return session;
    } catch (error) {
      await session?.close(0);
      throw explain(settings.where, error);
    }
  }

  private constructor(connection: NatsConnection, settings: Settings, events: SessionEvents) {
    this.#connection = connection;
    this.#events = events;
    this.#canarySubject = `${settings.prefix}.canary.${randomBytes(8).toString("hex")}`;
    this.#canary = new Canary(
      (mark) => this.publish(this.#canarySubject, Buffer.from(mark)),
      (reason) => this.break(reason),
    );
    const ended = (reason: string): void => this.break(reason);
    connection.closed().then(
      (error) => ended(error instanceof Error ? error.message : "the connection ended"),
      (error: unknown) => ended(String(error)),
    );
  }

  get live(): boolean {
    return !this.#over;
  }

  async #watch(): Promise<void> {
    this.#listen(this.#canarySubject, ({ data }) => this.#canary.heard(Buffer.from(data).toString()));
    await withinTime(this.#connection.flush(), connectWithin);
    this.#throwDenied();
    this.#canary.start();
  }

  #listen(subject: string, heard: (message: Msg) => void): void {
    if (this.#subscriptions.has(subject)) return;
    const callback = (error: Error | null, message: Msg): void => {
      if (error === null) heard(message);
      else this.#denied.push(error);
    };
    this.#subscriptions.set(subject, this.#connection.subscribe(subject, { callback }));
  }

  /** Resolves once messages on these subjects reach this connection. */
  async subscribe(subjects: readonly string[]): Promise<void> {
    for (const subject of subjects) this.#listen(subject, ({ data }) => this.#events.message(subject, data));
    await this.#connection.flush();
    this.#throwDenied();
  }

  unsubscribe(subjects: readonly string[]): void {
    for (const subject of subjects) {
      this.#subscriptions.get(subject)?.unsubscribe();
      this.#subscriptions.delete(subject);
    }
  }

  /** The server says no after the fact, and before it answers to what follows. */
  #throwDenied(): void {
    const [denied] = this.#denied.splice(0);
    if (denied !== undefined) throw denied;
  }

  /** Resolves when the server has taken it: what is published in one turn is asked about together. */
  async publish(subject: string, data: Uint8Array): Promise<void> {
    this.#connection.publish(subject, data);
    this.#flush ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#flush = undefined;
        this.#connection.flush().then(resolve, reject);
      });
    });
    return this.#flush;
  }

  break(reason: string): void {
    if (this.#over) return;
    this.#end();
    this.#events.broken(this, reason);
  }

  /** Resolves when what was sent was taken, at most after `ms`. */
  async close(ms: number): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#canary.stop();
    // Late or not, it ends now; a failure says that it is over already.
    await withinTime(this.#connection.flush(), ms).catch(() => undefined);
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#canary.stop();
    this.#connection.close().catch(() => undefined);
  }
}

function withinTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One line for an operator. */
function explain(where: string, error: unknown): BackplaneError {
  if (error instanceof BackplaneError) return error;
  const cause: unknown = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s+/g, " ");
  const name = cause instanceof Error ? cause.name : "";
  if (name === "AuthorizationError" || /authorization|authentication/i.test(message))
    return new BackplaneError(
      "unusable",
      `NATS at ${where} refuses the user name, password or token: ${message}`,
      error,
    );
  if (name === "PermissionViolationError" || /permissions violation/i.test(message))
    return new BackplaneError(
      "unusable",
      `NATS at ${where} denies this user a right that Zuruf needs: ${message}`,
      error,
    );
  return new BackplaneError("unavailable", `NATS at ${where} cannot be reached: ${message}`, error);
}
