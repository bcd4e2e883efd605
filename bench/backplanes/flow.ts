import type { Wire } from "../measure/connect.ts";
import { MessageCounter } from "../measure/frames.ts";
import type { Sender } from "../measure/sender.ts";

/** Publications under way at most. */
const places = 1024;

/** What a flow tells of what arrives. */
export interface Watcher {
  /** @param latency milliseconds since it was published. */
  arrived(latency: number): void;
  /** This many publications have arrived at all subscribers on all instances. */
  complete(flow: Flow, count: number): void;
}

/** One channel's publisher and its subscribers on all instances: what was published, and when and where it arrives. */
export class Flow {
  readonly #sender: Sender;
  readonly #arrivals = new Uint32Array(places);
  readonly #sentAt = new Float64Array(places);
  #published = 0;
  #complete = 0;

  constructor(sender: Sender, subscribers: readonly Wire[], watcher: Watcher) {
    this.#sender = sender;
    for (const subscriber of subscribers) {
      const counter = new MessageCounter();
      let next = 0;
      subscriber.receive = (chunk, length) => {
        const now = performance.now();
        const before = this.#complete;
        for (let left = counter.take(chunk, length); left > 0; left--) {
          const place = next++ % places;
          watcher.arrived(now - (this.#sentAt[place] ?? 0));
          const have = (this.#arrivals[place] ?? 0) + 1;
          this.#arrivals[place] = have === subscribers.length ? 0 : have;
          if (have === subscribers.length) this.#complete++;
        }
        // Together, as they came: a client that has several to publish writes them at once.
        if (this.#complete > before) watcher.complete(this, this.#complete - before);
      };
    }
  }

  get underWay(): number {
    return this.#published - this.#complete;
  }

  /** False, and nothing is done, when too much is under way. */
  publish(count: number): boolean {
    if (this.underWay + count > places) return false;
    const now = performance.now();
    for (let i = 0; i < count; i++) this.#sentAt[this.#published++ % places] = now;
    this.#sender.send(count);
    return true;
  }
}
