import type { Content } from "../measure/frames.ts";
import type { Period } from "../measure/measurement.ts";
import type { Serving } from "../peers/serving.ts";

/** What the generator is asked to do. */
export interface Load extends Period {
  readonly port: number;
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
  /** Verify payloads instead of measuring. */
  readonly check: boolean;
}
