/** Milliseconds between canaries, and how long one may take: together below the 5 s within which a deaf connection must be found. */
const canaryEvery = 1000;
const canaryWithin = 2500;

/** Sends something to itself through the broker, again and again, and says when it does not come back: connected is not yet hearing. */
export class Canary {
  readonly #send: (mark: string) => Promise<unknown>;
  readonly #silent: (reason: string, silentFor: number) => void;
  #sent = 0;
  #heard = 0;
  #due = 0;
  #waitingSince = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param send publishes the mark to whatever ends in `heard`. @param silent is called once, with the milliseconds since the last sign of life. */
  constructor(send: (mark: string) => Promise<unknown>, silent: (reason: string, silentFor: number) => void) {
    this.#send = send;
    this.#silent = silent;
  }

  start(): void {
    this.#waitingSince = performance.now();
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
    // Time in which this process itself stood still proves nothing against the broker: its answer may wait to be read.
    if (this.#due !== 0) this.#waitingSince = Math.min(now, this.#waitingSince + Math.max(0, now - this.#due));
    if (this.#heard === this.#sent) this.#waitingSince = now;
    else if (now - this.#waitingSince > canaryWithin) {
      const silentFor = Math.round(now - this.#waitingSince);
      this.#silent(`it delivered nothing for ${silentFor} ms`, silentFor);
      return;
    }
    this.#sent++;
    this.#due = now + canaryEvery;
    this.#timer = setTimeout(this.#tick, canaryEvery);
    // The answer itself is not looked at: a canary that was not sent is not heard either.
    this.#send(`${this.#sent}`).catch(() => undefined);
  };
}
