import type { PacketOf } from "@zuruf/protocol";
import { type AnyChannel, ClientChannel } from "../channel.ts";
import { Emitter, type Listenable } from "../emitter.ts";
import type { Line } from "../line.ts";
import { type Member, memberOf, type Members, nobody, reduceMembers } from "./members.ts";

export interface PresenceEvents {
  /** Who came, went or changed, and the view after it; also when only `stale` changed. One event for all that an interruption changed. */
  change: {
    readonly joined: readonly Member[];
    readonly left: readonly Member[];
    readonly updated: readonly Member[];
    readonly members: readonly Member[];
    readonly stale: boolean;
  };
}

/** How many there are. */
export interface PresenceCount {
  readonly members: number;
  readonly connections: number;
  /** A server instance that had members has not been heard of: the numbers may be old. */
  readonly stale: boolean;
}

/** Who is subscribed to a channel, over all server instances: kept up to date while this client is subscribed too. */
export interface Presence extends Listenable<PresenceEvents> {
  /** The view of now, empty before the first subscription. */
  readonly members: readonly Member[];
  /** The view may be old: this client is not subscribed now, or a server instance has not been heard of. Who is listed may well be there. */
  readonly stale: boolean;
  /** Asks the server who is there, without subscribing. */
  get(): Promise<PresenceCount & { readonly list: readonly Member[] }>;
  /** Asks the server how many are there: cheap also for large channels. */
  count(): Promise<PresenceCount>;
}

const presences = new WeakMap<AnyChannel, ChannelPresence>();
const byLine = new WeakMap<Line, Map<string, ChannelPresence>>();

/** A channel's presence; the same object each time. Best asked for before `subscribe`: later, the subscription is renewed once, without a gap. */
export function presence(channel: AnyChannel): Presence {
  const known = presences.get(channel);
  if (known !== undefined) return known;
  if (!(channel instanceof ClientChannel))
    throw new TypeError("this channel is not of a client that createClient() made");
  const made = new ChannelPresence(channel as ClientChannel<unknown>);
  presences.set(channel, made);
  return made;
}

class ChannelPresence extends Emitter<PresenceEvents> implements Presence {
  readonly #channel: ClientChannel<unknown>;
  #members: Members = nobody;
  #stale = true;

  constructor(channel: ClientChannel<unknown>) {
    super();
    this.#channel = channel;
    const { line, name } = channel;
    let all = byLine.get(line);
    if (all === undefined) {
      const made = new Map<string, ChannelPresence>();
      byLine.set(line, made);
      line.handle("members", (packet) => made.get(packet.channel)?.push(packet));
      all = made;
    }
    all.set(name, this);
    channel.on("state", ({ state }) => {
      if (state !== "subscribed" && !this.#stale) {
        this.#stale = true;
        this.#changed({ joined: [], left: [], updated: [] });
      }
    });
    channel.watch();
  }

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }
  get stale(): boolean {
    return this.#stale;
  }

  async get(): Promise<PresenceCount & { list: readonly Member[] }> {
    const page = await this.#channel.line.request({ type: "presence", channel: this.#channel.name }, "presencePage");
    return { ...countOf(page), list: page.list.map(([id, connections]) => memberOf(id, connections)) };
  }

  async count(): Promise<PresenceCount> {
    const { name, line } = this.#channel;
    return countOf(await line.request({ type: "presence", channel: name, count: true }, "presencePage"));
  }

  push({ changes, snapshot = false, stale = false }: PacketOf<"members">): void {
    // Of an earlier subscription: the newest begins with a snapshot of its own.
    if (this.#channel.state !== "subscribed") return;
    const { members, ...difference } = reduceMembers(this.#members, changes, snapshot);
    const { joined, left, updated } = difference;
    const same = joined.length + left.length + updated.length === 0 && stale === this.#stale;
    this.#members = members;
    this.#stale = stale;
    if (!same) this.#changed(difference);
  }

  #changed(difference: { joined: readonly Member[]; left: readonly Member[]; updated: readonly Member[] }): void {
    this.emit("change", { ...difference, members: this.members, stale: this.#stale });
  }
}

function countOf({ members, connections, stale = false }: PacketOf<"presencePage">): PresenceCount {
  return { members, connections, stale };
}
