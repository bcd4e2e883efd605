import type { InstanceId } from "./backplane.ts";

/** Seconds between two beats. */
export const beatEvery = 5;
/** Seconds of silence after which an instance is in doubt: what it said may be old. */
const doubtAfter = 11;
/** Seconds of silence after which it is gone, as long as the line to the others works. */
export const lease = 15;

/** The other instances, by what was heard of them; time is in the hub's ticks (seconds). */
export class Peers {
  /** This life of this instance. */
  readonly incarnation: string;
  readonly #known = new Map<InstanceId, { incarnation: string; since: number; heard: number }>();

  constructor(incarnation: string) {
    this.incarnation = incarnation;
  }

  /** A sign of life: of somebody new, of another life than before (what was known of it is void), or nothing new. */
  heard(instance: InstanceId, incarnation: string, tick: number): "new" | "replaced" | "known" {
    const known = this.#known.get(instance);
    const same = known?.incarnation === incarnation;
    this.#known.set(instance, { incarnation, since: same ? known.since : tick, heard: tick });
    if (known === undefined) return "new";
    return same ? "known" : "replaced";
  }

  has(instance: InstanceId): boolean {
    return this.#known.has(instance);
  }

  forget(instance: InstanceId): void {
    this.#known.delete(instance);
  }

  live(): InstanceId[] {
    return [...this.#known.keys()];
  }

  /** Those known for longer than a lease and a beat: what an instance last said whose lease is over now, they have heard too. */
  elders(tick: number): InstanceId[] {
    return [...this.#known].filter(([, { since }]) => tick - since > lease + beatEvery).map(([instance]) => instance);
  }

  inDoubt(instance: InstanceId, tick: number): boolean {
    const known = this.#known.get(instance);
    return known === undefined || tick - known.heard > doubtAfter;
  }

  /** Forgets and returns those whose lease is over. */
  expire(tick: number): InstanceId[] {
    const gone = [...this.#known].filter(([, { heard }]) => tick - heard > lease).map(([instance]) => instance);
    for (const instance of gone) this.#known.delete(instance);
    return gone;
  }

  /** The line was broken: silence until now says nothing about the others. */
  renew(tick: number): void {
    for (const peer of this.#known.values()) peer.heard = Math.max(peer.heard, tick);
  }
}
