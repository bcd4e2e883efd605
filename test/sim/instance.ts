import { Hub, type ChannelOptions } from "@zuruf/hub";
import { jsonCodec, type Clock } from "@zuruf/protocol";
import type { Broker } from "./broker.ts";
import type { Accept, Link } from "./link.ts";
import { mutated, mutatedClock, type Mutation } from "./mutation.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** One life of one server process: a real hub on virtual time. */
export class Instance {
  readonly name: string;
  readonly hub: Hub;
  readonly #links = new Set<Link>();
  #alive = true;
  /** It was told to end, and takes nobody any more. */
  stopping = false;

  constructor(
    name: string,
    world: World,
    random: Random,
    broker: Broker,
    channels: Readonly<Record<string, ChannelOptions>>,
    mutation: Mutation | undefined,
  ) {
    this.name = name;
    const clock: Clock = {
      now: () => world.now(),
      setTimeout: (run, ms) => world.setTimeout(() => this.#alive && run(), ms),
      clearTimeout: (timer) => void world.clearTimeout(timer),
    };
    const backplane = broker.join();
    this.kill = (told) => {
      this.#alive = false;
      broker.lose(backplane);
      for (const link of this.#links) link.lostInstance(told);
    };
    this.hub = new Hub({
      backplane: mutated(backplane, mutation, world, () => this.#alive),
      instance: name,
      clock: mutatedClock(clock, mutation),
      direct: "anyone",
      random: { bytes: (count) => random.bytes(count) },
      channels,
    });
  }

  /** The process ends without a word. @param told whether its clients' connections are reset, or stay silent. */
  readonly kill: (told: boolean) => void;

  /** The process ends as it should: it says goodbye and sends its clients to others. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.hub.close();
    this.#alive = false;
  }

  get alive(): boolean {
    return this.#alive;
  }

  accepts(link: () => Link): Accept {
    return (transport, protocols) => {
      if (!this.#alive) return undefined;
      const protocol = protocols[0] ?? jsonCodec.name;
      this.#links.add(link());
      return { connection: this.hub.accept(transport, { codec: jsonCodec, address: "127.0.0.1" }), protocol };
    };
  }
}
