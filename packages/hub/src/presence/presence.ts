import type { Member, PacketOf } from "@zuruf/protocol";
import type { InstanceId } from "../backplane.ts";
import type { Connection } from "../connection.ts";
import type { ChannelState, ControlMessage, Entry } from "../control-message.ts";
import type { Core } from "../core.ts";
import { beatEvery, lease } from "../peers.ts";
import { digestOf, sameDigest } from "./digest.ts";
import { Farewell } from "./farewell.ts";
import { Followers } from "./followers.ts";
import { Occupancy } from "./occupancy.ts";
import { inParts } from "./parts.ts";
import { PresenceChannel } from "./presence-channel.ts";

/** Milliseconds that an unclean close does not show yet. */
const lingerFor = 5000;
/** Milliseconds that a new view waits for what the others have. */
const settleFor = 500;
/** Changes of this many milliseconds go out together. */
const flushAfter = 20;
/** Seconds that a view without users is kept: longer than it takes the digests to find what was missed as the last user left. */
const idleFor = 2 * beatEvery + 1;

export interface PresenceSummary {
  readonly members: number;
  readonly connections: number;
  /** An instance that had members has not been heard of. */
  readonly stale: boolean;
  readonly list: readonly Member[];
}

/**
 * Who is subscribed where, over all instances. Each instance owns what its own connections are; it tells those that want a
 * channel each change with a version, and its beat carries a digest, so that whatever was missed is found and asked for again.
 * The broker stores nothing. An instance that falls silent is stale first, and left when its lease is over while the line works.
 */
export class Presence {
  readonly #core: Core;
  readonly #channels = new Map<string, PresenceChannel>();
  readonly #followers = new Followers();
  #version = 0;
  #wanting: Set<string> | undefined;
  /**
   * Lives of instances that are over, until their members are forgotten: the timer for that, and the channels that they wanted.
   * Named as no instance is, because another life of the same instance may be there already.
   */
  readonly #leaving = new Map<InstanceId, { readonly timer: unknown; readonly wanted: ReadonlySet<string> }>();
  #left = 0;
  readonly #occupancy: Occupancy;
  /** Instances that have not said since the line works again whether something was missed. */
  readonly #unheard = new Set<InstanceId>();
  /** This instance stops. */
  #farewell: Farewell | undefined;
  #up = false;
  #downSince = 0;
  #settled = 0;

  constructor(core: Core) {
    this.#core = core;
    this.#occupancy = new Occupancy(core);
  }

