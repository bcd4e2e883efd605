import { type Clock, type Timer, ZurufError } from "@zuruf/protocol";
import { after, type Backoff } from "./ending.ts";
import type { Line } from "./line.ts";

/** Milliseconds before the end at which the session is refreshed, or a fifth of its life, whichever is shorter. */
const lead = 30_000;

/** Keeps a session from expiring: a new token before the end, on the same connection. */
export class Refresh {
  readonly #clock: Clock;
  readonly #line: Line;
  readonly #token: () => string | Promise<string>;
  readonly #backoff: Backoff;
  readonly #failed: (error: ZurufError) => void;
  #timer: Timer;

  constructor(
    clock: Clock,
    line: Line,
    token: () => string | Promise<string>,
    backoff: Backoff,
    failed: (error: ZurufError) => void,
  ) {
    this.#clock = clock;
    this.#line = line;
    this.#token = token;
    this.#backoff = backoff;
    this.#failed = failed;
  }

  /** @param expires milliseconds from now; undefined: never. */
  plan(expires: number | undefined): void {
    this.stop();
    if (expires === undefined) return;
    this.#timer = after(this.#clock, expires - Math.min(lead, expires / 5), () => void this.#refresh());
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #refresh(): Promise<void> {
    const timer = this.#timer;
    // What was stopped or planned anew in the meantime is not touched.
    const current = (): boolean => this.#timer === timer;
    try {
      const token = await this.#token();
      if (!current()) return;
      const { expires } = await this.#line.request({ type: "refresh", token }, "refreshed");
      if (!current()) return;
      this.#backoff.reset();
      this.plan(expires);
    } catch (cause) {
      if (!current()) return;
      const error =
        cause instanceof ZurufError ? cause : new ZurufError("unavailable", "the token could not be had", { cause });
      // Not retryable: the server ends the session when it expires, and a new connection asks for a new token.
      if (error.retryable)
        this.#timer = this.#clock.setTimeout(() => void this.#refresh(), error.retryAfter + this.#backoff.next());
      this.#failed(error);
    }
  }
}
