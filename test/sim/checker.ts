import type { Channel, Publication } from "@zuruf/client";
import type { Position } from "@zuruf/hub";
import type { Broker } from "./broker.ts";
import type { World } from "./world.ts";

/** What every publication of the simulation carries. */
export interface Note {
  /** Unique over the whole run. */
  readonly id: string;
  readonly publisher: string;
  /** Counts up per publisher and channel, in the order of `publish` calls. */
  readonly turn: number;
}

interface Watch {
  readonly who: string;
  readonly channel: Channel<Note>;
  /** After the last publication delivered; undefined while not known. */
  last: Position | undefined;
  /** Ids delivered, and how often the store had forgotten something when it took them. */
  readonly seen: Map<string, number>;
}

/** Looks at everything that clients and broker do, and writes down each promise that was broken. */
export class Checker {
  readonly faults: string[] = [];
  delivered = 0;
  acked = 0;
  restarts = 0;
  readonly #world: World;
  readonly #broker: Broker;
  readonly #watches: Watch[] = [];
  readonly #acks = new Map<string, Position>();
  readonly #notStored = new Set<string>();
  /** Given up by their publisher, who cannot know whether, and when, they are stored. */
  readonly #unknown = new Set<string>();

  constructor(world: World, broker: Broker) {
    this.#world = world;
    this.#broker = broker;
  }

  fault(what: string): void {
    this.faults.push(`${((this.#world.now() - this.#world.started) / 1000).toFixed(3)} s: ${what}`);
  }

  /** Follows one client's subscription to a `stream` channel with history. */
  watch(who: string, channel: Channel<Note>): void {
    const watch: Watch = { who, channel, last: undefined, seen: new Map() };
    this.#watches.push(watch);
    const name = `${who} on ${channel.name}`;
    channel.on("state", ({ state }) => {
      // A new wish starts anew: only the client's own reconnects must continue.
      if (state !== "unsubscribed") return;
      watch.last = undefined;
      watch.seen.clear();
    });
    channel.on("subscribed", ({ recovered, position, reason }) => {
      if (position === undefined) return void this.fault(`${name}: subscribed without a position`);
      if (recovered) {
        if (watch.last !== undefined && position.offset !== watch.last.offset)
          this.fault(`${name}: recovered from ${position.offset}, but the last delivered is ${watch.last.offset}`);
      } else if (watch.last !== undefined) {
        this.restarts++;
        // False alarm: the store has everything after the client's position.
        if (!this.#broker.hasLost(channel.name, watch.last))
          this.fault(`${name}: recovered false (${reason}) at ${show(watch.last)}, but the store lost nothing`);
      }
      watch.last = position;
    });
    channel.on("publication", (publication) => this.#delivered(name, watch, publication));
  }

  published(note: Note, position: Position | undefined): void {
    this.acked++;
    if (position === undefined) return void this.fault(`${note.id}: acked without a position`);
    this.#acks.set(note.id, position);
  }
  refused(note: Note, code: string): void {
    (code === "notStored" ? this.#notStored : this.#unknown).add(note.id);
  }

  #delivered(name: string, watch: Watch, { data, offset, position }: Publication<Note>): void {
    this.delivered++;
    if (position === undefined) return void this.fault(`${name}: a publication without a position`);
    if (watch.last !== undefined && offset <= watch.last.offset)
      this.fault(`${name}: offset ${offset} after ${watch.last.offset}`);
    if (watch.last !== undefined && offset > watch.last.offset + 1)
      this.fault(`${name}: silent gap from ${watch.last.offset} to ${offset}`);
    if (watch.last === undefined) this.fault(`${name}: publication ${offset} before subscribed`);
    watch.last = position;
    const stored = this.#broker.stored(watch.channel.name, position);
    if (stored === undefined) return void this.fault(`${name}: ${show(position)} was never stored`);
    const note = noteOf(stored.item.data);
    if (note.id !== data.id)
      this.fault(`${name}: at ${show(position)} the store has ${note.id}, delivered was ${data.id}`);
    if (watch.seen.get(data.id) === stored.rollbacks) this.fault(`${name}: ${data.id} delivered twice`);
    watch.seen.set(data.id, stored.rollbacks);
  }

  /** Once everything has been healthy for long enough that nothing may be missing any more. */
  finish(): void {
    for (const { who, channel, last } of this.#watches) {
      if (channel.state === "unsubscribed") continue;
      const head = this.#broker.head(channel.name);
      if (channel.state !== "subscribed") this.fault(`${who} on ${channel.name}: ${channel.state} at the end`);
      else if (last?.offset !== head.offset)
        this.fault(`${who} on ${channel.name}: ends at ${show(last)}, the store at ${show(head)}`);
    }
    this.#checkStore();
  }

  #checkStore(): void {
    let turns = new Map<string, number>();
    let era = 0;
    const stored = new Map<string, number>();
    for (const { channel, item, rollbacks } of this.#broker.archive) {
      const note = noteOf(item.data);
      // What was forgotten may be stored again.
      if (rollbacks !== era) turns = new Map();
      era = rollbacks;
      const count = stored.get(note.id);
      if (count !== undefined && count === rollbacks) this.fault(`${note.id} is stored twice`);
      stored.set(note.id, rollbacks);
      const line = `${note.publisher} on ${channel}`;
      const before = turns.get(line) ?? 0;
      // Nor can order be promised for what the store took in turn, forgot, and got again.
      if (this.#unknown.has(note.id) || count !== undefined) continue;
      if (note.turn < before) this.fault(`${line}: turn ${note.turn} stored after ${before}`);
      turns.set(line, Math.max(before, note.turn));
    }
    for (const [id, position] of this.#acks) {
      if (!stored.has(id)) this.fault(`${id} was acked at ${show(position)} and never stored`);
    }
    for (const id of this.#notStored) {
      if (stored.has(id)) this.fault(`${id} was said to be not stored, and is`);
    }
  }
}

function show(position: Position | undefined): string {
  return position === undefined ? "nowhere" : `${position.epoch}:${position.offset}`;
}

/** The envelope is the hub's own; the note in it is found by its shape. */
function noteOf(data: Uint8Array): Note {
  const match = /\{"id":"[^"]*","publisher":"[^"]*","turn":\d+\}/.exec(new TextDecoder().decode(data));
  if (match === null) throw new Error("a publication without a note");
  return JSON.parse(match[0]) as Note;
}
