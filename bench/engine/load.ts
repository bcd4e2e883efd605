import type { Serving } from "../peers/serving.ts";
import type { Content } from "./frames.ts";

/** What the generator is asked to do. */
export interface Load {
  readonly port: number;
  readonly serverPid: number;
  readonly kind: "echo" | "fanout" | "handshakes" | "idle";
  readonly connections: number;
  /** Messages under way: per connection when echoing, published when fanning out. At most half of the ring. */
  readonly inFlight: number;
  /** Fan-out: publish the next `inFlight` messages only when all of the previous ones have arrived everywhere. */
  readonly bursts: boolean;
  readonly content: Content;
  /** Bytes per message. */
  readonly size: number;
  readonly compression: Serving["compression"];
  /** Seconds before measuring begins. */
  readonly warmUp: number;
  readonly seconds: number;
  /** Verify payloads instead of measuring. */
  readonly check: boolean;
}

export interface Measured {
  /** Messages that arrived (fan-out: at all subscribers together), or handshakes done. */
  readonly count: number;
  readonly seconds: number;
  readonly serverCpu: number;
  readonly generatorCpu: number;
  /** CPU seconds that neither of the two used: what disturbed the measurement. */
  readonly othersCpu: number;
  /** Milliseconds from sending to the answer; only where one message is under way per connection. */
  readonly p50?: number;
  readonly p99?: number;
}
