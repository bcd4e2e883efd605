import type { Packet, PacketOf, PacketType, ZurufError } from "@zuruf/protocol";

/** The packets that carry an id, without it: the line gives each its own. */
type WithoutId<P> = P extends { id?: number } ? Omit<P, "id"> : never;
export type Request = WithoutId<Packet>;

/** Called once: with the answer, or with what went wrong. Called within the same turn as what follows the answer, so that nothing slips between. */
export type Answered = (answer: Packet | undefined, error: ZurufError | undefined) => void;

/** What the parts of the SDK (presence, direct messages, calls) are built on: packets of one client, over however many connections. */
export interface Line {
  /**
   * Sends a request on this connection or the next one, once.
   * @param expect the answer's packet type. @param timeout milliseconds for all of it.
   * Rejects with what the server said; with `unavailable` when it was never sent; with `unknown` or `timeout` when it was, and no answer came.
   */
  request<T extends PacketType>(request: Request, expect: T, timeout?: number): Promise<PacketOf<T>>;
  /** Sends a packet that has no answer; nothing where there is no connection (who is waiting for it waits no more). */
  notify(packet: Packet): void;
  /** Calls `handler` at each such packet that the server sends by itself. One handler per type: a later one takes its place. */
  handle<T extends PacketType>(type: T, handler: (packet: PacketOf<T>) => void): void;
}
