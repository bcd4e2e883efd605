import type { Client } from "@zuruf/client";
import { ZurufError } from "@zuruf/protocol";

/** A direct message of the simulation. */
interface Letter {
  readonly letter: string;
  readonly from: string;
  /** Counts up per sender and receiver. */
  readonly turn: number;
  /** How often the sender's line had changed: what was on its way from an earlier line may come late. */
  readonly line: number;
}

interface Box {
  readonly name: string;
  readonly client: Client;
  readonly received: Set<string>;
  /** Last letter per sender, since this end's line changed. */
  readonly last: Map<string, Letter>;
  /** How often its line changed. */
  changes: number;
}

/** Sends direct messages between clients and checks what their receipts say. */
export class Letters {
  readonly #boxes = new Map<string, Box>();
  readonly #turns = new Map<string, number>();
  readonly #fault: (what: string) => void;
  /** The instance that has a session of this client now, if one has. */
  readonly #whereIs: (client: string) => Promise<string | undefined>;
  /** Nothing is lost between instances in this run. */
  readonly #reliable: boolean;
  readonly receipts: Record<string, number> = {};
  /** All is well: every message must be delivered. */
  calm = false;

  constructor(
    fault: (what: string) => void,
    whereIs: (client: string) => Promise<string | undefined>,
    reliable: boolean,
  ) {
    this.#fault = fault;
    this.#whereIs = whereIs;
    this.#reliable = reliable;
  }

  add(name: string, client: Client): void {
    const box: Box = { name, client, received: new Set(), last: new Map(), changes: 0 };
    this.#boxes.set(name, box);
    client.on("state", () => {
      box.changes++;
      // Order is promised between two connections: on a new one it starts anew.
      box.last.clear();
    });
    client.on("message", ({ data, from }) => {
      const { letter, from: sender, turn, line } = data as Letter;
      if (box.received.has(letter)) this.#fault(`${name}: ${letter} received twice`);
      box.received.add(letter);
      const before = box.last.get(sender);
      if (before?.line === line && turn < before.turn)
        this.#fault(`${name}: ${letter} received after turn ${before.turn}`);
      if (before === undefined || line >= before.line) box.last.set(sender, data as Letter);
      if (from === undefined) this.#fault(`${name}: ${letter} says nothing about its sender`);
    });
  }

  /** One from everybody to everybody, themselves too. */
  sendAll(): void {
    for (const sender of this.#boxes.keys()) for (const receiver of this.#boxes.keys()) this.send(sender, receiver);
  }

  send(sender: string, receiver: string): void {
    const [from, to] = [this.#boxes.get(sender), this.#boxes.get(receiver)];
    const id = to?.client.id;
    if (from === undefined || to === undefined || id === undefined || from.client.state !== "connected") return;
    const line = `${sender}>${receiver}`;
    const turn = (this.#turns.get(line) ?? 0) + 1;
    this.#turns.set(line, turn);
    void this.#follow(from, to, id, { letter: `${line}/${turn}`, from: sender, turn, line: from.changes });
  }

  async #follow(from: Box, to: Box, id: string, letter: Letter): Promise<void> {
    const { calm } = this;
    const place = this.#whereIs(id);
    const changes = to.changes;
    let receipt: string;
    try {
      receipt = await from.client.send(id, letter, { timeout: 3_000 });
    } catch (error) {
      if (!(error instanceof ZurufError)) this.#fault(`${letter.letter}: send threw ${String(error)}`);
      receipt = "rejected";
    }
    this.receipts[receipt] = (this.receipts[receipt] ?? 0) + 1;
    if (receipt === "delivered" && !to.received.has(letter.letter))
      this.#fault(`${letter.letter}: delivered, but never received`);
    if (calm && receipt !== "delivered") this.#fault(`${letter.letter}: ${receipt}, though all was well`);
    if (receipt !== "offline") return;
    if (to.received.has(letter.letter)) this.#fault(`${letter.letter}: offline, but received`);
    const [before, after] = [await place, await this.#whereIs(id)];
    // Everybody could be asked, and the receiver was where it is now all the time.
    if (this.#reliable && before !== undefined && before === after && changes === to.changes)
      this.#fault(`${letter.letter}: offline, but ${to.name} is on ${after}`);
  }
}
