import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
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
  endOf,
  follows,
  Gatherer,
  misfit,
  type Gathered,
  readControl,
  writeControl,
} from "@zuruf/hub/store";
import { noPosition, readAnnouncement, writeBlock } from "./block.ts";
import { loadDriver, type Driver } from "./driver.ts";
import { explain, isUnsent, readRefusal } from "./failures.ts";
import { malformed, readPage, readPosition, readPositions } from "./page.ts";
import { Names } from "./names.ts";
import { printAddress, readSettings, readTarget, type RedisOptions, type Settings, type Target } from "./options.ts";
import { announce, append, heads, page, probe, type Script } from "./scripts.ts";
import type { RedisServer } from "./server.ts";
import { Servers } from "./servers.ts";
import { refusalOf, SharedCalls, type Batch } from "./shared-calls.ts";

/** Bytes of publications that may wait for Redis; beyond, publications are refused at once. */
const mostBytes = 64 * 1024 * 1024;
/** Publications of a channel that go together: few enough not to hold up others. */
const most = { publications: 128, bytes: 256 * 1024 };
/** Logs per call of `heads`: short enough not to hold up others. */
const headsPerCall = 500;
const retryEvery = 50;

interface CallOptions {
  /** Strings of the answer as bytes; default false. */
  readonly binary?: boolean;
  /** Milliseconds; default: the deadline of all calls. */
  readonly within?: number;
  /** What the answer says that Redis refused, in the words of its errors. */
  readonly refused?: (answer: unknown) => string | undefined;
}

export class RedisBackplane implements Backplane {
  readonly can = { history: true, contiguous: true, idempotent: true, ordered: true } as const;
  readonly #target: Target;
  readonly #settings: Settings;
  readonly #names: Names;
  readonly #deadlines: Deadlines;
  #driver: Driver | undefined;
  #servers: Servers | undefined;
  #instance: InstanceId = "";
  readonly #gatherer: Gatherer;
  #state: "new" | "starting" | "started" | "closed" = "new";

