import type { ServiceSettings } from "../config/service-config.ts";
import type { ServerErrorCode } from "../errors.ts";
import type { InstanceHealth } from "../readiness.ts";

/** What the primary process says to an instance. */
export type ToInstance =
  | { readonly type: "start"; readonly settings: ServiceSettings; readonly bindLast: boolean }
  | { readonly type: "stop" }
  | { readonly type: "askHealth"; readonly id: number }
  | { readonly type: "instances"; readonly id: number; readonly instances: readonly InstanceHealth[] };

/** What an instance says to the primary process. */
export type ToPrimary =
  | { readonly type: "listening" }
  | { readonly type: "bound"; readonly port: number }
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "failed"; readonly code: ServerErrorCode; readonly message: string }
  | { readonly type: "health"; readonly id: number; readonly health: InstanceHealth }
  | { readonly type: "askInstances"; readonly id: number };
