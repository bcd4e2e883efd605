import type { ServiceSettings } from "../config/service-config.ts";
import type { ServerErrorCode } from "../errors.ts";
import type { InstanceHealth } from "../readiness.ts";

/** What every instance can be asked, and what it answers. */
export interface Topics {
  readonly health: InstanceHealth;
  /** Prometheus' text. */
  readonly metrics: string;
}
export type Topic = keyof Topics;

/** What the primary process says to an instance. */
export type ToInstance =
  | { readonly type: "start"; readonly settings: ServiceSettings; readonly bindLast: boolean }
  | { readonly type: "stop" }
  | { readonly type: "ask"; readonly id: number; readonly topic: Topic }
  | { readonly type: "answers"; readonly id: number; readonly answers: readonly Topics[Topic][] };

/** What an instance says to the primary process. */
export type ToPrimary =
  | { readonly type: "listening" }
  | { readonly type: "bound"; readonly port: number }
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "failed"; readonly code: ServerErrorCode; readonly message: string }
  | { readonly type: "answer"; readonly id: number; readonly answer: Topics[Topic] }
  | { readonly type: "askAll"; readonly id: number; readonly topic: Topic };
