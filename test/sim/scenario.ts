import { createClient, type Channel, type Client } from "@zuruf/client";
import type { ChannelOptions } from "@zuruf/hub";
import { ZurufError } from "@zuruf/protocol";
import { Broker } from "./broker.ts";
import { Checker, type Note } from "./checker.ts";
import { Instance } from "./instance.ts";
import { Link } from "./link.ts";
import { Random } from "./random.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  /** What was broken, with the virtual time; empty: every promise was kept. */
  readonly faults: readonly string[];
  readonly delivered: number;
  readonly acked: number;
  readonly restarts: number;
}

/** Virtual milliseconds of trouble, and then of quiet in which all must heal: several head checks, leases and reconnects. */
const TROUBLE = 60_000;
const QUIET = 90_000;
/** Milliseconds between two things that happen, at most. */
const PACE = 250;

/** One run: a few instances, clients and channels, a seed's worth of publishing and of trouble, then quiet; all on virtual time. */
export async function run(seed: number): Promise<Outcome> {
  const simulation = new Simulation(seed);
  await simulation.start();
  await simulation.trouble();
  await simulation.heal();
  simulation.checker.finish();
  await simulation.stop();
  const { faults, delivered, acked, restarts } = simulation.checker;
  return { seed, faults, delivered, acked, restarts };
}

class Simulation {
  readonly checker: Checker;
  readonly #random: Random;
  readonly #world = new World();
  readonly #broker: Broker;
  readonly #channels: Readonly<Record<string, ChannelOptions>>;
  readonly #instances: (Instance | undefined)[] = [];
  readonly #clients: Actor[] = [];
  #lives = 0;
  #links = new Set<Link>();

  constructor(seed: number) {
    this.#random = new Random(seed);
    const random = this.#random;
    this.#broker = new Broker(this.#world, random.fork(), {
      drop: random.pick([0, 0.05, 0.3]),
      duplicate: random.pick([0, 0.05, 0.3]),
      delay: random.pick([
        [1, 5],
        [1, 50],
        [1, 400],
      ] as const),
      loseAnswer: random.pick([0, 0.02, 0.1]),
    });
    const open = { subscribe: "anyone", publish: "anyone" } as const;
    this.#channels = {
      "long:*": { ...open, history: { size: 10_000, ttl: "1h" } },
      "short:*": { ...open, history: { size: random.between(2, 20), ttl: "1h" } },
    };
    this.checker = new Checker(this.#world, this.#broker);
  }

  async start(): Promise<void> {
    for (let index = this.#random.between(1, 3); index > 0; index--) this.#instances.push(await this.#launch());
    const names = ["long:a", "long:b", "short:a"];
    for (let index = this.#random.between(2, 5); index > 0; index--) {
      const actor = new Actor(`client${index}`, this.#connect(), this.#world, this.#random.fork(), this.checker);
      for (const name of names) if (this.#random.chance(0.7)) actor.join(name);
      this.#clients.push(actor);
    }
    await this.#world.run(1_000);
  }

  async trouble(): Promise<void> {
    const end = this.#world.now() + TROUBLE;
    while (this.#world.now() < end) {
      await this.#world.run(this.#random.between(1, PACE));
      if (this.#random.chance(0.75)) this.#random.pick(this.#clients).act();
      else await this.#disturb();
    }
  }

  async heal(): Promise<void> {
    Object.assign(this.#broker.faults, { drop: 0, duplicate: 0, loseAnswer: 0 });
    this.#broker.recover();
    for (const link of this.#links) link.slowness = 0;
    for (const [index, instance] of this.#instances.entries())
      if (instance === undefined) this.#instances[index] = await this.#launch();
    await this.#world.run(QUIET);
  }

  async stop(): Promise<void> {
    for (const { client } of this.#clients) client.disconnect();
    await this.#world.run(1_000);
  }

  async #disturb(): Promise<void> {
    const random = this.#random;
    const link = random.pick(
      [...this.#links].filter(({ open }) => open).concat(new Link(this.#world, random, undefined, [])),
    );
    const index = random.between(0, this.#instances.length - 1);
    const instance = this.#instances[index];
    const kind = random.between(0, 9);
    if (kind <= 2) link.cut();
    else if (kind === 3) link.silence();
    else if (kind === 4) link.slowness = random.pick([0, 20, 200]);
    else if (kind === 5) this.#broker.save();
    else if (kind === 6) this.#broker.crash(random.chance(0.5));
    else if (kind <= 8) this.#broker.recover();
    else if (instance === undefined) this.#instances[index] = await this.#launch();
    else {
      instance.kill(random.chance(0.7));
      this.#instances[index] = undefined;
    }
  }

  /** A process starts; while the broker is down it tries again, as its supervisor would. */
  async #launch(): Promise<Instance | undefined> {
    const instance = new Instance(`i${++this.#lives}`, this.#world, this.#random.fork(), this.#broker, this.#channels);
    const started = instance.hub.start().then(
      () => true,
      () => false,
    );
    await this.#world.run(1_000);
    if (await Promise.race([started, Promise.resolve(false)])) return instance;
    instance.kill(true);
    return undefined;
  }

  #connect(): (url: string, protocols: string[]) => Link {
    const random = this.#random.fork();
    return (_url, protocols) => {
      const live = this.#instances.filter((instance) => instance?.alive === true);
      const target = live.length === 0 ? undefined : random.pick(live);
      const link: Link = new Link(
        this.#world,
        random.fork(),
        target?.accepts(() => link),
        protocols,
      );
      this.#links.add(link);
      return link;
    };
  }
}

/** One client and what it does of its own accord. */
class Actor {
  readonly client: Client;
  readonly #name: string;
  readonly #random: Random;
  readonly #checker: Checker;
  readonly #channels: Channel<Note>[] = [];
  readonly #turns = new Map<string, number>();

  constructor(
    name: string,
    transport: (url: string, protocols: string[]) => Link,
    world: World,
    random: Random,
    checker: Checker,
  ) {
    this.#name = name;
    this.#random = random;
    this.#checker = checker;
    this.client = createClient("ws://simulation/ws", {
      transport,
      clock: world,
      random: () => random.next(),
      deadline: random.pick([2_000, 30_000]),
    });
  }

  join(name: string): void {
    const channel = this.client.channel<Note>(name);
    this.#channels.push(channel);
    this.#checker.watch(this.#name, channel);
    this.#subscribe(channel);
  }

  act(): void {
    if (this.#channels.length === 0) return;
    const channel = this.#random.pick(this.#channels);
    const kind = this.#random.between(0, 19);
    if (kind === 0) channel.unsubscribe();
    else if (kind <= 2) this.#subscribe(channel);
    else for (let count = this.#random.pick([1, 1, 2, 5]); count > 0; count--) this.#publish(channel);
  }

  #subscribe(channel: Channel<Note>): void {
    if (channel.state !== "unsubscribed") return;
    channel.subscribe().catch((error: unknown) => {
      if (!(error instanceof ZurufError)) this.#checker.fault(`${this.#name}: subscribe threw ${String(error)}`);
    });
  }

  #publish(channel: Channel<Note>): void {
    const turn = (this.#turns.get(channel.name) ?? 0) + 1;
    this.#turns.set(channel.name, turn);
    const note: Note = { id: `${this.#name}/${channel.name}/${turn}`, publisher: this.#name, turn };
    channel.publish(note).then(
      ({ position }) => this.#checker.published(note, position),
      (error: unknown) => {
        if (error instanceof ZurufError) this.#checker.refused(note, error.code);
        else this.#checker.fault(`${this.#name}: publish threw ${String(error)}`);
      },
    );
  }
}
