/** Real clients that publish and subscribe all the time, and report everything to the checker. */
import { type Channel, createClient, type Client, ZurufError } from "@zuruf/client";
import type { Checker, Note, Stored, Watch } from "./checker.ts";

export const channels = ["room:a", "room:b"] as const;
/** Milliseconds between two publications of one publisher. */
const pace = 50;
/** Retries after at most two seconds instead of twenty, so that a run measures the servers' healing rather than the clients' politeness. */
const backoff = { min: 250, max: 2000 };
/** One publisher does not wait long, so that there are refusals to check, too. */
const impatience = 2000;

interface Publisher {
  readonly name: string;
  readonly client: Client;
  readonly rooms: readonly Channel<Note>[];
  readonly deadline: number | undefined;
  /** When what it published last was sent, of all that was acknowledged. */
  acked: number;
  timer?: NodeJS.Timeout;
}

interface Subscriber {
  readonly client: Client;
  readonly watch: Watch;
  /** When what arrived last was sent. */
  heard: number;
}

export class Load {
  readonly #checker: Checker;
  readonly #url: string;
  readonly #publishers: Publisher[] = [];
  readonly #subscribers: Subscriber[] = [];
  readonly #clients: Client[] = [];
  readonly #sentAt = new Map<string, number>();
  readonly #turns = new Map<string, number>();
  /** Publications without an answer. */
  #open = 0;
  #changed: (() => void) | undefined;
  /** Connections that ended, of all clients, since `start`. */
  reconnects = 0;

  private constructor(url: string, checker: Checker) {
    this.#url = url;
    this.#checker = checker;
  }

  /** Resolves once everybody is connected and subscribed, and publications flow. */
  static async start(url: string, checker: Checker, size: { publishers: number; subscribers: number }): Promise<Load> {
    const load = new Load(url, checker);
    try {
      await Promise.all(Array.from({ length: size.subscribers }, (_, i) => load.#subscribe(`s${i + 1}`)));
      for (let i = 1; i <= size.publishers; i++) load.#publish(`p${i}`, i === size.publishers ? impatience : undefined);
      await load.level(performance.now(), 20_000);
      load.reconnects = 0;
      return load;
    } catch (error) {
      load.close();
      throw error;
    }
  }

  #client(): Client {
    const client = createClient(this.#url, { backoff });
    this.#clients.push(client);
    client.on("state", ({ previous, state }) => {
      if (previous === "connected" && state === "connecting") this.reconnects++;
    });
    return client;
  }

  async #subscribe(name: string): Promise<void> {
    const client = this.#client();
    await Promise.all(
      channels.map((channel) => {
        const room = client.channel<Note>(channel);
        const watch = this.#checker.watch(name, channel);
        const subscriber: Subscriber = { client, watch, heard: 0 };
        this.#subscribers.push(subscriber);
        room.on("subscribed", ({ recovered, position, reason }) => watch.subscribed(recovered, position, reason));
        room.on("publication", ({ offset, data }) => {
          watch.publication(offset, data);
          subscriber.heard = Math.max(subscriber.heard, this.#sentAt.get(data.id) ?? 0);
          this.#changed?.();
        });
        return room.subscribe();
      }),
    );
  }

  #publish(name: string, deadline: number | undefined): void {
    const client = this.#client();
    const rooms = channels.map((channel) => client.channel<Note>(channel));
    const publisher: Publisher = { name, client, rooms, deadline, acked: 0 };
    this.#publishers.push(publisher);
    let count = 0;
    publisher.timer = setInterval(() => {
      const room = rooms[count++ % rooms.length];
      if (room !== undefined) this.#send(publisher, room);
    }, pace);
  }

  #send(publisher: Publisher, room: Channel<Note>): void {
    const line = `${publisher.name} ${room.name}`;
    const turn = (this.#turns.get(line) ?? 0) + 1;
    this.#turns.set(line, turn);
    const note: Note = { id: `${publisher.name}:${room.name}:${turn}`, publisher: publisher.name, turn };
    const sentAt = performance.now();
    this.#sentAt.set(note.id, sentAt);
    this.#checker.sent();
    this.#open++;
    void this.#answer(publisher, room, note, sentAt);
  }

  async #answer(publisher: Publisher, room: Channel<Note>, note: Note, sentAt: number): Promise<void> {
    const { deadline } = publisher;
    try {
      const { position } = await room.publish(note, deadline === undefined ? {} : { deadline });
      this.#checker.acked(note, room.name, position);
      publisher.acked = Math.max(publisher.acked, sentAt);
    } catch (error) {
      this.#checker.refused(note, error instanceof ZurufError ? error.code : String(error));
    }
    this.#open--;
    this.#changed?.();
  }

