import cluster, { type Worker } from "node:cluster";
import type { Socket } from "node:net";
import type { ServiceSettings } from "../config/service-config.ts";
import { ServerError } from "../errors.ts";
import { instanceName } from "../instance-name.ts";
import type { InstanceHealth, InstanceState } from "../readiness.ts";
import type { Taker } from "./front-door.ts";
import { Guests } from "./guests.ts";
import type { ToInstance, ToPrimary, Topic, Topics } from "./messages.ts";
import { Questions } from "./questions.ts";

/** How long an instance has to say how it is, in milliseconds. */
const answerWithin = 1000;
/** A life that was ready this long was a good one: the next restart is quick again. */
const goodLife = 10_000;
const shortestPause = 100;
const longestPause = 30_000;

export interface SeatEvents {
  /** The instance takes connections. */
  open(): void;
  /** The instance takes no more connections. */
  closing(): void;
  /** The instance ended by itself. @param pause milliseconds until it starts again. */
  ended(name: string, reason: string, pause: number): void;
  /** The instance ended before these connections reached it. */
  returned(sockets: readonly Socket[]): void;
  /** @returns the answers of all instances, for one of them that was asked. */
  all(topic: Topic): Promise<readonly Topics[Topic][]>;
  /** The settings for a new life of that name. */
  settings(name: string): ServiceSettings;
}

/** One place among the instances behind a port: one process at a time, each life with a name of its own, started again when it ends by itself. */
export class Seat implements Taker {
  readonly #base: string;
  readonly #events: SeatEvents;
  readonly #questions = new Questions<Topics[Topic]>();
  readonly #guests = new Guests();
  #name: string;
  #worker: Worker | undefined;
  #state: InstanceState = "starting";
  #began = 0;
  #readyAt: number | undefined;
  #restarts = 0;
  #shortLives = 0;
  #pause: NodeJS.Timeout | undefined;
  #failure: ServerError | undefined;
  #firstLife: { resolve(): void; reject(error: ServerError): void } | undefined;
  /** Whether the process hears: what is said while it still loads its modules is lost. */
  #listening = false;
  #open = false;
  #stopping = false;
  #emptied: (() => void) | undefined;

  /** @param base the name without the part that changes with each life. */
  constructor(base: string, events: SeatEvents) {
    this.#base = base;
    this.#name = base;
    this.#events = events;
  }

  get takes(): Taker["takes"] {
    if (!this.#open) return "no";
    return this.#state === "ready" ? "ready" : "starting";
  }
  get load(): number {
    return this.#guests.load;
  }
  get waiting(): number {
    return this.#guests.waiting;
  }

  give(socket: Socket): void {
    this.#guests.give(socket);
    this.#worker?.send({ type: "connection" } satisfies ToInstance, socket, gone);
  }

  /** Starts the first life. @returns when it is ready. @throws ServerError with what the instance said, if it ends before. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#firstLife = { resolve, reject };
      this.#live();
    });
  }

  #live(): void {
    this.#name = instanceName(this.#base);
    this.#state = "starting";
    this.#began = performance.now();
    this.#readyAt = undefined;
    this.#listening = false;
    this.#failure = undefined;
    const worker = cluster.fork({ ZURUF_INSTANCE: this.#name });
    this.#worker = worker;
    worker.on("message", (message: ToPrimary) => this.#hear(message));
    worker.on("error", (error) => {
      this.#failure = new ServerError("instanceFailed", `${this.#name} cannot be reached: ${error.message}`, error);
    });
    worker.once("exit", (code, signal) => this.#ended(signal ?? `exit code ${code}`));
  }

  #hear(message: ToPrimary): void {
    switch (message.type) {
      case "listening":
        this.#listening = true;
        if (this.#stopping) this.#say({ type: "stop" });
        else this.#say({ type: "start", settings: this.#events.settings(this.#name) });
        break;
      case "open":
        this.#open = true;
        this.#events.open();
        break;
      case "tally":
        this.#guests.told(message);
        break;
      case "closing":
        this.#open = false;
        this.#say({ type: "closed" });
        this.#events.closing();
        break;
      case "ready":
        this.#state = "ready";
        this.#readyAt = performance.now();
        this.#firstLife?.resolve();
        this.#firstLife = undefined;
        break;
      case "failed":
        this.#failure = new ServerError(message.code, message.message);
        break;
      case "answer":
        this.#questions.answered(message.id, message.answer);
        break;
      case "askAll":
        void this.#events.all(message.topic).then((answers) => this.#say({ type: "answers", id: message.id, answers }));
        break;
    }
  }

  #ended(how: string): void {
    this.#worker = undefined;
    this.#open = false;
    this.#events.returned(this.#guests.ended());
    if (this.#stopping) {
      this.#emptied?.();
      return;
    }
    const reason = this.#failure?.message ?? how;
    if (this.#firstLife !== undefined) {
      const failure =
        this.#failure ?? new ServerError("instanceFailed", `instance ${this.#name} ended while starting: ${how}`);
      this.#firstLife.reject(failure);
      this.#firstLife = undefined;
      return;
    }
    const wasGood = this.#readyAt !== undefined && performance.now() - this.#readyAt >= goodLife;
    this.#shortLives = wasGood ? 0 : this.#shortLives + 1;
    const pause =
      Math.min(longestPause, shortestPause * 2 ** Math.min(this.#shortLives, 20)) * (0.5 + Math.random() / 2);
    this.#state = "restarting";
    this.#restarts++;
    this.#pause = setTimeout(() => this.#live(), pause);
    this.#events.ended(this.#name, reason, pause);
  }

  /** @returns what the instance answers; undefined when it is not ready, or does not answer within a second. */
  async ask<T extends Topic>(topic: T): Promise<Topics[T] | undefined> {
    if (this.#state !== "ready") return undefined;
    const answer = await this.#questions.ask((id) => this.#say({ type: "ask", id, topic }), answerWithin);
    return answer as Topics[T] | undefined;
  }

  async health(): Promise<InstanceHealth> {
    const own = (state: InstanceState): InstanceHealth => ({
      name: this.#name,
      state,
      connections: 0,
      backplane: "down",
      uptime: Math.floor((performance.now() - this.#began) / 1000),
      restarts: this.#restarts,
    });
    if (this.#state !== "ready") return own(this.#state);
    const told = await this.ask("health");
    if (told !== undefined) return { ...told, restarts: this.#restarts };
    return own(this.#worker === undefined ? "restarting" : "unresponsive");
  }

  /** Ends the instance gracefully, or after `within` milliseconds in any case; there is no further life. */
  stop(within: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#pause);
    const worker = this.#worker;
    if (worker === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const late = setTimeout(() => worker.process.kill("SIGKILL"), within);
      this.#emptied = () => {
        clearTimeout(late);
        resolve();
      };
      if (this.#listening) this.#say({ type: "stop" });
    });
  }

  /** Ends the instance at once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#pause);
    this.#worker?.process.kill("SIGKILL");
  }

  #say(message: ToInstance): void {
    if (this.#worker?.isConnected()) this.#worker.send(message, gone);
  }
}

/** An instance that is ending may be gone already: its `exit` says so, and the message is of no use then. */
function gone(): void {}