  /** The line to the others works (again). */
  up(): void {
    // The others have let this instance's members leave, and may have said so.
    if (!this.#up && this.#core.ticks - this.#downSince > lease)
      for (const channel of this.#channels.values()) if (channel.local.size > 0) this.#occupancy.occupied(channel.name);
    const { peers } = this.#core.control;
    for (const peer of peers.live()) this.#unheard.add(peer);
    this.#up = true;
    this.#settled = this.#core.clock.now() + settleFor;
    peers.renew(this.#core.ticks);
    this.#core.control.beat(true);
  }

  down(): void {
    if (this.#up) this.#downSince = this.#core.ticks;
    this.#up = false;
  }

  /** A connection has subscribed; with `watch` it gets a snapshot and then every change. */
  join(connection: Connection, name: string, watch: boolean, info: unknown): void {
    const channel = this.#open(name);
    channel.users++;
    const before = channel.local.get(connection.client);
    if (before !== undefined) {
      // Back within the linger, or a second line of the same session.
      this.#core.clock.clearTimeout(before.linger);
      channel.users--;
    }
    channel.local.set(connection.client, { connection, linger: undefined });
    const entry: Entry = {
      client: connection.client,
      ...(connection.user !== undefined && { user: connection.user }),
      since: this.#core.clock.now(),
      ...(info !== undefined && { info }),
    };
    this.#changed(channel, channel.view.set(this.#core.instance, entry), { set: entry });
    if (watch) void this.#watch(connection, channel);
  }

  /** A subscription ended. Unclean: the client may be back at once. */
  leave(connection: Connection, name: string, clean: boolean): void {
    const channel = this.#channels.get(name);
    channel?.watchers.delete(connection);
    const local = channel?.local.get(connection.client);
    if (channel === undefined || local === undefined || local.connection !== connection) return;
    if (clean) this.#gone(channel, connection.client);
    else
      local.linger = this.#core.clock.setTimeout(() => {
        this.#gone(channel, connection.client);
      }, lingerFor);
  }

  /** Who is there; an instance that does not follow the channel asks the others first. `limit` 0: only numbers. */
  async ask(name: string, limit: number): Promise<PresenceSummary> {
    const channel = this.#open(name);
    channel.users++;
    try {
      await channel.ready;
      const { members, connections } = channel.view;
      return { members, connections, stale: this.#isStale(channel), list: channel.view.list(limit) };
    } finally {
      this.#release(channel);
    }
  }

  /** A life of an instance is over, by its own word: its members are given the time to come back to another. */
  leaving(peer: InstanceId): void {
    const wanted = this.#followers.forget(peer);
    this.#unheard.delete(peer);
    if (this.#farewell !== undefined) {
      this.#farewell.joined(wanted);
      return;
    }
    const life = `\0${++this.#left}`;
    for (const channel of this.#channels.values()) {
      channel.versions.delete(peer);
      channel.parts.delete(peer);
      channel.view.rename(peer, life);
      if (channel.awaiting.has(peer)) this.#neverHeard(channel, peer, wanted);
    }
    const timer = this.#core.clock.setTimeout(() => {
      this.#leaving.delete(life);
      for (const channel of this.#channels.values()) this.#touched(channel, channel.view.replace(life, []));
      this.#inherit(wanted);
    }, lingerFor);
    this.#leaving.set(life, { timer, wanted });
  }

  /** The hub stops and says goodbye: no timer of presence outlives it. The last instance says what it leaves empty, and waits for the application. */
  async close(): Promise<void> {
    const left = new Set<string>();
    for (const { name, occupied, local } of this.#channels.values()) {
      if (occupied) left.add(name);
      for (const { linger } of local.values()) this.#core.clock.clearTimeout(linger);
    }
    for (const { timer, wanted } of this.#leaving.values()) {
      for (const name of wanted) left.add(name);
      this.#core.clock.clearTimeout(timer);
    }
    this.#channels.clear();
    this.#leaving.clear();
    this.#farewell = new Farewell(this.#core, this.#occupancy, left);
    await this.#core.control.bye();
    if (this.#up) await this.#farewell.end();
  }

  /** Once a second. */
  sweep(): void {
    const { control, ticks } = this.#core;
    const { peers } = control;
    if (this.#up) for (const peer of peers.expire(ticks)) this.#forget(peer);
    if (ticks % beatEvery === 0) {
      control.beat();
      const wants = digestOf(this.#channels.keys());
      for (const peer of peers.live()) control.send({ type: "digest", wants, has: digestOf(this.#told(peer)) }, peer);
    }
    const closed: string[] = [];
    for (const channel of this.#channels.values()) {
      this.#occupancy.seen(channel, () => this.#isCertain(channel));
      if (!this.#isNeeded(channel) && channel.idleTicks++ >= idleFor) {
        this.#channels.delete(channel.name);
        closed.push(channel.name);
      } else if (channel.watchers.size > 0 && this.#isStale(channel) !== channel.stale) {
        channel.stale = !channel.stale;
        channel.push([]);
      }
    }
    if (peers.live().length > 0) for (const channels of inParts(closed)) control.send({ type: "unwant", channels });
  }

  /** An instance has given a sign of life. */
  heard(peer: InstanceId, news: "new" | "replaced" | "known"): void {
    if (news === "known") return;
    // Another life of it is there: the one before ended without a word.
    if (news === "replaced") this.leaving(peer);
    if (this.#channels.size > 0) this.#wantAll(peer);
  }

  received(from: InstanceId, message: ControlMessage): void {
    switch (message.type) {
      case "want":
        if (message.all === true) this.#followers.forget(from);
        this.#followers.add(from, message.channels);
        this.#sendState(from, message.channels);
        return;
      case "unwant":
        this.#followers.remove(from, message.channels);
        return;
      case "again":
        this.#wantAll(from);
        return;
      case "vacated":
        // Said by who could not know better: it did not follow them, or had not heard of this instance for a while.
        for (const name of message.channels)
          if ((this.#channels.get(name)?.local.size ?? 0) > 0) this.#occupancy.occupied(name);
        return;
      case "state":
        this.#state(from, message.channels);
        return;
      case "change":
        this.#change(from, message);
        return;
      case "digest":
        if (!sameDigest(message.wants, digestOf(this.#followers.of(from))))
          this.#core.control.send({ type: "again" }, from);
        // An answer that is still awaited was lost, as likely as not: that one, and the question, may have been of nobody.
        if (this.#awaits(from) || !sameDigest(message.has, digestOf(this.#have(from)))) this.#wantAll(from);
        this.#unheard.delete(from);
        return;
      default:
        this.#core.log("debug", "a control message is not for presence", { type: message.type });
    }
  }

  #open(name: string): PresenceChannel {
    const known = this.#channels.get(name);
    if (known !== undefined) {
      known.idleTicks = 0;
      return known;
    }
    const channel = new PresenceChannel(name);
    this.#channels.set(name, channel);
    const { clock, control } = this.#core;
    for (const peer of control.peers.live()) channel.awaiting.add(peer);
    // Just up: the others may not have been heard of yet.
    const early = this.#settled - clock.now();
    if (channel.awaiting.size > 0 || early > 0) {
      channel.ready = new Promise((resolve) => {
        const timer = clock.setTimeout(resolve, early > 0 ? early : settleFor);
        channel.settle = () => {
          if (this.#settled > clock.now()) return;
          clock.clearTimeout(timer);
          resolve();
        };
      });
    }
    if (channel.awaiting.size > 0) this.#want(name);
    return channel;
  }

  /** Channels opened in one tick are wanted in one message. */
  #want(name: string): void {
    if (this.#wanting === undefined) {
      const wanting = new Set<string>();
      this.#wanting = wanting;
      queueMicrotask(() => {
        this.#wanting = undefined;
        for (const channels of inParts(wanting)) this.#core.control.send({ type: "want", channels });
      });
    }
    this.#wanting.add(name);
  }

  #awaits(peer: InstanceId): boolean {
    for (const { awaiting } of this.#channels.values()) if (awaiting.has(peer)) return true;
    return false;
  }

  #wantAll(peer: InstanceId): void {
    for (const channel of this.#channels.values()) channel.awaiting.add(peer);
    let all = true;
    for (const channels of inParts(this.#channels.keys())) {
      this.#core.control.send({ type: "want", channels, ...(all && { all }) }, peer);
      all = false;
    }
  }

  /** This instance's own members of these channels; every channel is named, so that who asks knows that it has its answer. */
  #sendState(to: InstanceId, names: readonly string[]): void {
    const states = names.flatMap((name): ChannelState[] => {
      const channel = this.#channels.get(name);
      const version = channel?.version ?? 0;
      const parts = [...inParts(channel?.view.entries(this.#core.instance) ?? [])];
      if (parts.length === 0) return [{ channel: name, version, entries: [] }];
      let before = 0;
      return parts.map((entries, i) => {
        const more = i < parts.length - 1;
        const state = { channel: name, version, entries, ...(before > 0 && { before }), ...(more && { more }) };
        before += entries.length;
        return state;
      });
    });
    for (const channels of inParts(states)) this.#core.control.send({ type: "state", channels }, to);
  }

  /** What a peer should know of this instance's channels. */
  *#told(peer: InstanceId): Iterable<string> {
    for (const name of this.#followers.of(peer)) {
      const version = this.#channels.get(name)?.version ?? 0;
      if (version > 0) yield `${version} ${name}`;
    }
  }

  /** What this instance knows of a peer's channels. */
  *#have(peer: InstanceId): Iterable<string> {
    for (const channel of this.#channels.values()) {
      const version = channel.versions.get(peer) ?? 0;
      if (version > 0) yield `${version} ${channel.name}`;
    }
  }

  #state(from: InstanceId, states: readonly ChannelState[]): void {
    for (const { channel: name, version, entries, before = 0, more } of states) {
      const channel = this.#channels.get(name);
      if (channel === undefined) continue;
      const parts = before === 0 ? [] : channel.parts.get(from);
      channel.parts.delete(from);
      // A part between was lost: what is known stays as it was, until the digest asks for all of it.
      if (parts?.length !== before) continue;
      const all = [...parts, ...entries];
      if (more === true) channel.parts.set(from, all);
      else this.#replace(channel, from, version, all);
    }
  }

  /** All that an instance has in a channel is known now. */
  #replace(channel: PresenceChannel, from: InstanceId, version: number, entries: readonly Entry[]): void {
    const touched = channel.view.replace(from, entries);
    if (version > 0) channel.versions.set(from, version);
    else channel.versions.delete(from);
    channel.awaiting.delete(from);
    if (channel.awaiting.size === 0) channel.settle();
    this.#touched(channel, touched);
  }

  #change(from: InstanceId, message: Extract<ControlMessage, { type: "change" }>): void {
    const channel = this.#channels.get(message.channel);
    if (channel === undefined) return;
    if ((channel.versions.get(from) ?? 0) !== message.previous) {
      // Something was missed; the whole state is on its way, or is asked for now.
      if (channel.awaiting.has(from)) return;
      channel.awaiting.add(from);
      this.#core.control.send({ type: "want", channels: [channel.name] }, from);
      return;
    }
    const touched = message.set === undefined ? [] : channel.view.set(from, message.set);
    if (message.gone !== undefined) touched.push(...channel.view.remove(from, message.gone));
    if (channel.view.entries(from).length === 0) channel.versions.delete(from);
    else channel.versions.set(from, message.version);
    this.#touched(channel, touched);
  }

  /** An instance is gone without a word, its lease is over. */
  #forget(peer: InstanceId): void {
    const wanted = this.#followers.forget(peer);
    this.#unheard.delete(peer);
    for (const channel of this.#channels.values()) {
      if (channel.awaiting.has(peer)) this.#neverHeard(channel, peer, wanted);
      channel.parts.delete(peer);
      this.#replace(channel, peer, 0, []);
    }
    this.#inherit(wanted);
  }

  /** An instance has gone that never said what it has in a channel: there may have been members whose coming was not heard of here. */
  #neverHeard(channel: PresenceChannel, peer: InstanceId, wanted: ReadonlySet<string>): void {
    if (wanted.has(channel.name)) channel.occupied = true;
    channel.awaiting.delete(peer);
    if (channel.awaiting.size === 0) channel.settle();
  }

  /**
   * What an instance followed whose members are gone with it, and nobody else follows, is vacated (or was already). One of those left says so: the lowest
   * by name of those that lived long enough to know of it. Should that one be gone as well, unheard of yet, the channel counts as its own until it says otherwise.
   */
  #inherit(names: ReadonlySet<string>): void {
    if (this.#core.hooks.vacated === undefined) return;
    const { control, instance, ticks } = this.#core;
    const heir = control.peers.elders(ticks).reduce((least, peer) => (peer < least ? peer : least), instance);
    const vacated = [...names].filter(
      (name) => !this.#channels.has(name) && !this.#followers.has(name) && !this.#isLeft(name),
    );
    if (heir !== instance) {
      this.#followers.add(heir, vacated);
      return;
    }
    for (const name of vacated) void this.#occupancy.vacated(name);
    for (const channels of inParts(vacated)) control.send({ type: "vacated", channels });
  }

  /** Somebody who left may have members there that are still given their time. */
  #isLeft(name: string): boolean {
    for (const { wanted } of this.#leaving.values()) if (wanted.has(name)) return true;
    return false;
  }

  /** Somebody uses it; or who seems to be there may be gone as well, and none of those who followed it would say so. */
  #isNeeded(channel: PresenceChannel): boolean {
    const { users, occupied, view } = channel;
    return users > 0 || (occupied && (view.members === 0 || !this.#isCertain(channel)));
  }

  /** Nobody is in a channel that this instance does not know of. */
  #isCertain({ name, awaiting }: PresenceChannel): boolean {
    const settled = this.#up && this.#settled <= this.#core.clock.now() && this.#unheard.size === 0;
    return settled && awaiting.size === 0 && !this.#isLeft(name);
  }

  #gone(channel: PresenceChannel, client: string): void {
    if (!channel.local.delete(client)) return;
    this.#changed(channel, channel.view.remove(this.#core.instance, client), { gone: client });
    this.#release(channel);
  }

  #release(channel: PresenceChannel): void {
    channel.users--;
    channel.idleTicks = 0;
  }

  /** A change of this instance's own: told to those who want it. */
  #changed(channel: PresenceChannel, touched: readonly string[], change: { set?: Entry; gone?: string }): void {
    const previous = channel.version;
    const version = ++this.#version;
    channel.version = channel.local.size === 0 ? 0 : version;
    for (const peer of this.#followers.peers(channel.name))
      this.#core.control.send({ type: "change", channel: channel.name, previous, version, ...change }, peer);
    this.#touched(channel, touched);
  }

  #touched(channel: PresenceChannel, members: readonly string[]): void {
    channel.touched(members);
    this.#occupancy.seen(channel, () => this.#isCertain(channel));
    if (channel.flushing || channel.dirty.size === 0) return;
    channel.flushing = true;
    this.#core.clock.setTimeout(() => {
      channel.flushing = false;
      this.#flush(channel);
    }, flushAfter);
  }

  #flush(channel: PresenceChannel): void {
    const changes = [...channel.dirty].map((member) => channel.view.member(member));
    channel.dirty.clear();
    channel.stale = this.#isStale(channel);
    if (channel.watchers.size > 0) channel.push(changes);
  }

  async #watch(connection: Connection, channel: PresenceChannel): Promise<void> {
    await channel.ready;
    if (channel.local.get(connection.client)?.connection !== connection) return;
    const stale = this.#isStale(channel);
    const snapshot: PacketOf<"members"> = {
      type: "members",
      channel: channel.name,
      snapshot: true,
      ...(stale && { stale }),
      changes: channel.view.list(this.#core.limits.presenceMembers),
    };
    if (channel.watchers.size === 0) channel.stale = stale;
    channel.watchers.add(connection);
    connection.answer(snapshot);
  }

  #isStale(channel: PresenceChannel): boolean {
    if (!this.#up || channel.awaiting.size > 0) return true;
    const { control, instance, ticks } = this.#core;
    for (const owner of channel.view.owners()) {
      if (owner !== instance && !this.#leaving.has(owner) && control.peers.inDoubt(owner, ticks)) return true;
    }
    return false;
  }
}
