/**
 * JetStream's API as it is on the wire (https://docs.nats.io/reference/reference-protocols/nats_api_reference): JSON requests on subjects.
 */
import { BackplaneError } from "@zuruf/hub";
import { setTimeout as delay } from "node:timers/promises";
import { Canary, Deadlines, readOffset } from "@zuruf/hub/store";
import type { Msg } from "@nats-io/transport-node";
import {
  codes,
  JetStreamError,
  nanos,
  parse,
  readState,
  record,
  replicaWithin,
  stored,
  storedIn,
  type Stored,
  type StreamState,
} from "./answers.ts";
import type { StreamSettings } from "./options.ts";
import { TimeoutError, type Limit, type Session } from "./session.ts";
import { Shared } from "./shared.ts";
import type { Subjects } from "./subjects.ts";

/** An append names the message that it follows, and announcements have it. */
export const expectedHeader = "Nats-Expected-Last-Subject-Sequence";
/** Milliseconds for which idempotency keys are known, and so what has them is kept. */
export const keyWindow = 300_000;
/** Milliseconds until a reader that was behind is tried again, doubling; and the last pause. */
export const behind: { readonly first: number; readonly last: number } = { first: 5, last: 640 };
/** Milliseconds that a new stream keeps messages: heads and epochs live for a week at least. */
const shortest = 7 * 86_400_000;
/** Milliseconds after which a question that a cluster did not answer is asked again: while it elects a leader, nobody does. */
const askAgainAfter = 1000;
/** Of the deadline, for which a cluster that is not ready is asked again: then there is time to say why. */
const openingPart = 0.7;
/** Milliseconds after which what something else was on its way for is appended again. */
const underWayFor = 5;
/** Milliseconds after which a new server has to know the others. */
const pause = 100;
/** Messages that a reader asks for first. */
const firstBatch = 8;
/** Milliseconds after which JetStream itself removes a reader that was left behind. */
const readerLife = 5000;

/** The stream of one service over one connection. */
export class JetStream {
  readonly #session: Session;
  readonly #stream: StreamSettings;
  readonly #where: string;
  readonly #subjects: Subjects;
  readonly #deadlines: Deadlines;
  readonly #soon = new Deadlines(askAgainAfter);
  readonly #confirming = new Shared(() => this.#confirm());
  #settledBy = 0;
  #clustered = false;
  #replicas = 1;
  #maxAge = 0;
  /** Milliseconds that the server's clock is ahead of this machine's. */
  #ahead = 0;