  constructor(url: string, options: RedisOptions) {
    this.#target = readTarget(url, options);
    this.#settings = readSettings(options);
    this.#names = new Names(this.#settings.prefix);
    this.#deadlines = new Deadlines(this.#settings.deadline);
    const alone = (): boolean => this.#servers?.cluster === true;
    const stored = new SharedCalls({
      call: (batches, within) => this.#append(batches, within),
      read: readPositions,
      alone,
    });
    const live = new SharedCalls({
      call: (batches, within) => this.#announce(batches, within),
      read: () => [],
      alone,
    });
    this.#gatherer = new Gatherer({
      send: (channel, batch, within) =>
        (batch[0]?.options.retention === undefined ? live : stored).send(channel, batch, within),
      most,
      mostBytes,
      deadline: this.#settings.deadline,
      now: () => performance.now(),
      soon: setImmediate,
    });
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    if (this.#state !== "new")
      throw new BackplaneError("closed", "the Redis backplane was started before: make another with redis(url)");
    this.#state = "starting";
    this.#instance = instance;
    this.#driver = await loadDriver();
    const servers = new Servers(this.#driver, this.#target, instance, this.#names, {
      up: () => sink.up(),
      down: (reason, silentFor) => sink.down(reason, silentFor),
      suspect: (channels) => sink.suspect(channels.map((channel) => this.#names.channelOf(channel))),
      announcement: (payload, pubSubChannel) => {
        const channel = this.#names.channelOf(pubSubChannel.toString());
        const items = readAnnouncement(payload);
        // Somebody else's message, or a newer version's: whatever it was about, the log knows.
        if (items === undefined) sink.suspect([channel]);
        else for (const item of items) sink.publication(channel, item);
      },
      control: (payload) => {
        const control = readControl(payload);
        if (control !== undefined && control.from !== instance) sink.control(control.from, control.message);
      },
    });
    this.#servers = servers;
    await servers.start();
    await this.#probe();
    this.#state = "started";
  }

  /** Tries every command once, so that a missing right is one line at start and not the first user's error. */
  async #probe(): Promise<void> {
    const channel = `$probe:${randomBytes(9).toString("base64url")}`;
    const names = this.#names;
    try {
      const keys = [names.log(channel), names.meta(channel), names.key(channel, "")];
      await this.#run(probe, keys, [names.announcements(channel)], "unavailable");
    } catch (error) {
      await this.close();
      throw error instanceof BackplaneError && error.cause !== undefined
        ? explain(this.#target.seeds.map(printAddress).join(","), error.cause)
        : error;
    }
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    return this.#limit(this.#connected().subscribe(channels.map((c) => this.#names.announcements(c))), "unavailable");
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    this.#connected().unsubscribe(channels.map((c) => this.#names.announcements(c)));
  }

  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    try {
      this.#connected();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#gatherer.publish(channel, data, options);
  }

  #append(batches: readonly Batch[], within: number): Promise<unknown> {
    const names = this.#names;
    const keys: string[] = [];
    const args: (string | Buffer)[] = [];
    for (const { channel, publications, bytes } of batches) {
      const retention = publications[0]?.options.retention;
      if (retention === undefined) throw new BackplaneError("notStored", "what keeps no history is not appended");
      const { size, ttl, bytes: most } = retention;
      const keyed = publications.some(hasKey) ? publications.length : 0;
      keys.push(names.log(channel), names.meta(channel));
      args.push(writeBlock(publications), `${publications.length} ${bytes} ${size} ${Math.ceil(ttl)} ${most} ${keyed}`);
      if (keyed === 0) continue;
      keys.push(names.keys(channel, 0), names.keys(channel, 1));
      for (const { options } of publications) args.push(options.key === undefined ? "" : shorten(options.key));
    }
    return this.#run(
      append,
      keys,
      (server) => [server.info.runId, freshEpoch(), `${this.#settings.keyWindow}`, ...args],
      "unknown",
      { within, refused: refusalOf },
    );
  }

  async #announce(batches: readonly Batch[], within: number): Promise<unknown> {
    const keys: string[] = [];
    const args: (string | Buffer)[] = [`${this.#settings.keyWindow}`];
    for (const { channel, publications } of batches) {
      const announcements = this.#names.announcements(channel);
      const block = writeBlock(publications);
      const keyed = publications.some(hasKey);
      if (!keyed && this.#connected().cluster) {
        // Alone in its call. A command that names no key is served while its slot moves, and a script finds its node by keys.
        const message = Buffer.concat([Buffer.from(noPosition), block]);
        await this.#send(announcements, ["SPUBLISH", announcements, message], "unknown", { within });
        return [""];
      }
      args.push(announcements, block, keyed ? publications.map((one) => (hasKey(one) ? "1" : "0")).join("") : "");
      for (const { options } of publications)
        if (options.key !== undefined) keys.push(this.#names.key(channel, shorten(options.key)));
    }
    return this.#run(announce, keys, args, "unknown", { within, refused: refusalOf });
  }

  async heads(channels: readonly string[]): Promise<Map<string, Position>> {
    const servers = this.#connected();
    const result = new Map<string, Position>();
    // On a cluster a call reaches one slot, so each log is a call of its own; they travel together all the same.
    const perCall = servers.cluster ? 1 : headsPerCall;
    const calls: Promise<void>[] = [];
    for (let i = 0; i < channels.length; i += perCall) calls.push(this.#heads(channels.slice(i, i + perCall), result));
    await Promise.all(calls);
    return result;
  }

  async #heads(channels: readonly string[], result: Map<string, Position>): Promise<void> {
    const keys = channels.flatMap((channel) => [this.#names.log(channel), this.#names.meta(channel)]);
    const answer = await this.#run(heads, keys, (server) => [server.info.runId, freshEpoch()], "unavailable");
    if (!Array.isArray(answer) || answer.length !== channels.length) throw malformed("heads");
    for (const [i, channel] of channels.entries()) result.set(channel, readPosition(answer[i]));
  }

  async history(
    channel: string,
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<HistoryPage> {
    const { after, before } = range;
    const keys = [this.#names.log(channel), this.#names.meta(channel)];
    const from = after ?? before;
    const direction = after === undefined ? "before" : "after";
    const limit = Math.max(1, Math.floor(range.limit));
    const answer = await this.#run(
      page,
      keys,
      (server) => [server.info.runId, freshEpoch(), direction, `${from?.offset ?? ""}`, `${limit}`],
      "unavailable",
      { binary: true },
    );
    const { chain, head, items: found } = readPage(answer);
    if (after === undefined) {
      const end = before?.offset ?? Number.POSITIVE_INFINITY;
      const items = found.filter(({ offset }) => offset < end).slice(-limit);
      const reason = before === undefined ? undefined : misfit(chain, head.offset, before);
      return reason === undefined
        ? { items: endOf(items), head, complete: true }
        : { items: [], head, complete: false, reason };
    }
    const items = found.filter(({ offset }) => offset > after.offset).slice(0, limit);
    const reason = misfit(chain, head.offset, after) ?? (follows(items, after, head) ? undefined : "retention");
    return reason === undefined ? { items, head, complete: true } : { items: [], head, complete: false, reason };
  }

  async control(message: Uint8Array, to?: InstanceId): Promise<void> {
    const channel = this.#names.control(to);
    await this.#send(
      channel,
      ["SPUBLISH", channel, Buffer.from(writeControl(this.#instance, message).buffer)],
      "unavailable",
    );
  }

  async close(): Promise<void> {
    this.#state = "closed";
    await this.#servers?.close(this.#settings.deadline);
    this.#deadlines.close();
  }

  #connected(): Servers {
    if (this.#servers === undefined || this.#state === "closed")
      throw new BackplaneError(
        "closed",
        this.#state === "closed" ? "the Redis backplane is closed" : "the Redis backplane is not started",
      );
    return this.#servers;
  }

  /** A script by its hash; whole when the server does not know it. */
  #run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[] | ((server: RedisServer) => readonly (string | Buffer)[]),
    late: BackplaneErrorCode,
    how: CallOptions = {},
  ): Promise<unknown> {
    return this.#send(
      keys[0] ?? "",
      (server, whole) => [
        ...(whole ? ["EVAL", script.source] : ["EVALSHA", script.sha1]),
        `${keys.length}`,
        ...keys,
        ...(typeof args === "function" ? args(server) : args),
      ],
      late,
      how,
    );
  }

  /**
   * Sends a command to the server that has `key`. What Redis says it did not run is sent again, where it is to go, until the deadline.
   * Rejects with `late` where it is not known whether it ran, else with `notStored` for a publication, `unavailable` for a question.
   */
  async #send(
    key: string,
    command: (string | Buffer)[] | ((server: RedisServer, whole: boolean) => (string | Buffer)[]),
    late: BackplaneErrorCode,
    how: CallOptions = {},
  ): Promise<unknown> {
    const surely = late === "unknown" ? "notStored" : "unavailable";
    const servers = this.#connected();
    const state: Attempts = { over: false, refusal: "" };
    const limited = this.#limit(
      this.#attempts(servers, key, command, surely, late, how, state),
      late,
      how.within,
      state,
    );
    return limited.finally(() => {
      state.over = true;
    });
  }

  async #attempts(
    servers: Servers,
    key: string,
    command: (string | Buffer)[] | ((server: RedisServer, whole: boolean) => (string | Buffer)[]),
    surely: BackplaneErrorCode,
    late: BackplaneErrorCode,
    { binary = false, refused }: CallOptions,
    state: Attempts,
  ): Promise<unknown> {
    const options = binary ? { typeMapping: { [this.#driver?.RESP_TYPES.BLOB_STRING ?? 36]: Buffer } } : undefined;
    let asked: RedisServer | undefined;
    let whole = false;
    for (;;) {
      const server = asked ?? reachable(servers, key, surely);
      const args = typeof command === "function" ? command(server, whole) : command;
      try {
        const asking = asked === undefined ? undefined : server.commands.sendCommand(["ASKING"]);
        const [answer] = await Promise.all([server.commands.sendCommand<unknown>(args, options), asking]);
        const reason = refused?.(answer);
        if (reason !== undefined) throw new Error(reason);
        return answer;
      } catch (error) {
        asked = undefined;
        const refusal = readRefusal(error);
        if (refusal === undefined) {
          if (isUnsent(error)) throw new BackplaneError(surely, `Redis at ${server.name} cannot be reached now`, error);
          const message = `Redis at ${server.name} went away: ${error instanceof Error ? error.message : String(error)}`;
          throw new BackplaneError(late, message, error);
        }
        if (state.over || refusal.kind === "refused")
          throw new BackplaneError(
            surely,
            `Redis refused: ${error instanceof Error ? error.message : String(error)}`,
            error,
          );
        state.refusal = error instanceof Error ? `: ${error.message}` : "";
        if (refusal.kind === "unknownScript") whole = true;
        else if (refusal.kind === "ask") asked = servers.named(refusal.address);
        else if (refusal.kind === "demoted") server.break("it is not the primary any more");
        if (refusal.kind === "moved") servers.refresh();
        if (refusal.kind === "unknownScript" || asked !== undefined) continue;
        await sleep(retryEvery);
        // It was rejected meanwhile, and may have been repeated by who waited for it.
        if (state.over) throw new BackplaneError(late, "Redis did not answer in time", error);
      }
    }
  }

  #limit<T>(promise: Promise<T>, late: BackplaneErrorCode, within?: number, state?: Attempts): Promise<T> {
    return this.#deadlines.limit(
      promise,
      () => new BackplaneError(late, `Redis did not answer within ${this.#deadlines.ms} ms${state?.refusal ?? ""}`),
      within,
    );
  }
}

/** A command that is sent until Redis runs it. */
interface Attempts {
  over: boolean;
  /** What Redis said the last time, for the message when the time is over. */
  refusal: string;
}

function reachable(servers: Servers, key: string, code: BackplaneErrorCode): RedisServer {
  try {
    return servers.at(key);
  } catch (error) {
    if (error instanceof BackplaneError && error.code === "unavailable") throw new BackplaneError(code, error.message);
    throw error;
  }
}

const epochPrefix = randomBytes(9).toString("base64url");
let epochs = 0;
/** Random once and counted from there: no two histories ever share one, and a publication does not wait for randomness. */
function freshEpoch(): string {
  return `${epochPrefix}${(epochs++).toString(36)}`;
}

function hasKey({ options }: Gathered): boolean {
  return options.key !== undefined;
}

/** Keys come from clients and may be long; Redis keeps each for minutes. */
function shorten(key: string): string {
  return key.length <= 64 ? key : createHash("sha256").update(key).digest("base64url");
}
