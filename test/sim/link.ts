import { SharedMessages, type HubConnection, type Transport as HubTransport } from "@zuruf/hub";
import type { Transport as ClientTransport } from "@zuruf/client";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** What an instance does with a new line; undefined: it does not answer. */
export type Accept = (
  transport: HubTransport,
  protocols: readonly string[],
) => { connection: HubConnection; protocol: string } | undefined;

type Message = string | Uint8Array;

/**
 * One client's line to one instance: a WebSocket over TCP as both ends see it. In order and without loss while it lives, each message with a delay of its own;
 * it can be cut (both ends learn it), go silent (neither does), or become slow towards the client.
 */
export class Link implements ClientTransport {
  protocol = "";
  binaryType = "arraybuffer";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  /** Further milliseconds for each message towards the client. */
  slowness = 0;
  readonly #world: World;
  readonly #random: Random;
  readonly #toHub = { at: 0 };
  readonly #toClient = { at: 0 };
  readonly #hubSide: { -readonly [K in keyof HubTransport]: HubTransport[K] };
  #connection: HubConnection | undefined;
  #clientOpen = true;
  #hubOpen = false;
  #silent = false;

  constructor(world: World, random: Random, accept: Accept | undefined, protocols: readonly string[]) {
    this.#world = world;
    this.#random = random;
    this.#hubSide = {
      send: (message) => this.#sendToClient(message),
      bufferedBytes: 0,
      close: (code, reason) => this.#closeByHub(code, reason),
    };
    this.#after(this.#toHub, () => {
      const accepted = accept?.(this.#hubSide, protocols);
      if (accepted === undefined) return void this.#after(this.#toClient, () => this.#endClient(1006, ""));
      this.#connection = accepted.connection;
      this.#hubOpen = true;
      this.protocol = accepted.protocol;
      this.#after(this.#toClient, () => {
        if (this.#clientOpen) this.onopen?.(undefined as never);
      });
    });
  }

  get open(): boolean {
    return this.#clientOpen && !this.#silent;
  }

  /** The client's `send`. */
  send(message: Message): void {
    this.#after(this.#toHub, () => {
      if (this.#hubOpen) this.#connection?.receive(message);
    });
  }

  /** The client's `close`. */
  close(code = 1000, reason = ""): void {
    this.#after(this.#toHub, () => this.#endHub(code, reason));
    this.#world.setTimeout(() => this.#endClient(code, reason), this.#silent ? 5_000 : 20);
  }

  /** The network between the two is gone, and both notice. */
  cut(): void {
    this.#silent = true;
    this.#world.setTimeout(() => this.#endClient(1006, ""), this.#random.between(0, 200));
    this.#world.setTimeout(() => this.#endHub(1006, ""), this.#random.between(0, 200));
  }

  /** Nothing gets through any more, and nobody is told. */
  silence(): void {
    this.#silent = true;
  }

  /** The instance's process is gone: its end of the line says so, or nothing does. */
  lostInstance(told: boolean): void {
    this.#hubOpen = false;
    this.#silent = true;
    if (told) this.#world.setTimeout(() => this.#endClient(1006, ""), this.#random.between(0, 200));
  }

  #sendToClient(message: Message | SharedMessages): boolean {
    if (!this.#hubOpen) return false;
    if (!(message instanceof SharedMessages)) return this.#carry(message);
    let room = true;
    for (const one of message.messages) room = this.#carry(one);
    return room;
  }

  #carry(content: Message): boolean {
    const size = content.length;
    this.#hubSide.bufferedBytes += size;
    this.#after(
      this.#toClient,
      () => {
        this.#hubSide.bufferedBytes -= size;
        if (this.#clientOpen) this.onmessage?.({ data: content });
        if (this.#hubSide.bufferedBytes === 0 && this.#hubOpen) this.#connection?.drained();
      },
      this.slowness,
    );
    return this.#hubSide.bufferedBytes < 65_536;
  }

  #closeByHub(code: number, reason: string): void {
    this.#after(this.#toClient, () => this.#endClient(code, reason));
    this.#world.setTimeout(() => this.#endHub(code, reason), this.#silent ? 5_000 : 20);
  }

  #endClient(code: number, reason: string): void {
    if (!this.#clientOpen) return;
    this.#clientOpen = false;
    this.onclose?.({ code, reason });
  }
  #endHub(code: number, reason: string): void {
    if (!this.#hubOpen) return;
    this.#hubOpen = false;
    this.#connection?.closed(code, reason);
  }

  #after(direction: { at: number }, run: () => void, slowness = 0): void {
    if (this.#silent) return;
    direction.at = Math.max(direction.at, this.#world.now()) + slowness;
    const at = Math.max(direction.at, this.#world.now() + this.#random.between(1, 30));
    direction.at = at;
    this.#world.setTimeout(() => {
      if (!this.#silent) run();
    }, at - this.#world.now());
  }
}
