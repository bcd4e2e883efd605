import type { DialectName } from "../measure/dialects.ts";
import type { Broadcasting } from "../measure/fan-out.ts";

/** What the generator is asked to do. */
export interface Load extends Broadcasting {
  readonly port: number;
  readonly dialect: DialectName;
  /** `fanout`: one publishes to all. `ack`: each publishes, and waits for what acknowledges it. `idle`: each is subscribed. */
  readonly kind: "fanout" | "ack" | "idle";
  /** Besides the publisher of a fan-out. */
  readonly connections: number;
  /** Bytes of a publication's text. */
  readonly size: number;
  /** Verify payloads instead of measuring. */
  readonly check: boolean;
}

/** The channel of all tests. */
export const channel = "room:1";
