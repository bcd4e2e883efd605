import {
  BackplaneError,
  type Backplane,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Position,
  type PublishOptions,
} from "@zuruf/hub";
import { readAnnouncement, writeAnnouncement } from "@zuruf/hub/store";

export interface Parts {
  /** Announces, and carries control messages. Its own history, if it has one, is not used. */
  readonly relay: Backplane;
  /** Keeps the logs. Nobody subscribes there. */
  readonly store: Backplane;
}

export class ComposedBackplane implements Backplane {
  readonly can: Backplane["can"];
  readonly #relay: Backplane;
  readonly #store: Backplane;
  /** Why each part is down; absent: it is up, and not yet said to be: it is starting. */
  readonly #states = { relay: "it is starting", store: "it is starting" };
  #sink: BackplaneSink | undefined;
  #up = false;

  constructor({ relay, store }: Parts) {
    if (!store.can.history)
      throw new BackplaneError("unusable", "compose: the store keeps no history: give it one that does");
    this.can = store.can;
    this.#relay = relay;
    this.#store = store;
  }

  async start(instance: InstanceId, sink: BackplaneSink): Promise<void> {
    this.#sink = sink;
    await this.#store.start(instance, {
      publication: () => undefined,
      control: () => undefined,
      suspect: (channels) => sink.suspect(channels),
      up: () => this.#is("store", ""),
      down: (reason, silentFor) => this.#is("store", reason, silentFor),
    });
    try {
      await this.#relay.start(instance, {
        publication: (channel, { data }) => {
          const item = readAnnouncement(data);
          // Somebody else's message, or a newer version's: whatever it was about, the store knows.
          // And where offsets have holes, only the store knows what came before it.
          if (item === undefined || (item.offset > 0 && !this.can.contiguous)) sink.suspect([channel]);
          else sink.publication(channel, item);
        },
        control: (from, message) => sink.control(from, message),
        suspect: (channels) => sink.suspect(channels),
        up: () => this.#is("relay", ""),
        down: (reason, silentFor) => this.#is("relay", reason, silentFor),
      });
    } catch (error) {
      await this.#store.close();
      throw error;
    }
  }

  /** Up when both are; every change of one that does not change the whole is kept to itself. */
  #is(part: "relay" | "store", reason: string, silentFor?: number): void {
    this.#states[part] = reason;
    const down = this.#states.relay || this.#states.store;
    if (down === "" && !this.#up) {
      this.#up = true;
      this.#sink?.up();
    } else if (down !== "" && this.#up) {
      this.#up = false;
      this.#sink?.down(down, silentFor);
    }
  }

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#relay.subscribe(channels);
  }
  unsubscribe(channels: readonly string[]): Promise<void> {
    return this.#relay.unsubscribe(channels);
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    if (options.retention === undefined) {
      await this.#relay.publish(channel, writeAnnouncement(undefined, data), options);
      return undefined;
    }
    const position = await this.#store.publish(channel, data, options);
    // A repeat is announced once more, for the first announcement may be what failed; doubles are dropped by their offset.
    this.#relay.publish(channel, writeAnnouncement(position, data), {}).catch(() => {
      // It is stored, which is what was promised. Here it is looked for at once; elsewhere the head check finds it.
      this.#sink?.suspect([channel]);
    });
    return position;
  }

  heads(channels: readonly string[]): Promise<Map<string, Position>> {
    return this.#store.heads(channels);
  }
  history(channel: string, range: Parameters<Backplane["history"]>[1]): Promise<HistoryPage> {
    return this.#store.history(channel, range);
  }
  control(message: Uint8Array, to?: InstanceId): Promise<void> {
    return this.#relay.control(message, to);
  }

  async close(): Promise<void> {
    await this.#relay.close();
    await this.#store.close();
  }
}
