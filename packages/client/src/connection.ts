import {
  type Clock,
  type Codec,
  type Packet,
  type PacketOf,
  type Timer,
  type WireError,
  ZurufError,
} from "@zuruf/protocol";
import { after, type Ending, endingOfClose, endingOfError } from "./ending.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { Answered, Request } from "./line.ts";
import type { Transport, TransportFactory } from "./transport.ts";

/** Packets whose ids are the server's own, or nothing that is known. */
const ownIds: ReadonlySet<string> = new Set(["direct", "call", "unknown"]);

export interface ConnectionSetup {
  readonly url: string;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly transport: TransportFactory;
  /** Milliseconds for all from asking for the token to `connected`. */
  readonly timeout: number;
  readonly heartbeat: number | undefined;
  readonly token: (() => string | Promise<string>) | undefined;
  readonly resume: readonly [client: string, secret: string] | undefined;
}

export interface ConnectionEvents {
  /** Once at most: the session is there. */
  connected(packet: PacketOf<"connected">): void;
  /** A packet that answers no request. */
  push(packet: Packet): void;
  /** Once, and the last call; then unanswered requests fail. */
  ended(ending: Ending): void;
}

export function fromWire([code, message, retryable, retryAfter]: WireError): ZurufError {
  return new ZurufError(code, message, { retryable, retryAfter });
}

/** What a request is told that the server, though it lives, has not answered. */
export function noAnswer(): ZurufError {
  return new ZurufError("timeout", "no answer came in time");
}

/** One life of a line to the server: token, transport, handshake, then requests with their answers and pushes, until it ends. Never reused. */
export class Connection {
  readonly #setup: ConnectionSetup;
  readonly #events: ConnectionEvents;
  readonly #pending = new Map<number, Answered>();
  /** Beyond the server's limit of unanswered requests: sent as answers come in. */
  readonly #queued: Parameters<Connection["request"]>[] = [];
  #window = Number.POSITIVE_INFINITY;
  #transport: Transport | undefined;
  #heartbeat: Heartbeat | undefined;
  #timer: Timer;
  #lastId = 0;
  #over = false;

