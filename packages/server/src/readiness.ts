/** How long a broker may be away before the instance says that it is not ready, in milliseconds. */
const patience = 5000;

/**
 * What an instance says of itself. `degraded`: it serves, but its broker has been unreachable or deaf for 5 s.
 * `restarting` and `unresponsive` are what the primary process says of an instance that cannot speak.
 */
export type InstanceState = "starting" | "ready" | "degraded" | "draining" | "restarting" | "unresponsive";

/** One instance in the answers of `/healthz` and `/readyz`. */
export interface InstanceHealth {
  readonly name: string;
  readonly state: InstanceState;
  readonly connections: number;
  readonly backplane: "up" | "down";
  /** Seconds since this life of the instance began. */
  readonly uptime: number;
  /** How often the instance was started again after it ended by itself. */
  readonly restarts: number;
}

/** The part of a hub's status that readiness depends on. */
export interface BackplaneState {
  readonly backplane: "up" | "down";
  /** Since when, milliseconds since 1970. */
  readonly since: number;
}

export function serving({ backplane, since }: BackplaneState, now: number): "ready" | "degraded" {
  return backplane === "down" && now - since >= patience ? "degraded" : "ready";
}

export interface Readiness {
  readonly status: number;
  readonly state: InstanceState;
}

/**
 * What `/readyz` answers for all instances behind one port, since a load balancer cannot choose between them: the worst of those that take
 * connections; an instance that starts again takes none meanwhile. @param allowDegraded 200 for `degraded`.
 */
export function readiness(instances: readonly InstanceHealth[], allowDegraded: boolean): Readiness {
  const states = new Set(instances.map(({ state }) => state));
  const worst =
    (["draining", "unresponsive", "degraded", "ready"] as const).find((state) => states.has(state)) ?? "starting";
  return { state: worst, status: worst === "ready" || (worst === "degraded" && allowDegraded) ? 200 : 503 };
}
