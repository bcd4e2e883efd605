/** Milliseconds between canaries, and how long one may take: together below the 5 s within which a deaf connection must be found. */
const canaryEvery = 1000;
const canaryWithin = 2500;
/** Looks in a row at which nothing had come back. Two: when the process itself stood still, what came meanwhile is read between them. */
const mostMissed = 2;

/** Sends something to itself through the broker, again and again, and says when it does not come back: connected is not yet hearing. */
export class Canary {
  readonly #send: (mark: string) => Promise<unknown>;
  readonly #silent: (reason: string, silentFor: number) => void;
  #sent = 0;
  #heard = 0;
  #seen = 0;
  #missed = 0;
  #lastSign = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param send publishes the mark to whatever ends in `heard`. @param silent is called once, with the milliseconds since the last sign of life. */
  constructor(send: (mark: string) => Promise<unknown>, silent: (reason: string, silentFor: number) => void) {
    this.#send = send;
    this.#silent = silent;
  }

  start(): void {
    this.#lastSign = performance.now();
    this.#tick();
  }
  heard(mark: string): void {
    const number = Number(mark);
    if (number <= this.#sent) this.#heard = Math.max(this.#heard, number);
  }
  stop(): void {
    clearTimeout(this.#timer);
  }

  readonly #tick = (): void => {
    const now = performance.now();
    if (this.#heard > this.#seen || this.#sent === 0) {
      this.#seen = this.#heard;
      this.#missed = 0;
      this.#lastSign = now;
    } else if (++this.#missed >= mostMissed && now - this.#lastSign > canaryWithin) {
      const silentFor = Math.round(now - this.#lastSign);
      this.#silent(`it delivered nothing for ${silentFor} ms`, silentFor);
      return;
    }
    this.#sent++;
    this.#timer = setTimeout(this.#tick, canaryEvery);
    // The answer itself is not looked at: a canary that was not sent is not heard either.
    this.#send(`${this.#sent}`).catch(() => undefined);
  };
}