  constructor(setup: ConnectionSetup, events: ConnectionEvents) {
    this.#setup = setup;
    this.#events = events;
    this.#timer = setup.clock.setTimeout(
      () => this.#end(endingOfError("timeout", new ZurufError("timeout", "the server did not answer in time"))),
      setup.timeout,
    );
    void this.#open();
  }

  /**
   * @param answered is called once; with an error at the latest when this connection ends.
   * @param timeout milliseconds from its sending, after which it is answered with `timeout`; undefined: none.
   */
  request(request: Request, answered: Answered, timeout?: number): void {
    if (this.#pending.size >= this.#window) this.#queued.push([request, answered, timeout]);
    else this.#ask(request, answered, timeout);
  }

  #ask(request: Request, answered: Answered, timeout = Number.POSITIVE_INFINITY): void {
    do this.#lastId = (this.#lastId % 0xffff_ffff) + 1;
    while (this.#pending.has(this.#lastId));
    const id = this.#lastId;
    const { clock } = this.#setup;
    const timer = after(clock, timeout, () => this.#answer(id, undefined, noAnswer()));
    this.#pending.set(id, (answer, error) => {
      clock.clearTimeout(timer);
      answered(answer, error);
    });
    this.send({ ...request, id });
  }

  send(packet: Packet): void {
    if (this.#over || this.#transport === undefined) return;
    this.#heartbeat?.sent();
    this.#transport.send(this.#setup.codec.encode(packet) as string | Uint8Array<ArrayBuffer>);
  }

  /** Is the server still there? Ends the connection if it does not answer within 5 s. */
  probe(): void {
    this.#heartbeat?.probe();
  }

  /** Ends it from this side; `ended` is not called, unanswered requests fail. */
  close(): void {
    this.#stop();
    this.#fail();
  }

  async #open(): Promise<void> {
    const { url, codec, transport, token, resume, heartbeat } = this.#setup;
    let credential: string | undefined;
    try {
      credential = await token?.();
    } catch (error) {
      const known = error instanceof ZurufError;
      return this.#end(
        endingOfError(
          "token",
          known ? error : new ZurufError("unavailable", "the token could not be had", { cause: error }),
        ),
      );
    }
    if (this.#over) return;
    let line: Transport;
    try {
      const made = transport(url, [codec.name]);
      // Awaited only where it must be: a line that is there already may open before the next microtask is over.
      line = made instanceof Promise ? await made : made;
    } catch (cause) {
      return this.#end(
        endingOfError("transport", new ZurufError("unavailable", "no transport to the server", { cause })),
      );
    }
    if (this.#over) return line.close();
    this.#transport = line;
    /* oxlint-disable unicorn/prefer-add-event-listener -- four handlers make a transport that anyone can provide */
    line.binaryType = "arraybuffer";
    line.onopen = () => {
      if (this.#over) return;
      const packet: Request = {
        type: "connect",
        ...(credential !== undefined && { token: credential }),
        ...(resume && { resume }),
        ...(heartbeat !== undefined && { heartbeat }),
      };
      this.request(packet, (answer, error) => {
        if (answer?.type === "connected") this.#connected(answer);
        else if (error !== undefined) this.#end(endingOfError(error.code, error));
      });
    };
    line.onmessage = ({ data }) => this.#receive(data);
    // Listened to, because to some implementations an error that nobody listens to is an uncaught one.
    line.onerror = () => undefined;
    line.onclose = ({ code, reason }) => this.#end(endingOfClose(code, reason));
    /* oxlint-enable unicorn/prefer-add-event-listener */
  }

  #connected(packet: PacketOf<"connected">): void {
    this.#setup.clock.clearTimeout(this.#timer);
    this.#window = packet.limits["requests"] ?? this.#window;
    this.#heartbeat = new Heartbeat(
      this.#setup.clock,
      packet.heartbeat,
      (answered) => (answered ? this.#ask({ type: "ping" }, answered) : this.send({ type: "ping" })),
      () => this.#end(endingOfError("silent", new ZurufError("timeout", "nothing was heard from the server"))),
    );
    this.#events.connected(packet);
  }

  #receive(data: unknown): void {
    if (this.#over) return;
    let packet: Packet;
    try {
      packet = this.#setup.codec.decode(data instanceof ArrayBuffer ? new Uint8Array(data) : (data as string));
    } catch (cause) {
      // Ignoring it could be a silent gap; a new connection recovers by position.
      const error = new ZurufError("internal", "the server sent what is no packet", { cause });
      return this.#end(endingOfError("badPacket", error));
    }
    this.#heartbeat?.received();
    const id = "id" in packet && !ownIds.has(packet.type) ? packet.id : undefined;
    if (id === undefined || !this.#pending.has(id)) this.#events.push(packet);
    else if (packet.type === "error") this.#answer(id, undefined, fromWire(packet.error));
    else this.#answer(id, packet, undefined);
  }

  #answer(id: number, ...answer: Parameters<Answered>): void {
    const answered = this.#pending.get(id);
    this.#pending.delete(id);
    answered?.(...answer);
    const next = this.#pending.size < this.#window ? this.#queued.shift() : undefined;
    if (next !== undefined) this.#ask(...next);
  }

  #end(ending: Ending): void {
    if (this.#over) return;
    this.#stop();
    // First, so that what fails now knows that it was the connection.
    this.#events.ended(ending);
    this.#fail();
  }

  /** From here on nothing of the transport counts. Waiting for its closing handshake could take as long as the silence that ended it. */
  #stop(): void {
    this.#over = true;
    this.#setup.clock.clearTimeout(this.#timer);
    this.#heartbeat?.stop();
    this.#transport?.close(1000);
  }

  #fail(): void {
    const error = new ZurufError("unknown", "the connection ended before the answer");
    const unanswered = [...this.#pending.values(), ...this.#queued.map(([, answered]) => answered)];
    this.#pending.clear();
    this.#queued.length = 0;
    for (const answered of unanswered) answered(undefined, error);
  }
}
