import {
  payloadLength,
  payloadValue,
  toPayload,
  maxKeyBytes,
  utf8Length,
  ZurufError,
  type PacketOf,
  type Payload,
  type PublicationInfo,
} from "@zuruf/protocol";
import { mayAccess } from "./access.ts";
import type { Line, Position, PublishOptions } from "./backplane.ts";
import type { ResolvedOptions } from "./channel-options.ts";
import type { Connection } from "./connection.ts";
import { unconfigured, type Core } from "./core.ts";
import { encodeEnvelope } from "./envelope.ts";
import { toZurufError } from "./errors.ts";
import { toWire } from "./history.ts";
import { inTime } from "./in-time.ts";
import { TokenBucket } from "./token-bucket.ts";

/** A client's publication on its way: checked (or being checked, or refused), and stored in its turn. */
interface Job {
  readonly packet: PacketOf<"publish">;
  readonly options: ResolvedOptions | undefined;
  /** Counts up in call order. */
  readonly turn: number;
  readonly payload: Payload | Promise<Payload> | Refusal;
}

interface Refusal {
  readonly error: unknown;
}

/** Takes one publication of a client; answers it when it is stored, or refused. */
export function publishFrom(connection: Connection, packet: PacketOf<"publish">, refused?: ZurufError): void {
  const { lanes, core } = connection;
  let lane = lanes.get(packet.channel);
  if (lane === undefined) {
    if (lanes.size >= core.limits.subscriptions && !forgetIdle(lanes)) {
      connection.fail(packet.id, new ZurufError("tooMany", "publishing to too many channels at once"), "publish");
      return;
    }
    lane = new Lane(connection);
    lanes.set(packet.channel, lane);
  }
  if (connection.begin(packet.id)) lane.submit(packet, refused);
  else lane.bar(packet.key);
}

/** Makes room for another lane; false when all are needed. */
function forgetIdle(lanes: Map<string, Lane>): boolean {
  for (const [channel, lane] of lanes) {
    if (!lane.idle) continue;
    lanes.delete(channel);
    return true;
  }
  return false;
}

/**
 * One client's publications to one channel, stored in call order. Hooks may overlap. So may storing, where the backplane keeps the order; else each waits for the one before.
 * After a publication with a key failed in a way that a retry may mend, later ones with a key fail too, until the client
 * has seen it and begins again: otherwise they would overtake the retry.
 */
