import { serving, type BackplaneState, type InstanceHealth } from "./readiness.ts";

/** What one instance says of itself, through the phases of its life. */
export class OwnHealth {
  phase: "starting" | "serving" | "draining" = "starting";
  readonly #name: string;
  readonly #began = performance.now();

  constructor(name: string) {
    this.#name = name;
  }

  /** @param status the hub's; undefined before there is one. */
  tell(status: (BackplaneState & { readonly connections: number }) | undefined): InstanceHealth {
    const { phase } = this;
    return {
      name: this.#name,
      state: phase !== "serving" ? phase : status === undefined ? "starting" : serving(status, Date.now()),
      connections: status?.connections ?? 0,
      backplane: status?.backplane ?? "down",
      uptime: Math.floor((performance.now() - this.#began) / 1000),
      restarts: 0,
    };
  }
}
