import { type Clock, type Timer, whenToReturn, ZurufError } from "@zuruf/protocol";

/** How a connection, or the attempt at one, ended; and what that means for the next. */
export interface Ending {
  /** The WebSocket close code; 1006 when the connection was lost, never came to be, or was given up by this side. */
  readonly code: number;
  /** One word, or the server's sentence. */
  readonly reason: string;
  readonly returns: ReturnType<typeof whenToReturn>;
  /** The least delay before the next attempt, milliseconds. */
  readonly retryAfter: number;
  readonly error?: ZurufError;
}

const day = 86_400_000;

/** What a received close code and reason mean (docs/protocol.md, close codes): the range decides, `word retryAfter=MS` gives the least delay, at most a day. */
export function endingOfClose(code: number, text: string): Ending {
  const advice = /^(.*?) ?\bretryAfter=(\d{1,12})$/.exec(text);
  return {
    code,
    reason: (advice?.[1] ?? text) || "lost",
    returns: whenToReturn(code),
    retryAfter: Math.min(Number(advice?.[2] ?? 0), day),
  };
}

/** This side gave up for a reason of its own. Whether it returns is the error's to say. */
export function endingOfError(reason: string, error: ZurufError): Ending {
  return { code: 1006, reason, returns: error.retryable ? "later" : "never", retryAfter: error.retryAfter, error };
}

/** Delays between attempts, with full jitter from the first on: a thousand clients that lost one server do not come back at one moment. */
export class Backoff {
  readonly #random: () => number;
  readonly #bounds: BackoffBounds;
  #failures = 0;

  constructor(random: () => number, bounds: BackoffBounds) {
    this.#random = random;
    this.#bounds = bounds;
  }

  /** Milliseconds: anything from 0 to a ceiling that doubles with each failure. */
  next(): number {
    const ceiling = Math.min(this.#bounds.max, this.#bounds.min * 2 ** this.#failures);
    this.#failures += 1;
    return Math.floor(this.#random() * ceiling);
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** Milliseconds. */
export interface BackoffBounds {
  /** The first delay's ceiling. */
  readonly min: number;
  /** Every delay's ceiling. */
  readonly max: number;
}

/** The longest delay timers take; longer ones would fire at once. */
const longest = 2 ** 31 - 1;

/** A timer for `ms`, none for Infinity. */
export function after(clock: Clock, ms: number, run: () => void): Timer {
  if (ms === Number.POSITIVE_INFINITY) return undefined;
  return clock.setTimeout(run, Math.min(Math.max(0, ms), longest));
}