export class Lane {
  readonly #connection: Connection;
  /** Those whose turn has not come. */
  readonly #jobs: Job[] = [];
  #running = false;
  /** How many are being stored. */
  #flying = 0;
  #turns = 0;
  #bucket: TokenBucket | undefined;
  #line: Line = { failed: false };
  /** The first publication that failed. */
  #failed: { readonly turn: number; readonly key: string } | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get idle(): boolean {
    return !this.#running && this.#flying === 0 && this.#failed === undefined;
  }

  /** A publication was refused before it got here: what comes after it must not overtake its retry. */
  bar(key: string | undefined): void {
    if (key !== undefined) this.#barFrom(this.#turns++, key);
  }

  /**
   * The connection is gone: what was not begun is left to the client, which sends it again over its next connection.
   * Storing it later from here could put it behind what the client has published since.
   */
  abandon(): void {
    this.#jobs.length = 0;
    this.#line.failed = true;
    // Nor may one that waits for a hook begin a new line.
    this.#failed = undefined;
  }

  submit(packet: PacketOf<"publish">, refused: ZurufError | undefined): void {
    const { core } = this.#connection;
    const options = core.patterns.find(packet.channel);
    const payload = refused === undefined ? this.#check(packet, options) : { error: refused };
    const job = { packet, options, turn: this.#turns++, payload };
    // Most have nothing to wait for.
    if (!this.#running && !(job.payload instanceof Promise) && !this.#inTurn(job)) {
      void this.#store(job, job.payload);
      return;
    }
    this.#jobs.push(job);
    if (!this.#running) void this.#run();
  }

  /** The payload to store. What is refused at once is returned, not thrown: it is answered in its turn. */
  #check(packet: PacketOf<"publish">, options: ResolvedOptions | undefined): Job["payload"] {
    try {
      const { core } = this.#connection;
      if (options === undefined) throw unconfigured(packet.channel);
      const { rate } = options;
      if (rate !== undefined) {
        this.#bucket ??= new TokenBucket(rate.publishes, rate.publishes / rate.per, core.clock.now());
        const wait = this.#bucket.take(core.clock.now());
        if (wait > 0) {
          core.counters.rateLimited++;
          throw new ZurufError("rateLimited", `too many publications to ${packet.channel}`, { retryAfter: wait });
        }
      }
      if (dataLength(packet.payload, options.maxData) > options.maxData)
        throw new ZurufError("tooLarge", `data may have ${options.maxData} bytes in ${packet.channel}`);
      const access = mayAccess(options.publish, this.#connection, packet.channel, "publish to");
      const hook = core.hooks.publish;
      if (access === undefined && hook === undefined && options.validate === undefined) return packet.payload;
      const checked = this.#ask(packet, options, access);
      // It is awaited in its turn; until then its failure is nobody's.
      checked.catch(() => undefined);
      return checked;
    } catch (error) {
      return { error };
    }
  }

  async #ask(packet: PacketOf<"publish">, options: ResolvedOptions, access: Promise<void> | void): Promise<Payload> {
    const { client, user, data: session, core } = this.#connection;
    await inTime(core, "publish", access);
    const original = payloadValue(packet.payload);
    let data = original;
    if (options.validate !== undefined) {
      try {
        data = (await inTime(core, "validate", options.validate(data))) ?? data;
      } catch (error) {
        if (error instanceof ZurufError) throw error;
        throw new ZurufError("rejected", error instanceof Error ? error.message : "the data was refused", {
          cause: error,
        });
      }
    }
    const hook = core.hooks.publish;
    if (hook !== undefined) {
      try {
        const asked = hook({ client, user, session, channel: packet.channel, data, key: packet.key });
        data = (await inTime(core, "onPublish", asked)) ?? data;
      } catch (error) {
        if (error instanceof ZurufError || !isSchemaError(error)) throw error;
        throw new ZurufError("rejected", error.message, { cause: error });
      }
    }
    return data === original ? packet.payload : toPayload(data);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      const { payload } = job;
      const checked = payload instanceof Promise ? await payload.catch((error: unknown) => ({ error })) : payload;
      const answered = this.#store(job, checked);
      if (this.#inTurn(job)) await answered;
    }
    this.#running = false;
  }

  /** Whether the next one has to wait until this one is stored. Without a log there is no offset whose order a failure could spoil. */
  #inTurn({ options }: Job): boolean {
    return options?.retention !== undefined && this.#connection.core.backplane.can.ordered !== true;
  }

  /** Resolves when it is answered. */
  #store(job: Job, payload: Payload | Refusal): Promise<void> | undefined {
    const { packet, options } = job;
    try {
      this.#mayGoOn(packet);
      if ("error" in payload) throw payload.error;
      const line = packet.key === undefined ? undefined : this.#line;
      if (line?.failed === true) throw new ZurufError("notStored", "an earlier publication failed");
      const { client, user, core } = this.#connection;
      const info = infoNow(core, packet.key, client, user);
      const stored = store(core, packet.channel, payload, options as ResolvedOptions, info, line);
      this.#flying++;
      return stored.then(
        (position) => this.#stored(packet, position),
        (error: unknown) => this.#notStored(job, error, line),
      );
    } catch (error) {
      this.#fail(job, error, this.#line);
      return undefined;
    }
  }

  #mayGoOn({ key, again }: PacketOf<"publish">): void {
    if (this.#failed === undefined || key === undefined) return;
    if (again !== true && key !== this.#failed.key)
      throw new ZurufError("notStored", "an earlier publication failed: repeat from there, the first with again");
    this.#failed = undefined;
    this.#line = { failed: false };
  }

  #stored({ id }: PacketOf<"publish">, position: Position | undefined): void {
    this.#flying--;
    this.#connection.end();
    this.#connection.core.counters.published++;
    this.#connection.answer(
      position === undefined ? { type: "published", id } : { type: "published", id, position: toWire(position) },
    );
  }

  #notStored(job: Job, error: unknown, line: Line | undefined): void {
    this.#flying--;
    this.#fail(job, error, line);
  }

  #fail({ packet: { id, key }, turn }: Job, error: unknown, line: Line | undefined): void {
    // Who began again did so knowing that the lines before had failed.
    if (key !== undefined && line === this.#line && toZurufError(error).retryable) this.#barFrom(turn, key);
    this.#connection.end();
    this.#connection.fail(id, error, "publish");
  }

  #barFrom(turn: number, key: string): void {
    if (this.#failed === undefined || turn < this.#failed.turn) this.#failed = { turn, key };
  }
}

/** What is published now, by a client unless it is the server. */
export function infoNow(core: Core, key: string | undefined, client?: string, user?: string): PublicationInfo {
  return { client, user, time: core.clock.now(), key } as PublicationInfo;
}

/** A publication as a backplane takes it. */
export interface PreparedPublication {
  readonly channel: string;
  readonly data: Uint8Array;
  readonly options: PublishOptions;
}

export function prepare(
  channel: string,
  payload: Payload,
  { retention }: ResolvedOptions,
  info: PublicationInfo,
): PreparedPublication {
  return {
    channel,
    data: encodeEnvelope(info, payload, retention !== undefined),
    options: { retention, key: scopedKey(info) },
  };
}

/** Gives a publication to the backplane. */
export function store(
  core: Core,
  channel: string,
  payload: Payload,
  { retention }: ResolvedOptions,
  info: PublicationInfo,
  line?: Line,
): Promise<Position | undefined> {
  const data = encodeEnvelope(info, payload, retention !== undefined);
  return core.backplane.publish(channel, data, { retention, key: scopedKey(info), line });
}

/** @throws ZurufError badRequest */
export function checkKey(key: string | undefined): void {
  if (key !== undefined && (key === "" || utf8Length(key) > maxKeyBytes))
    throw new ZurufError("badRequest", `a key has 1 to ${maxKeyBytes} bytes`);
}

/** A key is its publisher's own: nobody can take, or guess, another's. */
function scopedKey({ key, client, user }: PublicationInfo): string | undefined {
  if (key === undefined) return undefined;
  if (user !== undefined) return `u${user.length}:${user}:${key}`;
  return client === undefined ? `s:${key}` : `c:${client}:${key}`;
}

/** Bytes, counted exactly only where it matters. */
export function dataLength(payload: Payload, limit: number): number {
  const length = payloadLength(payload);
  return payload.format === "json" && length <= limit && length * 3 > limit ? utf8Length(payload.text) : length;
}

/** What zod, valibot, arktype and others throw: an error with a list of issues (standardschema.dev). Any other error is a failure of the hook, not of the data. */
function isSchemaError(error: unknown): error is Error {
  return error instanceof Error && "issues" in error && Array.isArray(error.issues);
}
