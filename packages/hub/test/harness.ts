import { jsonCodec, type Clock, type Codec, type Packet, type PacketOf, type PacketType } from "@zuruf/protocol";
import {
  Hub,
  MemoryBroker,
  memoryBackplane,
  SharedMessages,
  type Backplane,
  type HubConnection,
  type HubOptions,
  type Transport,
} from "../src/index.ts";

/** Time that moves only when a test says so. */
export class TestClock implements Clock {
  #now = 1_000_000;
  #next = 0;
  readonly #timers = new Map<number, { readonly at: number; readonly run: () => void }>();

  now(): number {
    return this.#now;
  }
  setTimeout(run: () => void, ms: number): unknown {
    this.#timers.set(++this.#next, { at: this.#now + Math.max(0, ms), run });
    return this.#next;
  }
  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }
  /** Lets `ms` pass: timers run in order, and what they started runs on between them. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      let next: [number, { at: number; run: () => void }] | undefined;
      for (const entry of this.#timers)
        if (entry[1].at <= end && (next === undefined || entry[1].at < next[1].at)) next = entry;
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.#now = Math.max(this.#now, next[1].at);
      next[1].run();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets all that waits for promises only run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A client's end of a transport in memory: what the hub sent, decoded. */
export class TestClient implements Transport {
  readonly packets: Packet[] = [];
  readonly raw: (string | Uint8Array)[] = [];
  readonly shared: SharedMessages[] = [];
  readonly codec: Codec;
  closedWith: { code: number; reason: string } | undefined;
  /** Full: `send` says false, and this many bytes wait. */
  bufferedBytes = 0;
  full = false;
  #ids = 0;
  #connection: HubConnection | undefined;

  constructor(hub: Hub, codec: Codec = jsonCodec, headers?: Record<string, string>) {
    this.codec = codec;
    this.#connection = hub.accept(this, { codec, address: "127.0.0.1", ...(headers && { headers }) });
  }

  get connection(): HubConnection {
    return this.#connection as HubConnection;
  }
  send(message: string | Uint8Array | SharedMessages): boolean {
    if (this.closedWith !== undefined) return false;
    if (message instanceof SharedMessages) this.shared.push(message);
    for (const bytes of message instanceof SharedMessages ? message.messages : [message]) {
      this.raw.push(bytes);
      this.packets.push(this.codec.decode(bytes));
      if (this.full) this.bufferedBytes += bytes.length;
    }
    return !this.full;
  }
  close(code: number, reason: string): void {
    this.closedWith ??= { code, reason };
    queueMicrotask(() => this.#connection?.closed(code, reason));
  }
  /** The line breaks. */
  cut(): void {
    this.closedWith ??= { code: 1006, reason: "" };
    this.connection.closed(1006, "");
  }
  drain(): void {
    this.full = false;
    this.bufferedBytes = 0;
    this.connection.drained();
  }
  say(packet: Packet): void {
    this.connection.receive(this.codec.encode(packet));
  }
  /** Sends a request and gives its answer. */
  async ask(packet: WithoutId): Promise<Packet> {
    const id = ++this.#ids;
    this.say({ ...packet, id });
    for (let turn = 0; turn < 50; turn++) {
      const answer = this.answer(id);
      if (answer !== undefined) return answer;
      await settle();
    }
    throw new Error(`no answer to ${JSON.stringify(packet)}; got ${JSON.stringify(this.packets.slice(-5))}`);
  }
  answer(id: number): Packet | undefined {
    return this.packets.find(
      (packet) => "id" in packet && packet.id === id && !["direct", "call"].includes(packet.type),
    );
  }
  async connect(options: Omit<PacketOf<"connect">, "type" | "id"> = {}): Promise<PacketOf<"connected">> {
    const answer = await this.ask({ type: "connect", ...options });
    if (answer.type !== "connected") throw new Error(JSON.stringify(answer));
    return answer;
  }
  of<T extends PacketType>(type: T): PacketOf<T>[] {
    return this.packets.filter((packet): packet is PacketOf<T> => packet.type === type);
  }
  /** The data of the publications that came. */
  texts(channel?: string): string[] {
    return this.of("msg")
      .filter((packet) => channel === undefined || packet.channel === channel)
      .map(({ payload }) => (payload.format === "json" ? payload.text : `<${payload.bytes.join(" ")}>`));
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type WithoutId = DistributiveOmit<Extract<Packet, { id: number }>, "id">;

export const json = (value: unknown): { format: "json"; text: string } => ({
  format: "json",
  text: JSON.stringify(value),
});

/** Bytes that differ from call to call and are the same in every run. */
export const testRandom = (seed = 1): HubOptions["random"] => {
  let state = seed;
  return {
    bytes: (count) =>
      Uint8Array.from({ length: count }, () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state >>> 24;
      }),
  };
};

/** Hubs on one broker and one clock. */
export class World {
  readonly clock = new TestClock();
  readonly broker = new MemoryBroker({ clock: this.clock });
  readonly logs: string[] = [];
  readonly hubs: Hub[] = [];
  readonly #random = testRandom();

  async hub(options: Partial<HubOptions> & { wrap?: (backplane: Backplane) => Backplane } = {}): Promise<Hub> {
    const { wrap = (it) => it, ...given } = options;
    const hub = new Hub({
      backplane: wrap(memoryBackplane(this.broker)),
      instance: `i${this.hubs.length + 1}`,
      clock: this.clock,
      random: this.#random,
      log: (level, message, fields) => {
        if (level === "error") this.logs.push(`${message} ${JSON.stringify(fields ?? {})}`);
      },
      ...given,
    });
    this.hubs.push(hub);
    await hub.start();
    return hub;
  }

  async close(): Promise<void> {
    const closed = Promise.all(this.hubs.map((hub) => hub.close()));
    // For those who wait for one that is dead.
    await this.clock.advance(1000);
    await closed;
  }
}
