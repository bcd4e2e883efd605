import { jsonCodec, type Packet, type PacketOf, type PacketType } from "@zuruf/protocol";
import type { ClientOptions, Transport, TransportFactory } from "../src/core.ts";
import { settled, VirtualClock } from "./virtual-clock.ts";

/** The server's end of one connection; what it says and does is the test's script. */
export class ScriptedLine implements Transport {
  readonly protocol: string = "zuruf.v1.json";
  binaryType = "blob";
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  readonly received: Packet[] = [];
  /** What the client closed it with. */
  closed: { readonly code: number | undefined; readonly reason: string | undefined } | undefined;
  readonly #server: ScriptedServer;

  constructor(server: ScriptedServer) {
    this.#server = server;
  }

  send(message: string | Uint8Array): void {
    const packet = jsonCodec.decode(message);
    this.received.push(packet);
    this.#server.answer(this, packet);
  }

  close(code?: number, reason?: string): void {
    this.closed = { code, reason };
  }

  /** The server sends. */
  say(packet: Packet): void {
    this.sayRaw(jsonCodec.encode(packet) as string);
  }

  sayRaw(data: string): void {
    this.onmessage?.({ data });
  }

  /** The server closes, or the network does (1006). */
  end(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }

  of<T extends PacketType>(type: T): PacketOf<T>[] {
    return this.received.filter((packet): packet is PacketOf<T> => packet.type === type);
  }

  /** A publication arrives. */
  msg(channel: string, offset: number, data: unknown, info?: PacketOf<"msg">["info"]): void {
    const payload = { format: "json", text: JSON.stringify(data) } as const;
    this.say({ type: "msg", channel, offset, ...(info && { info }), payload });
  }
}

/** Answers each packet at once with the first of `script`'s answers that is not undefined; else as a friendly server would. */
export class ScriptedServer {
  readonly clock: VirtualClock = new VirtualClock();
  readonly lines: ScriptedLine[] = [];
  readonly asked: { readonly url: string; readonly protocols: readonly string[] }[] = [];
  /** A packet to answer with, null for no answer, undefined for the usual one. */
  script: (packet: Packet, line: ScriptedLine) => Packet | null | undefined = () => undefined;
  /** false: connections hang before they open. */
  opens = true;
  head = 0;
  heartbeat = 0;

  readonly transport: TransportFactory = (url, protocols) => {
    this.asked.push({ url, protocols });
    const line = new ScriptedLine(this);
    this.lines.push(line);
    void Promise.resolve().then(() => this.opens && line.onopen?.({}));
    return line;
  };

  /** Delays are half of their ceiling. */
  get options(): ClientOptions {
    return { transport: this.transport, clock: this.clock, random: () => 0.5 };
  }

  get line(): ScriptedLine {
    const line = this.lines.at(-1);
    if (line === undefined) throw new Error("nobody has connected yet");
    return line;
  }

  answer(line: ScriptedLine, packet: Packet): void {
    const scripted = this.script(packet, line);
    const answer = scripted === undefined ? this.#usual(packet) : scripted;
    if (answer !== null && answer !== undefined) line.say(answer);
  }

  #usual(packet: Packet): Packet | undefined {
    switch (packet.type) {
      case "connect": {
        const client = packet.resume?.[0] ?? `c${this.lines.length}`;
        const resumed = packet.resume !== undefined;
        const { heartbeat } = this;
        return {
          type: "connected",
          id: packet.id,
          client,
          secret: "s",
          resumed,
          instance: "i1",
          heartbeat,
          limits: {},
        };
      }
      case "subscribe": {
        const position = packet.position ?? (["e", this.head] as const);
        const recovered = packet.position && { recovered: true };
        return { type: "subscribed", id: packet.id, position, ...recovered, delivery: "stream" };
      }
      case "unsubscribe":
        return { type: "unsubscribed", id: packet.id };
      case "publish":
        return { type: "published", id: packet.id, position: ["e", ++this.head] };
      case "ping":
        return packet.id === undefined ? undefined : { type: "pong", id: packet.id };
      default:
        return undefined;
    }
  }
}

export { settled };
