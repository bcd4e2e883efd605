import { createClient, type Channel, type Client } from "@zuruf/client";
import type { ChannelOptions } from "@zuruf/hub";
import { ZurufError } from "@zuruf/protocol";
import { Broker } from "./broker.ts";
import { Checker, type Note } from "./checker.ts";
import { Instance } from "./instance.ts";
import { Link } from "./link.ts";
import { Letters } from "./letters.ts";
import type { Mutation } from "./mutation.ts";
import { Occupancy } from "./occupancy.ts";
import { Random } from "./random.ts";
import { Rooms } from "./rooms.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  /** What was broken, with the virtual time; empty: every promise was kept. */
  readonly faults: readonly string[];
  readonly delivered: number;
  readonly acked: number;
  readonly restarts: number;
  /** Direct messages by what became of them. */
  readonly receipts: Readonly<Record<string, number>>;
  /** Calls of `onVacated`. */
  readonly vacated: number;
}

/** Virtual milliseconds of trouble, and then of quiet in which all must heal: several head checks, leases and reconnects. */
const TROUBLE = 60_000;
const QUIET = 90_000;
/** Milliseconds between two things that happen, at most. */
const PACE = 250;

/** One run: a few instances, clients and channels, a seed's worth of publishing and of trouble, then quiet; all on virtual time. */
export async function run(seed: number, mutation?: Mutation): Promise<Outcome> {
  const simulation = new Simulation(seed, mutation);
  await simulation.start();
  await simulation.trouble();
  await simulation.heal();
  simulation.checker.finish();
  for (const fault of simulation.rooms.faults()) simulation.checker.fault(fault);
  for (const fault of simulation.occupancy?.faults() ?? []) simulation.checker.fault(fault);
  const { delivered, acked, restarts } = simulation.checker;
  const faults = [...simulation.checker.faults];
  await simulation.stop();
  return {
    seed,
    faults,
    delivered,
    acked,
    restarts,
    receipts: simulation.letters.receipts,
    vacated: simulation.occupancy?.vacated ?? 0,
  };
}

class Simulation {
  readonly checker: Checker;
  readonly letters: Letters;
  readonly rooms: Rooms = new Rooms();
  /** Where nothing is lost between instances: whose lease ends there is gone. */
  readonly occupancy: Occupancy | undefined;
  readonly #mutation: Mutation | undefined;
  readonly #random: Random;
  readonly #world = new World();
  readonly #broker: Broker;
  readonly #channels: Readonly<Record<string, ChannelOptions>>;
  readonly #instances: (Instance | undefined)[] = [];
  readonly #clients: Actor[] = [];
  #lives = 0;
  #links = new Set<Link>();

