import type { Channel, Client } from "@zuruf/client";

interface Visitor {
  readonly name: string;
  readonly client: Client;
  readonly channel: Channel;
  /** Whether its line carries anything. */
  readonly reachable: () => boolean;
  /** How often it has left of its own will. */
  departures: number;
}

/** A visitor as it sees itself. */
export interface Visit {
  readonly name: string;
  readonly departures: number;
  /** Its subscription works. */
  readonly there: boolean;
}

/** Who watches a presence channel, and whether in the end all see who is there. */
export class Rooms {
  readonly #visitors: Visitor[] = [];

  add(name: string, client: Client, channel: Channel, reachable: () => boolean): void {
    // Asked for before the first subscription, so that it is watched from the start.
    void channel.presence;
    const visitor = { name, client, channel, reachable, departures: 0 };
    this.#visitors.push(visitor);
    channel.on("state", ({ state }) => {
      if (state === "unsubscribed") visitor.departures++;
    });
  }

  /** Those of one channel, or all. */
  visitors(name?: string): Visit[] {
    return this.#visitors
      .filter(({ channel }) => name === undefined || channel.name === name)
      .map((visitor) => ({
        name: visitor.name,
        departures: visitor.departures,
        there: visitor.channel.state === "subscribed" && visitor.reachable(),
      }));
  }

  /** What is wrong in a world that has been quiet for longer than lease and heartbeat. */
  *faults(): Iterable<string> {
    for (const { name, channel } of this.#visitors) {
      if (channel.state !== "subscribed") continue;
      const { presence } = channel;
      const there = this.#visitors.filter(
        (other) => other.channel.name === channel.name && other.channel.state === "subscribed",
      );
      const expected = there
        .map(({ client }) => client.id ?? "nobody")
        .toSorted()
        .join();
      const seen = presence.members
        .map(({ id }) => id)
        .toSorted()
        .join();
      if (seen !== expected) yield `${name} on ${channel.name}: sees ${seen}, there are ${expected}`;
      if (presence.stale) yield `${name} on ${channel.name}: presence is stale in the end`;
    }
  }
}
