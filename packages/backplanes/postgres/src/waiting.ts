import { BackplaneError, type Line, type Position, type PublishOptions, type Retention } from "@zuruf/hub";
import type { Expiring } from "@zuruf/hub/store";

/** Whoever made it: hears once that it is over, before anybody else does. */
export interface Waited {
  /** Milliseconds that it had. */
  readonly deadline: number;
  over(waiting: Waiting): void;
}

/** A publication until it is over: stored, or failed. What becomes of it after that is nobody's. */
export class Waiting implements Expiring {
  readonly channel: string;
  readonly data: Uint8Array;
  /** Undefined: announce only. */
  readonly retention: Retention | undefined;
  readonly key: string | undefined;
  readonly settled: Promise<Position | undefined>;
  /** It may be stored, whatever is heard of it. */
  sent = false;
  readonly #waited: Waited;
  /** Of all that take part in it: none of these may go on when it fails. */
  readonly #lines: Line[] = [];
  #over = false;
  #resolve: (position: Position | undefined) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(waited: Waited, channel: string, data: Uint8Array, { retention, key, line }: PublishOptions) {
    this.#waited = waited;
    this.channel = channel;
    this.data = data;
    this.retention = retention;
    this.key = key;
    this.join(line);
    this.settled = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** One that it takes along failed before: this one must not be stored any more. */
  get barred(): boolean {
    return this.#lines.some(({ failed }) => failed);
  }

  /** The publication of this line is a repeat of this one. */
  join(line: Line | undefined): void {
    if (line !== undefined) this.#lines.push(line);
  }

  store(position: Position | undefined): void {
    if (this.#end()) this.#resolve(position);
  }

  fail(code: "notStored" | "unknown", message: string, cause?: unknown): void {
    if (this.#over) return;
    // Marked before anybody hears of it.
    for (const line of this.#lines) line.failed = true;
    this.#end();
    this.#reject(new BackplaneError(code, message, cause));
  }

  expire(): void {
    this.fail(this.sent ? "unknown" : "notStored", `PostgreSQL did not answer within ${this.#waited.deadline} ms`);
  }

  /** False when it was over before. */
  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#waited.over(this);
    return true;
  }
}