  constructor(seed: number, mutation: Mutation | undefined) {
    this.#mutation = mutation;
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
      refuse: random.pick([0, 0, 0.05]),
      gathers: random.chance(0.5),
    });
    const open = { subscribe: "anyone", publish: "anyone" } as const;
    this.#channels = {
      "long:*": { ...open, history: { size: 10_000, ttl: "1h" } },
      "room:*": { ...open, presence: true },
      "short:*": { ...open, history: { size: random.between(2, 20), ttl: "1h" } },
    };
    this.checker = new Checker(this.#world, this.#broker);
    const reliable = this.#broker.faults.drop === 0;
    this.letters = new Letters(
      (what) => this.checker.fault(what),
      (client) => this.#whereIs(client),
      reliable,
    );
    if (reliable)
      this.occupancy = new Occupancy(
        this.#world,
        this.rooms,
        (what) => this.checker.fault(what),
        () => this.#broker.upSince,
      );
  }

  async #whereIs(client: string): Promise<string | undefined> {
    for (const instance of this.#instances) {
      if (instance?.alive !== true) continue;
      const page = await instance.hub.connections({ limit: 1000 });
      if (page?.items.some((connection) => connection.client === client) === true) return instance.name;
    }
    return undefined;
  }

  async start(): Promise<void> {
    for (let index = this.#random.between(1, 3); index > 0; index--) this.#instances.push(await this.#launch());
    const names = ["long:a", "long:b", "short:a"];
    for (let index = this.#random.between(2, 5); index > 0; index--) {
      const actor = new Actor(`client${index}`, this.#connect(), this.#world, this.#random.fork(), this.checker);
      for (const name of names) if (this.#random.chance(0.7)) actor.join(name);
      if (this.#random.chance(0.8)) actor.visit(this.#random.pick(["room:a", "room:a", "room:b"]), this.rooms);
      this.letters.add(actor.name, actor.client);
      this.#clients.push(actor);
    }
    await this.#world.run(1_000);
  }

  async trouble(): Promise<void> {
    const end = this.#world.now() + TROUBLE;
    while (this.#world.now() < end) {
      await this.#world.run(this.#random.between(1, PACE));
      if (this.#random.chance(0.15))
        this.letters.send(this.#random.pick(this.#clients).name, this.#random.pick(this.#clients).name);
      else if (this.#random.chance(0.75)) this.#random.pick(this.#clients).act();
      else await this.#disturb();
    }
  }

  async heal(): Promise<void> {
    const { faults } = this.#broker;
    this.#broker.recover();
    for (const link of this.#links) link.slowness = 0;
    for (const [index, instance] of this.#instances.entries())
      if (instance === undefined) this.#instances[index] = await this.#launch();
    // Spread over all instances again, so that what is said has somewhere to be missed.
    for (const link of this.#links) if (link.open) link.cut();
    await this.#world.run(20_000);
    await (this.#random.chance(0.5) ? this.#deploy() : this.#lose());
    await this.#world.run(20_000);
    // The last that is said is heard by nobody, and nothing follows that would show it: only checks can.
    Object.assign(faults, { drop: 1, duplicate: 0, loseAnswer: 0, refuse: 0 });
    for (const actor of this.#clients) actor.lastWords();
    await this.#world.run(2_000);
    faults.drop = 0;
    await this.#world.run(QUIET);
    this.letters.calm = true;
    this.letters.sendAll();
    await this.#world.run(10_000);
  }

  /** Every instance is replaced by another, one soon after the other, while some leave their rooms. */
  async #deploy(): Promise<void> {
    for (const [index, instance] of this.#instances.entries()) {
      this.#instances[index] = await this.#launch();
      void instance?.stop();
      for (const actor of this.#clients) if (this.#random.chance(0.3)) actor.leaveRoom();
      await this.#world.run(this.#random.between(200, 4_000));
    }
  }

  /** One of the instances dies, and some of those who were in a room do not come back to it. */
  async #lose(): Promise<void> {
    const index = this.#random.between(0, this.#instances.length - 1);
    this.#instances[index]?.kill(true);
    for (const actor of this.#clients) if (this.#random.chance(0.5)) actor.leaveRoom();
    await this.#world.run(1_000);
    this.#instances[index] = await this.#launch();
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
    const kind = random.between(0, 10);
    if (kind <= 2) link.cut();
    else if (kind === 3) link.silence();
    else if (kind === 4) link.slowness = random.pick([0, 20, 200]);
    else if (kind === 5) this.#broker.save();
    else if (kind === 6) this.#broker.crash(random.chance(0.5));
    else if (kind <= 8) this.#broker.recover();
    else if (instance === undefined) this.#instances[index] = await this.#launch();
    else {
      if (kind === 9) instance.kill(random.chance(0.7));
      else void instance.stop();
      this.#instances[index] = undefined;
    }
  }

  /** A process starts; while the broker is down it tries again, as its supervisor would. */
  async #launch(): Promise<Instance | undefined> {
    const instance = new Instance(
      `i${++this.#lives}`,
      this.#world,
      this.#random.fork(),
      this.#broker,
      this.#channels,
      this.#mutation,
    );
    this.occupancy?.follow(instance);
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
  readonly name: string;
  readonly #random: Random;
  readonly #checker: Checker;
  readonly #channels: Channel<Note>[] = [];
  #room: Channel | undefined;
  #link: Link | undefined;
  readonly #turns = new Map<string, number>();

  constructor(
    name: string,
    transport: (url: string, protocols: string[]) => Link,
    world: World,
    random: Random,
    checker: Checker,
  ) {
    this.name = name;
    this.#random = random;
    this.#checker = checker;
    this.client = createClient("ws://simulation/ws", {
      transport: (url, protocols) => (this.#link = transport(url, protocols)),
      clock: world,
      random: () => random.next(),
      deadline: random.pick([2_000, 30_000]),
    });
  }

  join(name: string): void {
    const channel = this.client.channel<Note>(name);
    this.#channels.push(channel);
    this.#checker.watch(this.name, channel);
    this.#subscribe(channel);
  }

  visit(name: string, rooms: Rooms): void {
    this.#room = this.client.channel(name);
    rooms.add(this.name, this.client, this.#room, () => this.#link?.open === true);
    this.#subscribe(this.#room);
  }

  /** One more publication everywhere, and perhaps out of the room. */
  lastWords(): void {
    for (const channel of this.#channels) this.#publish(channel);
    if (this.#random.chance(0.5)) this.leaveRoom();
  }

  leaveRoom(): void {
    if (this.#room !== undefined && this.#room.state !== "unsubscribed") this.#room.unsubscribe();
  }

  act(): void {
    if (this.#room !== undefined && this.#random.chance(0.05)) {
      if (this.#room.state === "unsubscribed") this.#subscribe(this.#room);
      else this.#room.unsubscribe();
    }
    if (this.#channels.length === 0) return;
    const channel = this.#random.pick(this.#channels);
    const kind = this.#random.between(0, 19);
    if (kind === 0) channel.unsubscribe();
    else if (kind <= 2) this.#subscribe(channel);
    else for (let count = this.#random.pick([1, 1, 2, 5]); count > 0; count--) this.#publish(channel);
  }

  #subscribe(channel: Channel<Note> | Channel): void {
    if (channel.state !== "unsubscribed") return;
    channel.subscribe().catch((error: unknown) => {
      if (!(error instanceof ZurufError)) this.#checker.fault(`${this.name}: subscribe threw ${String(error)}`);
    });
  }

  #publish(channel: Channel<Note>): void {
    const turn = (this.#turns.get(channel.name) ?? 0) + 1;
    this.#turns.set(channel.name, turn);
    const note: Note = { id: `${this.name}/${channel.name}/${turn}`, publisher: this.name, turn };
    channel.publish(note).then(
      ({ position }) => this.#checker.published(note, position),
      (error: unknown) => {
        if (error instanceof ZurufError) this.#checker.refused(note, error.code);
        else this.#checker.fault(`${this.name}: publish threw ${String(error)}`);
      },
    );
  }
}
