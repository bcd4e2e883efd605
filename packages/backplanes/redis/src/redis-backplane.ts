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
  misfit,
  readAnnouncement,
  readControl,
  writeAnnouncement,
  writeControl,
} from "@zuruf/hub/store";
import { loadDriver, type Driver } from "./driver.ts";
import { explain, isUnsent, readRefusal } from "./failures.ts";
import { malformed, readPage, readPosition } from "./page.ts";
import { Names } from "./names.ts";
import { printAddress, readSettings, readTarget, type RedisOptions, type Settings, type Target } from "./options.ts";
import { announceOnce, append, heads, page, probe, type Script } from "./scripts.ts";
import type { RedisServer } from "./server.ts";
import { Servers } from "./servers.ts";

/** Bytes of publications that may wait for Redis; beyond, publications are refused at once. */
const mostBytesInFlight = 64 * 1024 * 1024;
/** Logs per call of `heads`: short enough not to hold up others. */
const headsPerCall = 500;
const retryEvery = 50;

export class RedisBackplane implements Backplane {
  readonly can = { history: true, contiguous: true, idempotent: true } as const;
  readonly #target: Target;
  readonly #settings: Settings;
  readonly #names: Names;
  readonly #deadlines: Deadlines;
  #driver: Driver | undefined;
  #servers: Servers | undefined;
  #instance: InstanceId = "";
  #inFlight = 0;
  #state: "new" | "starting" | "started" | "closed" = "new";

  constructor(url: string, options: RedisOptions) {
    this.#target = readTarget(url, options);
    this.#settings = readSettings(options);
    this.#names = new Names(this.#settings.prefix);
    this.#deadlines = new Deadlines(this.#settings.deadline);
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
        const item = readAnnouncement(payload);
        // Somebody else's message, or a newer version's: whatever it was about, the log knows.
        if (item === undefined) sink.suspect([channel]);
        else sink.publication(channel, item);
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

  async publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    if (this.#inFlight + data.byteLength > mostBytesInFlight)
      throw new BackplaneError("notStored", "too many publications wait for Redis: publish slower, or later");
    this.#inFlight += data.byteLength;
    try {
      return await this.#publish(channel, data, options);
    } finally {
      this.#inFlight -= data.byteLength;
    }
  }

  async #publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    const { retention, key } = options;
    const names = this.#names;
    const announcements = names.announcements(channel);
    const record = key === undefined ? [] : [names.key(channel, shorten(key))];
    const keyWindow = `${this.#settings.keyWindow}`;
    if (retention === undefined) {
      const message = Buffer.from(writeAnnouncement(undefined, data).buffer);
      if (key === undefined) await this.#send(announcements, ["SPUBLISH", announcements, message], "unknown");
      else await this.#run(announceOnce, record, [message, announcements, keyWindow], "unknown");
      return undefined;
    }
    const keys = [names.log(channel), names.meta(channel), ...record];
    const answer = await this.#run(
      append,
      keys,
      (server) => [
        Buffer.from(data.buffer, data.byteOffset, data.byteLength),
        announcements,
        `${retention.size}`,
        `${Math.ceil(retention.ttl)}`,
        `${retention.bytes}`,
        server.info.runId,
        freshEpoch(),
        keyWindow,
      ],
      "unknown",
    );
    return readPosition(answer);
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
    const from = after === undefined ? (before === undefined ? "+" : `(${before.offset}-0`) : `${after.offset + 1}-0`;
    const direction = after === undefined ? "before" : "after";
    const limit = `${Math.max(1, Math.floor(range.limit))}`;
    const answer = await this.#run(
      page,
      keys,
      (server) => [server.info.runId, freshEpoch(), direction, from, limit],
      "unavailable",
      true,
    );
    const { chain, head, items } = readPage(answer);
    if (after === undefined) {
      items.reverse();
      const reason = before === undefined ? undefined : misfit(chain, head.offset, before);
      return reason === undefined
        ? { items: endOf(items), head, complete: true }
        : { items: [], head, complete: false, reason };
    }
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
    binary = false,
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
      binary,
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
    binary = false,
  ): Promise<unknown> {
    const surely = late === "unknown" ? "notStored" : "unavailable";
    const servers = this.#connected();
    const state = { over: false };
    const limited = this.#limit(this.#attempts(servers, key, command, surely, late, binary, state), late);
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
    binary: boolean,
    state: { readonly over: boolean },
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
        if (refusal.kind === "unknownScript") whole = true;
        else if (refusal.kind === "ask") asked = servers.named(refusal.address);
        else if (refusal.kind === "demoted") server.break("it is not the primary any more");
        if (refusal.kind === "moved") servers.refresh();
        if (refusal.kind !== "unknownScript" && asked === undefined) await sleep(retryEvery);
      }
    }
  }

  #limit<T>(promise: Promise<T>, late: BackplaneErrorCode): Promise<T> {
    return this.#deadlines.limit(
      promise,
      () => new BackplaneError(late, `Redis did not answer within ${this.#deadlines.ms} ms`),
    );
  }
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

/** Keys come from clients and may be long; Redis keeps each for minutes. */
function shorten(key: string): string {
  return key.length <= 64 ? key : createHash("sha256").update(key).digest("base64url");
}
