import type { Clock, Timer } from "@zuruf/protocol";

/** Milliseconds that a probe, and the last moments of a silence, may take. */
const patience = 5_000;

/**
 * Keeps both sides sure of each other (docs/protocol.md, `ping`): says "I am alive" after one interval in which nothing was sent,
 * and finds the other side gone after two intervals and 5 s in which nothing was received.
 */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #ping: (answered?: () => void) => void;
  readonly #silent: () => void;
  #sent: number;
  #received: number;
  /** When an unanswered probe gives up; Infinity: no probe. */
  #probeUntil = Number.POSITIVE_INFINITY;
  #probes = 0;
  #timer: Timer;
  #planned = 0;

  /** @param interval milliseconds; 0: no heartbeat. @param ping sends something; with `answered`, something that the other side answers. @param silent is called at most once. */
  constructor(clock: Clock, interval: number, ping: (answered?: () => void) => void, silent: () => void) {
    this.#clock = clock;
    this.#interval = interval > 0 ? interval : Number.POSITIVE_INFINITY;
    this.#ping = ping;
    this.#silent = silent;
    this.#sent = this.#received = clock.now();
    this.#plan();
  }

  sent(): void {
    this.#sent = this.#clock.now();
  }

  received(): void {
    const now = this.#clock.now();
    this.#received = now;
    // It may have been on its way before the other side was gone, as what a sleeping machine finds in its buffers: more time, but no answer.
    if (this.#probeUntil !== Number.POSITIVE_INFINITY) this.#probeUntil = now + patience;
    // Browsers slow the timers of hidden pages down to one a minute, but not messages: what arrives reminds us to be heard.
    if (now - this.#sent >= this.#interval) this.#ping();
  }

  /** Asks the other side whether it is there; it has 5 s to answer, and 5 s more after anything else that it says. */
  probe(): void {
    this.#ask(this.#clock.now());
    this.#plan();
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #plan(): void {
    this.stop();
    const silentAt = Math.min(this.#received + 2 * this.#interval + patience, this.#probeUntil);
    this.#planned = Math.min(this.#sent + this.#interval, silentAt);
    if (this.#planned === Number.POSITIVE_INFINITY) return;
    const wait = Math.max(1, this.#planned - this.#clock.now());
    this.#timer = this.#clock.setTimeout(this.#tick, Math.min(wait, this.#interval));
  }

  #ask(now: number): void {
    this.#probeUntil = now + patience;
    const probe = ++this.#probes;
    this.#ping(() => {
      // Only the latest counts: the answer to one before may have been on its way, too.
      if (probe === this.#probes) this.#probeUntil = Number.POSITIVE_INFINITY;
    });
  }

  readonly #tick = (): void => {
    const now = this.#clock.now();
    // The clock was set back: begin anew, or nothing would be due for as long as that.
    if (now < this.#sent || now < this.#received) this.#sent = this.#received = now;
    const overdue = now >= Math.min(this.#probeUntil, this.#received + 2 * this.#interval + patience);
    const late = now - this.#planned > patience;
    if (overdue && !late) return this.#silent();
    // A timer this late means that we slept or the clock jumped, not that the other side did: ask before judging.
    if (overdue) {
      this.#received = now;
      this.#ask(now);
    } else if (now - this.#sent >= this.#interval) this.#ping();
    this.#plan();
  };
}
