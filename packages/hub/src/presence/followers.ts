import type { InstanceId } from "../backplane.ts";

/** Which channels the other instances follow. */
export class Followers {
  readonly #channels = new Map<InstanceId, Set<string>>();

  of(peer: InstanceId): ReadonlySet<string> {
    return this.#channels.get(peer) ?? none;
  }

  add(peer: InstanceId, channels: Iterable<string>): void {
    const followed = this.#channels.get(peer) ?? new Set();
    for (const channel of channels) followed.add(channel);
    this.#channels.set(peer, followed);
  }

  remove(peer: InstanceId, channels: Iterable<string>): void {
    const followed = this.#channels.get(peer);
    for (const channel of channels) followed?.delete(channel);
  }

  /** What an instance has followed until now. */
  forget(peer: InstanceId): ReadonlySet<string> {
    const followed = this.of(peer);
    this.#channels.delete(peer);
    return followed;
  }

  *peers(channel: string): Iterable<InstanceId> {
    for (const [peer, followed] of this.#channels) if (followed.has(channel)) yield peer;
  }

  has(channel: string): boolean {
    for (const followed of this.#channels.values()) if (followed.has(channel)) return true;
    return false;
  }
}

const none: ReadonlySet<string> = new Set();
