import type { ServiceSettings } from "../config/service-config.ts";
import type { ServerErrorCode } from "../errors.ts";
import type { InstanceHealth } from "../readiness.ts";
import type { Tally } from "./guests.ts";

/** What every instance can be asked, and what it answers. */
export interface Topics {
  readonly health: InstanceHealth;
  /** Prometheus' text. */
  readonly metrics: string;
}
export type Topic = keyof Topics;

/** What the primary process says to an instance. */
export type ToInstance =
  | { readonly type: "start"; readonly settings: ServiceSettings }
  /** Comes with the connection's socket. */
  | { readonly type: "connection" }
  /** No `connection` follows. */
  | { readonly type: "closed" }
  | { readonly type: "stop" }
  | { readonly type: "ask"; readonly id: number; readonly topic: Topic }
  | { readonly type: "answers"; readonly id: number; readonly answers: readonly Topics[Topic][] };

/** What an instance says to the primary process. */
export type ToPrimary =
  | { readonly type: "listening" }
  /** It takes connections from now on, though it may not serve yet. */
  | { readonly type: "open" }
  | ({ readonly type: "tally" } & Tally)
  | { readonly type: "ready" }
  /** It wants no further connections; answered by `closed`. */
  | { readonly type: "closing" }
  | { readonly type: "failed"; readonly code: ServerErrorCode; readonly message: string }
  | { readonly type: "answer"; readonly id: number; readonly answer: Topics[Topic] }
  | { readonly type: "askAll"; readonly id: number; readonly topic: Topic };
