import { randomBytes } from "node:crypto";
import { BackplaneError } from "@zuruf/hub";
import { Canary, Deadlines } from "@zuruf/hub/store";
import type {
  connect,
  credsAuthenticator,
  headers,
  Msg,
  MsgHdrs,
  NatsConnection,
  nkeyAuthenticator,
  Subscription,
} from "@nats-io/transport-node";
import { authenticator } from "./credentials.ts";
import { explain } from "./explain.ts";
import { Neighbours } from "./neighbours.ts";
import type { Settings } from "./options.ts";
import type { Subjects } from "./subjects.ts";

/** The part of `@nats-io/transport-node` that is used here: an optional peer, loaded when the backplane starts. */
export interface Driver {
  readonly connect: typeof connect;
  readonly headers: typeof headers;
  readonly credsAuthenticator: typeof credsAuthenticator;
  readonly nkeyAuthenticator: typeof nkeyAuthenticator;
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

/** Nobody answered in time. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

export interface SessionEvents {
  /** The connection is of no use any more; called once, never by `close`. */
  broken(session: Session, reason: string, silentFor?: number): void;
  message(message: Msg): void;
}

/** How long an answer may take: as long as all, or less. */
export interface Limit {
  readonly deadlines: Deadlines;
  /** Milliseconds. */
  readonly within?: number | undefined;
}

/** A question that was sent; `take` gets each message that comes back, and says whether it was the last. */
interface Asked {
  readonly subject: string;
  readonly take: (message: Msg) => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/** One connection, from connecting to the first failure; the driver never makes it anew by itself. */
export class Session {
  readonly #driver: Driver;
  readonly #connection: NatsConnection;
  readonly #events: SessionEvents;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #canary: Canary;
  readonly #canarySubject: string;
  readonly #denied: Error[] = [];
  /** By the last part of the subject on which the answers come. */
  readonly #asked = new Map<string, Asked>();
  readonly #answers: string;
  #questions = 0;
  /** The other servers, in a cluster. */
  readonly #neighbours: Neighbours | undefined;
  #flush: Promise<void> | undefined;
  readonly #flushing = new Set<(reason: Error) => void>();
  readonly #endings: (() => void)[] = [];
  #over = false;

