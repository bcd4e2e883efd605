import type { Wire } from "./connect.ts";
import { MessageCounter } from "./frames.ts";
import { type Measured, Measurement, type Period } from "./measurement.ts";
import type { Sender } from "./sender.ts";

/** How messages are published. */
export interface Broadcasting extends Period {
  /** Messages that are published and have not arrived everywhere. At most half of the sender's ring. */
  readonly inFlight: number;
  /** The next `inFlight` messages are published only when all of the previous ones have arrived everywhere. */
  readonly bursts: boolean;
}

/** Publishes with one sender, and counts what arrives at all subscribers together. */
export function fanOut(load: Broadcasting, subscribers: readonly Wire[], sender: Sender): Promise<Measured> {
  const measurement = new Measurement(load);
  // How many subscribers have message k; only `inFlight` messages are ever incomplete.
  const arrivals = new Uint32Array(load.inFlight);
  let incomplete = 0;
  const publish = (count: number): void => {
    incomplete += count;
    sender.send(count);
  };
  for (const subscriber of subscribers) {
    const counter = new MessageCounter();
    let next = 0;
    subscriber.receive = (chunk, length) => {
      const arrived = counter.take(chunk, length);
      measurement.count += arrived;
      let complete = 0;
      for (let i = 0; i < arrived; i++) {
        const have = (arrivals[next] ?? 0) + 1;
        arrivals[next] = have === subscribers.length ? 0 : have;
        if (have === subscribers.length) complete++;
        next = (next + 1) % load.inFlight;
      }
      if (complete === 0) return;
      incomplete -= complete;
      if (!load.bursts) publish(complete);
      else if (incomplete === 0) publish(load.inFlight);
    };
  }
  publish(load.inFlight);
  return measurement.run();
}
