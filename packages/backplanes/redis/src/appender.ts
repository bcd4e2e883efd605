import { BackplaneError, type Position, type Retention } from "@zuruf/hub";
import type { Gathered } from "@zuruf/hub/store";
import { malformed, readPositions } from "./page.ts";

/** Publications and bytes of one call: few enough not to hold up others. */
const most = { publications: 256, bytes: 512 * 1024 };

/** What is to be appended to one channel. */
export interface Batch {
  readonly channel: string;
  readonly publications: readonly Gathered[];
  readonly retention: Retention;
  readonly bytes: number;
  /** Milliseconds. */
  readonly within: number;
}

interface Waiting extends Batch {
  readonly resolve: (positions: Position[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends batches of several channels in one call: what a call costs beside its publications is the most of it where each channel has few.
 * On a cluster a call reaches one slot, so there each channel is a call of its own.
 */
export class Appender {
  readonly #call: (batches: readonly Batch[], within: number) => Promise<unknown>;
  readonly #alone: () => boolean;
  #waiting: Waiting[] = [];

  /** @param call resolves with what `append` answered. @param alone whether a call takes one channel only. */
  constructor(call: (batches: readonly Batch[], within: number) => Promise<unknown>, alone: () => boolean) {
    this.#call = call;
    this.#alone = alone;
  }

  append(channel: string, publications: readonly Gathered[], within: number): Promise<Position[]> {
    const retention = publications[0]?.options.retention;
    if (retention === undefined)
      return Promise.reject(new BackplaneError("notStored", "what keeps no history is not appended"));
    let bytes = 0;
    for (const { data } of publications) bytes += data.byteLength;
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ channel, publications, retention, bytes, within, resolve, reject }) > 1) return;
      queueMicrotask(() => {
        const all = this.#waiting;
        this.#waiting = [];
        while (all.length > 0) void this.#send(all.splice(0, this.#fitting(all)));
      });
    });
  }

  /** How many go together, at least one. */
  #fitting(all: readonly Waiting[]): number {
    if (this.#alone()) return 1;
    let [count, bytes] = [0, 0];
    for (const [i, batch] of all.entries()) {
      count += batch.publications.length;
      bytes += batch.bytes;
      if (i > 0 && (count > most.publications || bytes > most.bytes)) return i;
    }
    return all.length;
  }

  async #send(batches: readonly Waiting[]): Promise<void> {
    try {
      const answers = await this.#call(batches, Math.min(...batches.map(({ within }) => within)));
      if (!Array.isArray(answers) || answers.length !== batches.length) throw malformed("answers");
      for (const [i, batch] of batches.entries()) settle(batch, answers[i]);
    } catch (error) {
      for (const { reject } of batches) reject(error);
    }
  }
}

/** Why nothing at all was stored; undefined when something was. */
export function refusalOf(answers: unknown): string | undefined {
  const refusals = Array.isArray(answers) ? answers.map(readRefusal) : [];
  return refusals.every((refusal) => refusal !== undefined) ? refusals[0] : undefined;
}

function readRefusal(answer: unknown): string | undefined {
  return typeof answer === "string" && answer.startsWith("!") ? answer.slice(1) : undefined;
}

function settle({ publications, resolve, reject }: Waiting, answer: unknown): void {
  const refusal = readRefusal(answer);
  try {
    if (refusal !== undefined) throw new BackplaneError("notStored", `Redis refused: ${refusal}`);
    resolve(readPositions(answer, publications.length));
  } catch (error) {
    reject(error);
  }
}