  /** Resolves with the moment at which every subscriber had heard, and every publisher got acknowledged, something sent after `since`. */
  level(since: number, ms: number): Promise<number> {
    return this.#until(
      "everybody publishes and hears again",
      () => {
        const times = [...this.#subscribers.map(({ heard }) => heard), ...this.#publishers.map(({ acked }) => acked)];
        return times.every((time) => time >= since);
      },
      ms,
    );
  }

  /** Stops publishing, waits for all answers, then until every subscriber has what the store has. Gives the logs. */
  async finish(ms: number): Promise<Map<string, Stored[]>> {
    for (const { timer } of this.#publishers) clearInterval(timer);
    await this.#until("every publication is answered", () => this.#open === 0, ms);
    const logs = new Map<string, Stored[]>();
    const reader = this.#client();
    for (const channel of channels) logs.set(channel, await this.#log(reader, channel));
    const level = (): boolean =>
      this.#subscribers.every(({ watch }) => watch.now?.last === (logs.get(watch.channel)?.at(-1)?.offset ?? 0));
    // One head-check period (10 s) is the bound for a lost last message. What is still missing then, the checker names.
    await this.#until("everybody is level", level, ms).catch((error: Error) => this.#checker.fault(error.message));
    return logs;
  }

  async #log(reader: Client, channel: string): Promise<Stored[]> {
    const room = reader.channel<Note>(channel);
    await room.subscribe();
    let page = await room.history({ limit: 1000 });
    const log = page.publications.map(({ offset, data }) => ({ offset, note: data }));
    while (page.publications.length > 0) {
      const { epoch } = page.position;
      page = await room.history({ before: { epoch, offset: log[0]?.offset ?? 0 }, limit: 1000 });
      log.unshift(...page.publications.map(({ offset, data }) => ({ offset, note: data })));
    }
    return log;
  }

  /** Resolves with the time when the condition holds after something happened; rejects after `ms`. */
  #until(what: string, condition: () => boolean, ms: number): Promise<number> {
    if (condition()) return Promise.resolve(performance.now());
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#changed = undefined;
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`${what}: not within ${ms} ms (${this.#behind()})`));
      }, ms);
      this.#changed = () => {
        if (!condition()) return;
        end();
        resolve(performance.now());
      };
    });
  }

  /** Who is furthest behind, for messages. */
  #behind(): string {
    const late = [
      ...this.#subscribers.map(({ watch, heard, client }) => ({ name: watch.name, at: heard, client })),
      ...this.#publishers.map(({ name, acked, client }) => ({ name, at: acked, client })),
    ].sort((a, b) => a.at - b.at)[0];
    const seconds = late === undefined ? 0 : (performance.now() - late.at) / 1000;
    return `${this.#open} unanswered; ${late?.name ?? "nobody"} at ${late?.client.instance ?? "no instance"} is ${seconds.toFixed(1)} s behind`;
  }

  close(): void {
    for (const { timer } of this.#publishers) clearInterval(timer);
    for (const client of this.#clients) client.disconnect();
  }
}