  static async open(
    driver: Driver,
    settings: Settings,
    subjects: Subjects,
    instance: string,
    events: SessionEvents,
  ): Promise<Session> {
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
        ...(settings.credentials === undefined ? {} : { authenticator: authenticator(driver, settings.credentials) }),
      });
      session = new Session(driver, connection, subjects, events);
      session.#checkVersion(settings);
      await session.#watch(subjects);
      return session;
    } catch (error) {
      await session?.close(0);
      throw explain(settings.where, error);
    }
  }

  private constructor(driver: Driver, connection: NatsConnection, subjects: Subjects, events: SessionEvents) {
    this.#driver = driver;
    this.#connection = connection;
    this.#events = events;
    const mark = randomBytes(8).toString("hex");
    this.#canarySubject = subjects.canary(mark);
    this.#answers = subjects.answers(mark);
    this.#canary = new Canary(
      (mark) => this.publish(this.#canarySubject, Buffer.from(mark)),
      (reason, silentFor) => this.break(reason, silentFor),
    );
    if (this.clustered)
      this.#neighbours = new Neighbours((mark) =>
        this.send(subjects.servers, Buffer.from(mark), {}, `${this.#answers}.of.servers`),
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
  /** Changes with every start of the server's process. */
  get serverId(): string {
    return this.#connection.info?.server_id ?? "";
  }

  /** Bytes of a message at most, headers included. */
  get maxPayload(): number {
    return this.#connection.info?.max_payload ?? 0;
  }

  /** Whether the server is one of a cluster. */
  get clustered(): boolean {
    return this.#connection.info?.cluster !== undefined;
  }

  #checkVersion({ where }: Settings): void {
    const { version = "" } = this.#connection.info ?? {};
    const [major = 0, minor = 0] = version.split(".").map(Number);
    if (!(major > 2 || (major === 2 && minor >= 9)))
      throw new BackplaneError("unusable", `NATS at ${where} is version ${version}: 2.9 or newer is needed`);
  }

  async #watch(subjects: Subjects): Promise<void> {
    this.#listen(this.#canarySubject, ({ data, reply = "" }) => {
      if (reply === "") this.#canary.heard(textOf(data));
      else this.send(reply);
    });
    this.#listen(`${this.#answers}.*`, (message) =>
      this.#answered(message.subject.slice(this.#answers.length + 1), message),
    );
    if (this.#neighbours !== undefined) this.#listenToNeighbours(this.#neighbours, subjects);
    void this.#watchErrors();
    await withinTime(this.#connection.flush(), connectWithin);
    this.#throwDenied();
    await this.#hearItself();
    await this.#neighbours?.meet(this.#connection.info?.connect_urls?.length ?? Infinity);
    this.#canary.start();
  }

  /** The right to publish is denied only to who publishes. */
  async #hearItself(): Promise<void> {
    const deadlines = new Deadlines(connectWithin);
    try {
      await this.request(this.#canarySubject, new Uint8Array(0), {}, { deadlines });
    } finally {
      deadlines.close();
    }
  }

  /** Answers for this server, and hears the others' answers. */
  #listenToNeighbours(neighbours: Neighbours, subjects: Subjects): void {
    const { serverId } = this;
    const answer = ({ data, reply }: Msg): void => {
      if (reply !== undefined) this.send(reply, Buffer.from(`${textOf(data)} ${serverId}`));
    };
    this.#listen(subjects.servers, answer, serverId);
    this.#listen(subjects.here, ({ data }) => neighbours.here(textOf(data)));
    this.#listen(`${this.#answers}.of.servers`, ({ data }) => {
      const [mark = "", server = ""] = textOf(data).split(" ");
      neighbours.answer(mark, server);
    });
    this.send(subjects.here, Buffer.from(serverId));
  }

  /** @param queue only one of those who listen under this name hears each message. */
  #listen(subject: string, heard: (message: Msg) => void, queue?: string): void {
    if (this.#subscriptions.has(subject)) return;
    const callback = (error: Error | null, message: Msg): void => {
      if (error === null) heard(message);
      else this.#denied.push(error);
    };
    this.#subscriptions.set(
      subject,
      this.#connection.subscribe(subject, { callback, ...(queue !== undefined && { queue }) }),
    );
  }

  /** Resolves once messages on these subjects reach this connection, from whichever server. */
  async subscribe(subjects: readonly string[]): Promise<void> {
    for (const subject of subjects) this.#listen(subject, (message) => this.#events.message(message));
    await Promise.all([this.#connection.flush(), this.#neighbours?.confirm()]);
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

  /** What the server forbids to publish, it says aside; whoever waits for an answer to it waits in vain. */
  async #watchErrors(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type !== "error") continue;
      const denied = "subject" in status.error ? status.error.subject : undefined;
      for (const [token, { subject, reject }] of this.#asked) {
        if (subject !== denied) continue;
        this.#asked.delete(token);
        reject(status.error);
      }
    }
  }

  /** Publishes a question and resolves with the answer; rejects when the deadline is over, the connection ends or the server forbids it. */
  async request(
    subject: string,
    data: Uint8Array,
    headers: Readonly<Record<string, string>>,
    limit: Limit,
  ): Promise<Msg> {
    let answer: Msg | undefined;
    await this.#wait(
      subject,
      limit,
      (token) => this.send(subject, data, headers, `${this.#answers}.${token}`),
      (message) => {
        answer = message;
        return true;
      },
    );
    if (answer === undefined) throw new Error("the connection ended");
    return answer;
  }

  /** The same with several answers, until `take` says that it was the last. They come on subjects of their own, so they need a subscription of their own. */
  async requestMany(
    subject: string,
    data: Uint8Array,
    deadlines: Deadlines,
    take: (message: Msg) => boolean,
  ): Promise<void> {
    let subscription: Subscription | undefined;
    const ask = (token: string): void => {
      const reply = `${this.#answers}.to.${token}`;
      const callback = (_error: Error | null, message: Msg): void => this.#answered(token, message);
      subscription = this.#connection.subscribe(reply, { callback });
      this.send(subject, data, {}, reply);
    };
    try {
      await this.#wait(subject, { deadlines }, ask, take);
    } finally {
      subscription?.unsubscribe();
    }
  }

  async #wait(
    subject: string,
    { deadlines, within = deadlines.ms }: Limit,
    ask: (token: string) => void,
    take: (message: Msg) => boolean,
  ): Promise<void> {
    if (this.#over) throw new Error("the connection ended");
    const token = (++this.#questions).toString(36);
    const last = new Promise<void>((resolve, reject) => {
      this.#asked.set(token, { subject, take, resolve, reject });
    });
    try {
      ask(token);
      await deadlines.limit(last, () => new TimeoutError(`no answer within ${Math.round(within)} ms`), within);
    } finally {
      this.#asked.delete(token);
    }
  }

  #answered(token: string, message: Msg): void {
    const asked = this.#asked.get(token);
    if (asked === undefined) return;
    try {
      if (!asked.take(message)) return;
      asked.resolve();
    } catch (error) {
      asked.reject(error instanceof Error ? error : new Error(String(error)));
    }
    this.#asked.delete(token);
  }

  /** Publishes, and asks for nothing. */
  send(subject: string, data?: Uint8Array, headers: Readonly<Record<string, string>> = {}, reply?: string): void {
    let all: MsgHdrs | undefined;
    for (const name in headers) (all ??= this.#driver.headers()).set(name, headers[name] ?? "");
    this.#connection.publish(subject, data, {
      ...(reply !== undefined && { reply }),
      ...(all !== undefined && { headers: all }),
    });
  }

  /** Resolves when the server has taken it: what is published in one turn is asked about together. */
  async publish(subject: string, data: Uint8Array): Promise<void> {
    this.#connection.publish(subject, data);
    this.#flush ??= new Promise((resolve, reject) => {
      // The driver leaves it open when the connection ends.
      this.#flushing.add(reject);
      setImmediate(() => {
        this.#flush = undefined;
        this.#connection
          .flush()
          .then(resolve, reject)
          .finally(() => this.#flushing.delete(reject));
      });
    });
    return this.#flush;
  }

  /** Calls this when the session ends. */
  atEnd(ending: () => void): void {
    this.#endings.push(ending);
  }

  break(reason: string, silentFor?: number): void {
    if (this.#over) return;
    void this.#end();
    this.#events.broken(this, reason, silentFor);
  }

  /** Resolves when what was sent was taken, at most after `ms`. */
  async close(ms: number): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#canary.stop();
    for (const ending of this.#endings.splice(0)) ending();
    // Late or not, it ends now; a failure says that it is over already.
    await withinTime(this.#connection.flush(), ms).catch(() => undefined);
    await this.#end();
  }

  #end(): Promise<void> {
    this.#over = true;
    const ended = new Error("the connection ended");
    for (const { reject } of this.#asked.values()) reject(ended);
    this.#asked.clear();
    for (const reject of this.#flushing) reject(ended);
    this.#flushing.clear();
    this.#canary.stop();
    for (const ending of this.#endings.splice(0)) ending();
    return this.#connection.close().catch(() => undefined);
  }
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString();
}

function withinTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