  /** @param where the servers, for messages. */
  constructor(session: Session, stream: StreamSettings, where: string, subjects: Subjects, deadlines: Deadlines) {
    this.#session = session;
    this.#stream = stream;
    this.#where = where;
    this.#subjects = subjects;
    this.#deadlines = deadlines;
    session.atEnd(() => this.#soon.close());
  }

  /** Milliseconds that the stream keeps messages; 0: for ever. */
  get maxAge(): number {
    return this.#maxAge;
  }
  /** The time by the server's clock, as messages have it: this machine's may be wrong, and what is too old is removed. */
  now(): number {
    return Date.now() + this.#ahead;
  }

  /** The stream, made when there is none; throws `unusable` with one line when it is of no use. */
  async open(): Promise<StreamState> {
    this.#settledBy = performance.now() + this.#deadlines.ms * openingPart;
    const account = await this.#settled("INFO").catch((error: unknown) => {
      if (error instanceof JetStreamError && (error.code === 503 || codes.off.some((code) => code === error.code)))
        throw this.unusable(
          "JetStream is off: start the server with -js, or keep history elsewhere: compose({ relay: nats(url, { history: false }), store })",
        );
      throw error;
    });
    if (typeof account["limits"] !== "object") throw this.unusable("JetStream does not answer as expected");
    const { name } = this.#stream;
    let answer = await this.#find();
    while (!readState(answer).quorum) {
      if (!this.#session.live || performance.now() > this.#settledBy)
        throw new JetStreamError(0, "fewer than half of the stream's servers are there");
      await delay(pause);
      answer = await this.#settled(`STREAM.INFO.${name}`);
    }
    const problem = this.#misfit(record(answer["config"]));
    if (problem !== undefined)
      throw this.unusable(`the stream ${name} is not as Zuruf needs it (${problem}): change it, or name another`);
    const state = readState(answer);
    this.#clustered = state.clustered;
    this.#replicas = state.replicas;
    this.#maxAge = state.maxAge;
    // What reading needs is tried now: the right to make readers; and the answer tells the time.
    await this.read(this.#subjects.epochs, { from: 1, batch: 1 }, () => false);
    await this.confirm();
    if (this.#clustered) this.#watch();
    return state;
  }

  async #find(): Promise<Record<string, unknown>> {
    const { name } = this.#stream;
    try {
      return await this.#settled(`STREAM.INFO.${name}`);
    } catch (error) {
      if (!(error instanceof JetStreamError && error.isNoStream)) throw error;
    }
    try {
      return await this.#settled(`STREAM.CREATE.${name}`, this.#wanted());
    } catch (error) {
      // Another instance may have made it meanwhile.
      if (!(error instanceof JetStreamError)) throw error;
      const { num_replicas: copies } = this.#wanted();
      if (error.code !== codes.nameInUse)
        throw this.unusable(`the stream ${name} cannot be created with history.replicas ${copies}: ${error.message}`);
      return this.#settled(`STREAM.INFO.${name}`);
    }
  }

  /** What an operator has to mend. */
  unusable(problem: string): BackplaneError {
    return new BackplaneError("unusable", `NATS at ${this.#where}: ${problem}`);
  }

  /** Looks every second whether the stream has a leader, and the leader enough of the others: without, the server still answers and nothing can be stored. */
  #watch(): void {
    const canary = new Canary(
      async (mark) => {
        const { quorum } = await this.state();
        if (quorum) canary.heard(mark);
        else if (this.#session.live)
          this.#session.break("fewer than half of the stream's servers are there", replicaWithin);
      },
      (_reason, silentFor) => this.#session.break(`the stream had no leader for ${silentFor} ms`, silentFor),
    );
    this.#session.atEnd(() => canary.stop());
    canary.start();
  }

  /** Resolves once the stream's server knows of what this connection subscribed to before: it answers no to a message for no stream, which came the same way. */
  confirm(): Promise<void> {
    return this.#clustered ? this.#confirming.run() : Promise.resolve();
  }
  async #confirm(): Promise<void> {
    try {
      const headers = { "Nats-Expected-Stream": "-" };
      parse((await this.#ask(this.#subjects.epochs, new Uint8Array(0), headers)).data);
    } catch (error) {
      if (!(error instanceof JetStreamError && error.code === codes.wrongStream)) throw error;
    }
  }

  #wanted(): Readonly<Record<string, unknown>> & { readonly num_replicas: number } {
    const stream = this.#stream;
    return {
      name: stream.name,
      subjects: [this.#subjects.allLogs],
      retention: "limits",
      discard: "old",
      storage: stream.storage,
      num_replicas: stream.replicas ?? (this.#session.clustered && !stream.elsewhere ? 3 : 1),
      max_age: shortest * nanos,
      ...(stream.maxBytes > 0 && { max_bytes: stream.maxBytes }),
      republish: { src: this.#subjects.allLogs, dest: this.#subjects.allLive },
      allow_direct: true,
    };
  }

  #misfit(config: Record<string, unknown>): string | undefined {
    const { subjects } = config;
    const republish = record(config["republish"]);
    if (!Array.isArray(subjects) || !subjects.includes(this.#subjects.allLogs))
      return `its subjects lack ${this.#subjects.allLogs}`;
    if (republish["src"] !== this.#subjects.allLogs || republish["dest"] !== this.#subjects.allLive)
      return `it must republish ${this.#subjects.allLogs} to ${this.#subjects.allLive}`;
    if (republish["headers_only"] === true) return "it republishes headers only";
    if (config["retention"] !== "limits" || config["discard"] !== "old") return "retention must be limits, discard old";
    if (config["allow_direct"] !== true) return "allow_direct must be on";
    if (config["deny_purge"] === true) return "deny_purge must be off";
    const maxAge = Number(config["max_age"]);
    if (maxAge > 0 && maxAge < 2 * keyWindow * nanos) return "max_age must be at least 10m";
    return undefined;
  }

  async state(): Promise<StreamState> {
    return readState(await this.#api(`STREAM.INFO.${this.#stream.name}`));
  }

  /** Lets the stream keep its messages for at least this many milliseconds. */
  async extend(maxAge: number): Promise<void> {
    const name = this.#stream.name;
    for (let attempt = 0; attempt < 5; attempt++) {
      // Asked again after each change: another instance may have changed it at the same time.
      const { config, ...answer } = await this.#api(`STREAM.INFO.${name}`);
      const state = readState({ ...answer, config });
      this.#maxAge = state.maxAge;
      if (state.maxAge === 0 || state.maxAge >= maxAge) return;
      await this.#api(`STREAM.UPDATE.${name}`, { ...record(config), max_age: maxAge * nanos });
    }
    throw new JetStreamError(0, `the stream ${name} does not keep what it keeps longer: set its max_age`);
  }

  /**
   * Appends, only if the last message of this subject is the expected one (0: if there is none). Resolves with its sequence.
   * @param options `id`: nothing else with this id is appended, for two minutes. In a cluster, NATS looks at what is expected before it agrees on an order, so of two
   * that come at the same time it takes both; an id it looks at afterwards, too.
   */
  async append(
    subject: string,
    data: Uint8Array,
    options: {
      readonly headers: Readonly<Record<string, string>>;
      readonly expected: number;
      readonly id?: string | undefined;
      readonly within?: number;
    },
  ): Promise<number> {
    const { headers, expected, id, within = this.#deadlines.ms } = options;
    const all = { ...headers, [expectedHeader]: `${expected}`, ...(id !== undefined && { "Nats-Msg-Id": id }) };
    const end = performance.now() + within;
    for (;;) {
      try {
        return await this.#appendNow(subject, data, all, end - performance.now());
      } catch (error) {
        const underWay = error instanceof JetStreamError && codes.underWay.some((code) => code === error.code);
        if (!underWay || performance.now() + underWayFor > end) throw error;
        await delay(underWayFor);
      }
    }
  }

  async #appendNow(
    subject: string,
    data: Uint8Array,
    headers: Readonly<Record<string, string>>,
    within: number,
  ): Promise<number> {
    const answer = await this.#ask(subject, data, headers, { deadlines: this.#deadlines, within });
    const { seq, duplicate } = parse(answer.data);
    if (duplicate === true) throw new JetStreamError(codes.wrongLast, "something else was appended there");
    if (typeof seq !== "number" || !Number.isSafeInteger(seq) || seq < 1)
      throw new JetStreamError(0, "JetStream acknowledged without a sequence");
    return seq;
  }

  /** The last message of a subject; undefined: there is none. */
  last(subject: string): Promise<Stored | undefined> {
    return this.#get({ last_by_subj: subject });
  }
  /** The first message of a subject from a sequence on; undefined: there is none. */
  next(subject: string, seq: number): Promise<Stored | undefined> {
    return this.#get({ seq: Math.max(1, seq), next_by_subj: subject });
  }

  async #get(question: Readonly<Record<string, unknown>>): Promise<Stored | undefined> {
    const name = this.#stream.name;
    // With replicas, direct gets are answered by any of them, also by one that is behind: then the leader is asked.
    if (this.#replicas > 1) {
      const answer = await this.#api(`STREAM.MSG.GET.${name}`, question).catch((error: unknown) => {
        if (error instanceof JetStreamError && error.code === codes.noMessage) return undefined;
        throw error;
      });
      return answer === undefined ? undefined : storedIn(record(answer["message"]));
    }
    const message = await this.#ask(`${this.#stream.api}.DIRECT.GET.${name}`, Buffer.from(JSON.stringify(question)));
    if (message.headers?.code === 404) return undefined;
    return stored(
      message,
      readOffset(message.headers?.get("Nats-Sequence") ?? ""),
      Date.parse(message.headers?.get("Nats-Time-Stamp") ?? ""),
    );
  }

  /** Reads messages of a subject in order from a sequence or a time (milliseconds since 1970) on, until `each` returns false or there are no more. */
  async read(
    subject: string,
    options: ({ readonly from: number } | { readonly since: number }) & {
      /** Messages at once, at most. */
      readonly batch: number;
      readonly headersOnly?: boolean;
    },
    each: (message: Stored) => boolean,
  ): Promise<void> {
    const stream = this.#stream;
    const made = await this.#api(`CONSUMER.CREATE.${stream.name}`, {
      stream_name: stream.name,
      config: {
        filter_subject: subject,
        ...("from" in options
          ? { deliver_policy: "by_start_sequence", opt_start_seq: Math.max(1, options.from) }
          : { deliver_policy: "by_start_time", opt_start_time: new Date(options.since).toISOString() }),
        ack_policy: "none",
        mem_storage: true,
        num_replicas: 1,
        inactive_threshold: readerLife * nanos,
        ...(options.headersOnly === true && { headers_only: true }),
      },
    });
    const { name, created } = made;
    const ahead = Date.parse(String(created)) - Date.now();
    if (!Number.isNaN(ahead)) this.#ahead = ahead;
    if (typeof name !== "string" || !/^\w{1,64}$/.test(name)) throw new JetStreamError(0, "a reader without a name");
    try {
      if (made["num_pending"] === 0) return;
      // What comes after enough was sent for nothing, so it is asked for twice as many each time.
      let batch = Math.min(firstBatch, options.batch);
      while (await this.#pull(name, batch, each)) batch = Math.min(2 * batch, options.batch);
    } finally {
      if (this.#session.live) this.#session.send(`${stream.api}.CONSUMER.DELETE.${stream.name}.${name}`);
    }
  }

  /** One batch; returns whether there may be more that are wanted. */
  async #pull(consumer: string, batch: number, each: (message: Stored) => boolean): Promise<boolean> {
    const stream = this.#stream;
    let left = batch;
    let more = true;
    let problem: JetStreamError | undefined;
    await this.#session.requestMany(
      `${stream.api}.CONSUMER.MSG.NEXT.${stream.name}.${consumer}`,
      Buffer.from(JSON.stringify({ batch, no_wait: true })),
      this.#deadlines,
      (message) => {
        const status = message.headers?.code ?? 0;
        if (status >= 400) {
          // 404: there are none; 408: there are not as many. Anything else went wrong.
          if (status !== 404 && status !== 408)
            problem = new JetStreamError(status, message.headers?.description ?? "no more");
          more = false;
          return true;
        }
        // $JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>, with domain and account before the stream in newer servers.
        const parts = (message.reply ?? "").split(".");
        const at = parts.length >= 11 ? 7 : 5;
        left--;
        const found = stored(message, readOffset(parts[at] ?? ""), Number(parts[at + 2]) / nanos);
        more = each(found) && parts[at + 3] !== "0";
        return left === 0 || !more;
      },
    );
    if (problem !== undefined) throw problem;
    return more;
  }

  /** Removes messages of a subject: all before a sequence, or all but the newest. */
  async purge(subject: string, what: { readonly seq: number } | { readonly keep: number }): Promise<void> {
    await this.#api(`STREAM.PURGE.${this.#stream.name}`, { filter: subject, ...what });
  }

  /** As `#api`, for what may be asked twice: asked again while the cluster has no leader, or too few servers yet. */
  async #settled(what: string, body?: unknown): Promise<Record<string, unknown>> {
    for (;;) {
      try {
        return await this.#api(what, body, this.#soon);
      } catch (error) {
        const silent = error instanceof TimeoutError;
        const unready = error instanceof JetStreamError && codes.unready.some((code) => code === error.code);
        if (!(silent || unready)) throw error;
        if (!this.#session.live || performance.now() > this.#settledBy)
          throw silent ? new JetStreamError(0, "JetStream does not answer: its cluster has no leader") : error;
        await delay(pause);
      }
    }
  }

  async #api(what: string, body?: unknown, deadlines: Deadlines = this.#deadlines): Promise<Record<string, unknown>> {
    const data = Buffer.from(body === undefined ? "" : JSON.stringify(body));
    return parse((await this.#ask(`${this.#stream.api}.${what}`, data, {}, { deadlines })).data);
  }

  async #ask(
    subject: string,
    data: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
    limit: Limit = { deadlines: this.#deadlines },
  ): Promise<Msg> {
    const answer = await this.#session.request(subject, data, headers, limit);
    if (answer.headers?.code === 503) throw new JetStreamError(503, "nobody answers for JetStream");
    return answer;
  }
}
