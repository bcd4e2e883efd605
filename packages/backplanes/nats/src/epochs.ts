/**
 * The log's chain of epochs. A stream has one sequence for all channels, so there is one chain for all, and it is itself a message in the stream: it shares the
 * stream's fate, and everybody hears of a new link before what follows it. A server that was killed may have forgotten the messages it took last, so a new life of
 * its process is a new link. Publishers are connected to that process: before they may publish to its new life, they see to the link.
 */
import { hash } from "node:crypto";
import { epochAt, readChain, type EpochChain } from "@zuruf/hub/store";
import { lastOffset } from "./entry.ts";
import { JetStreamError, type StreamState } from "./answers.ts";
import type { JetStream } from "./jetstream.ts";

/** Links that are kept; positions under older ones are told `epoch`. */
const mostLinks = 100;
const attempts = 20;
/** How logs lie in the stream: blocks, as entry.ts has them. */
const layout = "zuruf 2";

interface Known {
  /** The life of the store in which the newest link began. */
  readonly incarnation: string;
  readonly chain: EpochChain;
}

export class Epochs {
  readonly #subject: string;
  #known: Known = { incarnation: "", chain: [] };

  constructor(subject: string) {
    this.#subject = subject;
  }

  get chain(): EpochChain {
    return this.#known.chain;
  }
  get newest(): string | undefined {
    return this.chain.at(-1)?.epoch;
  }
  at(offset: number): string {
    return epochAt(this.chain, offset);
  }
  /** Of a message in the stream. */
  of(seq: number): string {
    return this.at(lastOffset(seq));
  }

  /**
   * Takes the chain from the stream, and adds a link when the store lives another life; resolves when this holds.
   * @param serverId names the life of the one server that keeps the stream; undefined where its life says nothing.
   */
  async settle(jetstream: JetStream, serverId: string | undefined, opened: StreamState): Promise<void> {
    // In a cluster, this server need not be the one that has the stream; and with replicas, what was acknowledged is on most of them.
    const incarnation = serverId === undefined ? opened.created : `${opened.created}/${serverId}`;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const last = await jetstream.last(this.#subject);
      // It may be gone though the stream is not: with maxBytes the oldest go, and a new leader in NATS 2.9 was seen without it. Whoever knows it writes it again.
      const kept = last === undefined && this.#known.incarnation === incarnation ? this.#known : undefined;
      const found = last === undefined ? kept : read(last.data);
      if (last !== undefined && found === undefined)
        throw jetstream.unusable(
          `the stream's ${this.#subject} is another version's, or not Zuruf's: name another with prefix and history.stream, or delete it`,
        );
      const fresh = found?.incarnation === incarnation;
      if (found !== undefined) this.#known = found;
      // It must not grow old and go while somebody needs it.
      const old = opened.maxAge > 0 && last !== undefined && Date.now() - last.time > opened.maxAge / 4;
      if (fresh && !old && kept === undefined) return;
      // Read on this connection, so after whatever the store forgot.
      const { lastSeq } = await jetstream.state();
      const link = { epoch: epochOf(incarnation), first: found === undefined ? 0 : lastOffset(lastSeq) + 1 };
      const chain = fresh ? found.chain : [...(found?.chain ?? []), link].slice(-mostLinks);
      try {
        await jetstream.append(this.#subject, write({ incarnation, chain }), {
          headers: {},
          expected: last?.seq ?? 0,
        });
      } catch (error) {
        // Another instance was first: what it wrote is read in the next round.
        if (!(error instanceof JetStreamError && error.isWrongLast)) throw error;
      }
    }
    throw new JetStreamError(0, "the epochs could not be agreed on: too many instances try at once");
  }

  /** The chain as it was announced; returns whether it is another than the one known. */
  adopt(data: Uint8Array): boolean {
    const known = read(data);
    if (known === undefined || known.chain.at(-1)?.epoch === this.newest) return false;
    this.#known = known;
    return true;
  }
}

/** Who finds no chain begins it with the same link as everybody else did: so positions of this life of the store stay valid. */
function epochOf(incarnation: string): string {
  return hash("sha256", incarnation, "base64url").slice(0, 16);
}

/** `<layout>\n<incarnation>\n<epoch>:<first> <epoch>:<first> …` */
function write({ incarnation, chain }: Known): Uint8Array {
  return Buffer.from(`${layout}\n${incarnation}\n${chain.map(({ epoch, first }) => `${epoch}:${first}`).join(" ")}`);
}

function read(data: Uint8Array): Known | undefined {
  const [found, incarnation = "", text = ""] = Buffer.from(data).toString().split("\n");
  const chain = readChain(text);
  return found !== layout || chain === undefined || incarnation === "" ? undefined : { incarnation, chain };
}
