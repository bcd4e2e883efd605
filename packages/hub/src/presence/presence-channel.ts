import type { Codec, Member } from "@zuruf/protocol";
import type { InstanceId } from "../backplane.ts";
import type { Connection } from "../connection.ts";
import type { Entry } from "../control-message.ts";
import { SharedMessages } from "../transport.ts";
import { PresenceView } from "./view.ts";

/** One channel's presence on this instance: the merged view, what it is made of, and who watches it. */
export class PresenceChannel {
  readonly name: string;
  readonly view: PresenceView = new PresenceView();
  /** Subscriptions here, lingering connections, and questions that need the view. */
  users = 0;
  idleTicks = 0;
  /** Version of this instance's own entries; 0: it has none. */
  version = 0;
  /** Versions of the others' entries. */
  readonly versions: Map<InstanceId, number> = new Map();
  /** Entries of others whose rest is still on its way. */
  readonly parts: Map<InstanceId, readonly Entry[]> = new Map();
  /** Instances that have not said yet what they have. */
  readonly awaiting: Set<InstanceId> = new Set();
  /** Resolves when all have, or it took too long. */
  ready: Promise<void> = Promise.resolve();
  settle: () => void = () => undefined;
  /** The connection that a client is here with; while it lingers, the timer that ends it. */
  readonly local: Map<string, { readonly connection: Connection; linger: unknown }> = new Map();
  readonly watchers: Set<Connection> = new Set();
  /** Members that changed since the last push. */
  readonly dirty: Set<string> = new Set();
  flushing = false;
  stale = false;
  occupied = false;

  constructor(name: string) {
    this.name = name;
  }

  touched(members: readonly string[]): void {
    for (const member of members) this.dirty.add(member);
  }

  push(changes: readonly Member[]): void {
    const messages = new Map<Codec, SharedMessages>();
    for (const connection of this.watchers) {
      const { codec } = connection;
      let message = messages.get(codec);
      if (message === undefined) {
        message = new SharedMessages(
          codec.encode({ type: "members", channel: this.name, ...(this.stale && { stale: true }), changes }),
        );
        messages.set(codec, message);
      }
      connection.sendShared(message);
    }
  }
}
