import type { Refuse, UpgradeRequest } from "@zuruf/websocket";
import { ConnectionRate } from "./connection-rate.ts";
import { originPolicy } from "./origin.ts";
import type { Proxies } from "./proxies.ts";

export interface AdmissionOptions {
  readonly origins: readonly string[];
  readonly connectionRate: number;
  readonly connectionBurst: number;
  readonly maxConnections: number;
}

export interface Admitted {
  readonly address: string;
}

/** Who may open a connection, decided before the WebSocket handshake is answered; one for all paths, so that limits count together. */
export type Admission = (request: UpgradeRequest) => Refuse | Admitted;

/**
 * Refuses with 503 while `closed` gives a reason or the instance is full, 403 a foreign origin, 429 an address that is too fast.
 * @param open how many connections are open now.
 */
export function admission(
  options: AdmissionOptions,
  proxies: Proxies,
  open: () => number,
  closed: () => string | undefined,
): Admission {
  const isAllowed = originPolicy(options.origins, proxies);
  const rate = new ConnectionRate(options.connectionRate, options.connectionBurst, () => performance.now());
  return (request) => {
    const reason = closed();
    if (reason !== undefined) return retry(503, reason, 1);
    if (!isAllowed(request.origin, request))
      return { status: 403, body: `origin ${request.origin} may not connect here\n` };
    const address = proxies.client(request);
    const wait = rate.take(address);
    if (wait > 0) return retry(429, "too many connections from this address", Math.ceil(wait / 1000));
    if (options.maxConnections > 0 && open() >= options.maxConnections) return retry(503, "full", 5);
    return { address };
  };
}

function retry(status: number, reason: string, seconds: number): Refuse {
  return { status, headers: { "retry-after": String(seconds) }, body: `${reason}\n` };
}
