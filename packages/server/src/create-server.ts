import { randomBytes } from "node:crypto";
import type { Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";
import { Hub, memoryBackplane, type HistoryRecord, type Position } from "@zuruf/hub";
import { systemClock, type CallMap, type DataOf } from "@zuruf/protocol";
import type { WebSocketServer } from "@zuruf/websocket";
import { admission, type Admission } from "./admission.ts";
import { checkSettings } from "./config/load.ts";
import type { OptionKey } from "./config/options.ts";
import { oneLine, ServerError } from "./errors.ts";
import { instanceName } from "./instance-name.ts";
import { stderrLogger, type Logger } from "./log.ts";
import { proxies } from "./proxies.ts";
import { webSocketTransport, type Line } from "./websocket-transport.ts";
import type { CloseOptions, ServerOptions, Zuruf } from "./zuruf.ts";

/** The longest time over which closes are spread, and the share of it that each connection asks for; in milliseconds. */
const longestWindow = 10_000;
const windowPerConnection = 20;

/**
 * Makes a real-time server to embed: `attach` it to an `http.Server`. `ChannelMap` gives the data's types by channel name or pattern, and
 * `Methods` those of calls; the same maps type a client. @throws ServerError badConfig for an option with a bad value.
 */
export function createServer<ChannelMap extends object = Record<string, unknown>, Methods extends object = CallMap>(
  options: ServerOptions = {},
): Zuruf<ChannelMap, Methods> {
  return new ZurufServer(options) as unknown as Zuruf<ChannelMap, Methods>;
}

/** The options that an embedded server shares with a service, and checks by the same table. */
export const sharedOptions: readonly Exclude<keyof ServerOptions & OptionKey, "channels" | "limits" | "backplane">[] = [
  "instance",
  "path",
  "origins",
  "trustedProxies",
  "connectionRate",
  "connectionBurst",
  "maxConnections",
  "maxMessage",
  "compression",
];

type Phase = "new" | "starting" | "serving" | "failed" | "draining" | "closed";

/** `createServer`'s server, with what a whole service needs besides: `admit` for its other WebSockets, and `drain`. */
export class ZurufServer extends Hub implements Zuruf {
  /** The rules for new connections; shared by every path, so that an address's connections count together. */
  readonly admit: Admission;
  readonly #engine: WebSocketServer<Line>;
  readonly #path: string;
  readonly #logger: Logger;
  readonly #closers: (() => Promise<void> | void)[] = [];
  #phase: Phase = "new";
  #wantsHeaders = false;
  #started: Promise<void> | undefined;
  #drained: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    const { backplane = memoryBackplane(), logger, channels, limits, direct, ...own } = options;
    if (typeof backplane === "string")
      throw new ServerError(
        "badConfig",
        "backplane: expected what redis(url) of @zuruf/redis (or another backplane's package) returns, got a text",
      );
    const settings = checkSettings(own, sharedOptions);
    const instance = settings.instance ?? instanceName();
    const log = logger ?? stderrLogger("warn", instance);
    super({
      backplane,
      instance,
      clock: systemClock,
      random: { bytes: (count) => randomBytes(count) },
      ...(channels && { channels }),
      ...(limits && { limits }),
      ...(direct && { direct }),
      log: (level, message, fields) => log[level](fields ?? {}, message),
    });
    this.#path = settings.path;
    this.#logger = log;
    this.admit = admission(
      settings,
      proxies(settings.trustedProxies),
      () => this.status().connections,
      () => (this.#phase === "serving" ? undefined : this.#phase === "new" ? "starting" : this.#phase),
    );
    this.#engine = webSocketTransport(this, {
      admit: this.admit,
      maxMessage: settings.maxMessage,
      compression: settings.compression,
      logger: log,
      wantsHeaders: () => this.#wantsHeaders,
    });
  }

  override onConnect(...hook: Parameters<Hub["onConnect"]>): void {
    this.#wantsHeaders = true;
    super.onConnect(...hook);
  }
  override async publish(...publication: Parameters<Hub["publish"]>): Promise<Position | undefined> {
    await this.start();
    return super.publish(...publication);
  }
  override async position(channel: string): Promise<Position> {
    await this.start();
    return super.position(channel);
  }
  override async history<Name extends string>(
    channel: Name,
    range: Parameters<Hub["history"]>[1] = {},
  ): Promise<HistoryRecord<DataOf<Record<string, unknown>, Name>>> {
    await this.start();
    return super.history(channel, range);
  }
  override async presence(...question: Parameters<Hub["presence"]>): ReturnType<Hub["presence"]> {
    await this.start();
    return super.presence(...question);
  }
  override async send(...message: Parameters<Hub["send"]>): ReturnType<Hub["send"]> {
    await this.start();
    return super.send(...message);
  }
  override async call(...question: Parameters<Hub["call"]>): Promise<unknown> {
    await this.start();
    return super.call(...question);
  }

  attach(server: HttpServer | HttpsServer): void {
    this.#engine.attach(server, { path: this.#path });
    this.start().catch((error: unknown) => {
      this.#logger.error({ err: error }, `zuruf cannot start: ${oneLine(error)}`);
    });
  }

  override start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async #start(): Promise<void> {
    if (this.#phase !== "new") throw new ServerError("closed", "the server is closed; make another with createServer");
    this.#phase = "starting";
    try {
      await super.start();
    } catch (error) {
      this.#phase = "failed";
      throw new ServerError("backplaneFailed", oneLine(error), error);
    }
    if (this.#phase === "starting") this.#phase = "serving";
  }

  onClose(run: () => Promise<void> | void): void {
    this.#closers.push(run);
  }

  /** The first half of `close`: takes no more connections and ends those that are open. Once: further calls return the first one's promise. */
  override drain(options: CloseOptions = {}): Promise<void> {
    this.#drained ??= this.#drain(options.within ?? longestWindow);
    return this.#drained;
  }

  async #drain(longest: number): Promise<void> {
    // A start in progress must end first: what it opens, close() closes. Its failure is its caller's.
    await this.#started?.catch(() => undefined);
    this.#phase = "draining";
    await super.drain({ within: Math.min(longest, this.status().connections * windowPerConnection) });
    await this.#engine.close({ code: 1001, reason: "draining", within: 1000 });
  }

  override close(options: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options);
    return this.#closed;
  }

  async #close(options: CloseOptions): Promise<void> {
    await this.drain(options);
    const failures: unknown[] = [];
    const between = async (): Promise<void> => {
      for (const run of this.#closers.toReversed())
        try {
          await run();
        } catch (error) {
          failures.push(error); // the others still get their turn
        }
    };
    await super.close({ between });
    this.#phase = "closed";
    if (failures.length > 0)
      throw failures.length === 1 ? failures[0] : new AggregateError(failures, failures.map(oneLine).join("; "));
  }
}
