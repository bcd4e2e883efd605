import { isIPv6 } from "node:net";

/** Addresses remembered at most; beyond it the longest unseen are forgotten, which only ever allows more. */
const most = 50_000;

/**
 * How fast one address may open connections: a leaky bucket per IPv4 address or IPv6 /64 network (one customer's share
 * of it), kept as a single number each: the time at which the address is as good as new (GCRA, ITU-T I.371 annex A).
 */
export class ConnectionRate {
  readonly #interval: number;
  readonly #allowance: number;
  readonly #now: () => number;
  readonly #clearAt = new Map<string, number>();

  /** @param rate connections per second; 0: no limit. @param burst connections at once, ≥ 1. @param now milliseconds. */
  constructor(rate: number, burst: number, now: () => number) {
    this.#interval = rate === 0 ? 0 : 1000 / rate;
    this.#allowance = this.#interval * (burst - 1);
    this.#now = now;
  }

  /** Counts one connection. @returns 0 if it may be opened, else the milliseconds to wait. */
  take(address: string): number {
    if (this.#interval === 0) return 0;
    const now = this.#now();
    const key = networkOf(address);
    const clearAt = Math.max(now, this.#clearAt.get(key) ?? 0);
    const wait = clearAt - now - this.#allowance;
    if (wait > 0) return wait;
    this.#clearAt.delete(key); // to the end of the order, so that the first are the longest unseen
    this.#clearAt.set(key, clearAt + this.#interval);
    this.#forget(now);
    return 0;
  }

  #forget(now: number): void {
    for (const [key, clearAt] of this.#clearAt) {
      if (clearAt > now && this.#clearAt.size <= most) return;
      this.#clearAt.delete(key);
    }
  }
}

/** An IPv4 address as it is; of an IPv6 address the first 64 bits. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::", 2);
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? [] : tail.split(":");
    while (groups.length + after.length < 8) groups.push("0");
    groups.push(...after);
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}
