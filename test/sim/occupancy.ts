import type { Instance } from "./instance.ts";
import type { Rooms } from "./rooms.ts";
import type { World } from "./world.ts";

/** Milliseconds between two looks at who is where. */
const LOOK = 250;
/** Milliseconds that a member may be away and still counts as there: less than the 5 s that it is given. */
const AWAY = 4_000;
/** Milliseconds after which instances that can hear each other know what the others follow: a beat, a digest, and the way. */
const KNOWN = 12_000;
/** An instance that started this many milliseconds ago has heard of the others. */
const SETTLED = 3_000;

/** One channel as an application believes it to be that remembers what the hooks of all instances said. */
interface Room {
  occupied: boolean;
  /** Instances that must call `onVacated` if nobody else does: they have members, or have heard long ago of those that have. */
  readonly witnesses: Set<Instance>;
  /** Since when an instance has members there. */
  readonly holders: Map<Instance, number>;
}

interface Member {
  /** Since when it is there, but for moments; undefined: it is not. */
  since: number | undefined;
  until: number;
  /** Of how many departures its being there is the one after. */
  departures: number;
}

/** Checks what `onOccupied` and `onVacated` say, where nothing is lost between instances. */
export class Occupancy {
  readonly #world: World;
  readonly #rooms: Rooms;
  readonly #fault: (what: string) => void;
  /** Since when the broker works; undefined: it does not. */
  readonly #upSince: () => number | undefined;
  readonly #instances = new Map<Instance, number>();
  readonly #channels = new Map<string, Room>();
  readonly #members = new Map<string, Member>();
  vacated = 0;

  constructor(world: World, rooms: Rooms, fault: (what: string) => void, upSince: () => number | undefined) {
    this.#world = world;
    this.#rooms = rooms;
    this.#fault = fault;
    this.#upSince = upSince;
    this.#look();
  }

  follow(instance: Instance): void {
    this.#instances.set(instance, this.#world.now());
    instance.hub.onOccupied((channel) => {
      if (!instance.alive) return;
      const room = this.#room(channel);
      room.occupied = true;
      room.witnesses.add(instance);
    });
    instance.hub.onVacated((channel) => {
      if (instance.alive) this.#vacated(instance, channel);
    });
  }

  /** After a time of quiet: what was said last is true. */
  *faults(): Iterable<string> {
    for (const [channel, { occupied }] of this.#channels) {
      const there = this.#rooms.visitors(channel).filter(({ there }) => there).length;
      if (occupied && there === 0) yield `${channel}: nobody is there, and onVacated was not called`;
      if (!occupied && there > 0) yield `${channel}: ${there} are there, and onVacated was called last`;
    }
  }

  #vacated(instance: Instance, channel: string): void {
    const now = this.#world.now();
    const room = this.#room(channel);
    this.vacated++;
    room.occupied = false;
    room.witnesses.clear();
    const up = this.#upSince();
    const settled = [...this.#instances].filter(([{ alive }, born]) => alive && born <= now - SETTLED);
    const last = settled.every(([{ stopping }]) => stopping);
    if (up === undefined || up > now - KNOWN || last || !settled.some(([known]) => known === instance)) return;
    for (const { name, departures } of this.#rooms.visitors(channel)) {
      const { since = now, until, ...member } = this.#member(name);
      if (departures === member.departures && since <= now - KNOWN && until >= now - AWAY)
        this.#fault(`${channel}: ${instance.name} called onVacated while ${name} was there`);
    }
  }

  /** What can be known of who is where. */
  #look(): void {
    this.#world.setTimeout(() => this.#look(), LOOK);
    const now = this.#world.now();
    for (const { name, departures, there } of this.#rooms.visitors()) {
      const member = this.#member(name);
      if (departures !== member.departures || now - member.until > AWAY) member.since = undefined;
      member.departures = departures;
      if (!there) continue;
      member.since ??= now;
      member.until = now;
    }
    for (const instance of this.#instances.keys()) if (!instance.alive) this.#instances.delete(instance);
    for (const instance of this.#instances.keys()) void this.#ask(instance);
    for (const room of this.#channels.values()) this.#remember(room);
  }

  async #ask(instance: Instance): Promise<void> {
    const page = await instance.hub.channels({ limit: 1000 });
    const held = new Set(page?.items.map(({ channel }) => channel));
    for (const [channel, { holders }] of this.#channels) {
      if (!held.has(channel)) holders.delete(instance);
      else if (!holders.has(instance)) holders.set(instance, this.#world.now());
    }
  }

  #remember(room: Room): void {
    const { witnesses, holders } = room;
    const now = this.#world.now();
    for (const instances of [witnesses, holders])
      for (const instance of instances.keys()) if (!instance.alive) instances.delete(instance);
    const up = this.#upSince();
    for (const [holder, since] of holders) {
      if (!room.occupied) break;
      witnesses.add(holder);
      for (const [other, born] of this.#instances)
        if (up !== undefined && Math.max(up, since, born) <= now - KNOWN) witnesses.add(other);
    }
    // All who knew are gone without a word: the application asks for itself (docs/hub.md).
    if (witnesses.size === 0) room.occupied = false;
  }

  #room(channel: string): Room {
    const room = this.#channels.get(channel) ?? { occupied: false, witnesses: new Set(), holders: new Map() };
    this.#channels.set(channel, room);
    return room;
  }

  #member(name: string): Member {
    const member = this.#members.get(name) ?? { since: undefined, until: 0, departures: 0 };
    this.#members.set(name, member);
    return member;
  }
}
