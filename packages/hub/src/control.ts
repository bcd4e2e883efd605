import type { InstanceId } from "./backplane.ts";
import { newSecret } from "./client-id.ts";
import { takenBy } from "./connect.ts";
import { decodeControl, encodeControl, type ControlMessage } from "./control-message.ts";
import type { Core } from "./core.ts";
import { describe } from "./errors.ts";
import { Peers } from "./peers.ts";

/** An answer of one instance. */
export interface Reply {
  readonly value: unknown;
  readonly data: Uint8Array;
}
/** What a survey brought: who answered, and who was alive and did not. */
export interface Survey {
  readonly replies: ReadonlyMap<InstanceId, Reply>;
  readonly missing: readonly InstanceId[];
}
/** Answers one kind of question; undefined: no answer. */
export type Answerer = (
  args: unknown,
  data: Uint8Array,
  from: InstanceId,
) => Promise<{ value: unknown; data?: Uint8Array } | undefined>;

interface Question {
  readonly waiting: Set<InstanceId>;
  readonly replies: Map<InstanceId, Reply>;
  readonly done: () => void;
  readonly enough: (reply: Reply) => boolean;
}

/** The line between instances: best effort, in order per sender; whoever needs certainty asks, with a deadline. */
export class Control {
  readonly peers: Peers;
  readonly #core: Core;
  readonly #questions = new Map<number, Question>();
  readonly #answerers = new Map<string, Answerer>();
  #ids = 0;
  #left = false;

  constructor(core: Core) {
    this.#core = core;
    this.peers = new Peers(newSecret(core.random));
  }

  /** To one instance, or to all others. A failure is logged. */
  send(message: ControlMessage, to?: InstanceId, data?: Uint8Array): void {
    this.#core.backplane.control(encodeControl(message, data), to).catch((error: unknown) => {
      this.#core.log("debug", "a control message was not sent", { type: message.type, error: describe(error) });
    });
  }

  /** "I live", to all; not after the goodbye. */
  beat(hello = false): void {
    if (this.#left) return;
    this.send({ type: "beat", incarnation: this.peers.incarnation, ...(hello && { hello }) });
  }

  /** Tells the others that this instance leaves. */
  async bye(): Promise<void> {
    this.#left = true;
    try {
      await this.#core.backplane.control(encodeControl({ type: "bye" }));
    } catch {
      // Then they find out when the lease is over.
    }
  }

  answer(kind: string, answerer: Answerer): void {
    this.#answerers.set(kind, answerer);
  }

  /**
   * Asks one instance, or all that live, and waits for all of them, `timeout` ms, or an answer that is `enough`.
   * Never rejects: who did not answer is `missing`.
   */
  async ask(
    kind: string,
    args: unknown,
    options: {
      readonly timeout: number;
      readonly to?: InstanceId;
      readonly data?: Uint8Array;
      readonly enough?: (reply: Reply) => boolean;
    },
  ): Promise<Survey> {
    const { to, timeout, data, enough = () => false } = options;
    const waiting = new Set(to === undefined ? this.peers.live() : [to]);
    const replies = new Map<InstanceId, Reply>();
    if (waiting.size === 0) return { replies, missing: [] };
    const id = ++this.#ids;
    await new Promise<void>((resolve) => {
      const timer = this.#core.clock.setTimeout(resolve, timeout);
      const done = (): void => {
        this.#core.clock.clearTimeout(timer);
        resolve();
      };
      this.#questions.set(id, { waiting, replies, done, enough });
      this.send({ type: "ask", id, kind, args }, to, data);
    });
    this.#questions.delete(id);
    return { replies, missing: [...waiting] };
  }

  received(from: InstanceId, bytes: Uint8Array): void {
    const decoded = decodeControl(bytes);
    if (decoded === undefined) {
      this.#core.log("warn", "a control message is malformed and was dropped", { from });
      return;
    }
    const { message, data } = decoded;
    switch (message.type) {
      case "taken": {
        const connection = this.#core.connections.client(message.client);
        if (connection !== undefined) takenBy(connection, message.life);
        return;
      }
      case "beat":
        this.#core.presence.heard(from, this.peers.heard(from, message.incarnation, this.#core.ticks));
        if (message.hello === true) this.beat();
        return;
      case "bye":
        this.peers.forget(from);
        this.#core.presence.leaving(from);
        for (const { waiting, done } of this.#questions.values())
          if (waiting.delete(from) && waiting.size === 0) done();
        return;
      case "ask":
        void this.#answer(from, message.id, message.kind, message.args, data);
        return;
      case "reply": {
        const question = this.#questions.get(message.id);
        if (question === undefined || !question.waiting.delete(from)) return;
        const reply = { value: message.value, data };
        question.replies.set(from, reply);
        if (question.waiting.size === 0 || question.enough(reply)) question.done();
        return;
      }
      default:
        // From somebody whose beat was lost, or whose lease is over: without a lease, nothing would ever end what it says.
        // Its next beat makes it known, and what it has is asked for then.
        if (this.peers.has(from)) this.#core.presence.received(from, message);
    }
  }

  async #answer(from: InstanceId, id: number, kind: string, args: unknown, data: Uint8Array): Promise<void> {
    try {
      const answer = await this.#answerers.get(kind)?.(args, data, from);
      if (answer !== undefined) this.send({ type: "reply", id, value: answer.value }, from, answer.data);
    } catch (error) {
      // The one who asked has a deadline.
      this.#core.log("error", "answering another instance failed", { kind, error: describe(error) });
    }
  }
}
