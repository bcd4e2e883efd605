import type { DialectName } from "../measure/dialects.ts";
import type { Period } from "../measure/measurement.ts";

/** What the generator is asked to do. */
export interface Load extends Period {
  /** One per instance. */
  readonly ports: readonly number[];
  readonly dialect: DialectName;
  /** `publish`: as fast as it goes, then at half that rate. `idle`: opens the channels and does nothing. */
  readonly kind: "publish" | "idle";
  /** Each has one publisher, on the instances in turn. */
  readonly channels: number;
  /** Per channel and instance. */
  readonly subscribers: number;
  /** Publications per channel that have not arrived everywhere. */
  readonly inFlight: number;
  /** Bytes of a publication's text. */
  readonly size: number;
  /** Whether publications must arrive in their order; else all of them, in any. */
  readonly ordered: boolean;
  /** Verify payloads instead of measuring. */
  readonly check: boolean;
}

export const channelName = (number: number): string => `room:${number}`;
