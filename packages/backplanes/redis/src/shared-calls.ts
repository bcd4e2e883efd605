import { BackplaneError, type Position } from "@zuruf/hub";
import type { Gathered } from "@zuruf/hub/store";
import { malformed } from "./page.ts";

/** Publications and bytes of one call: few enough not to hold up others. */
const most = { publications: 256, bytes: 512 * 1024 };

/** What is published to one channel together. */
export interface Batch {
  readonly channel: string;
  readonly publications: readonly Gathered[];
  /** Of their data. */
  readonly bytes: number;
  /** Milliseconds. */
  readonly within: number;
}

interface Waiting extends Batch {
  readonly resolve: (positions: readonly (Position | undefined)[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface SharedCallsOptions {
  /** Resolves with an answer for each batch. */
  readonly call: (batches: readonly Batch[], within: number) => Promise<unknown>;
  /** What the answer to a batch says of this many publications. */
  readonly read: (answer: unknown, count: number) => readonly (Position | undefined)[];
  /** Whether a call takes one channel only. */
  readonly alone: () => boolean;
}

/**
 * Sends batches of several channels in one call: what a call costs beside its publications is the most of it where each channel has few.
 * On a cluster a call reaches one slot, so there each channel is a call of its own.
 */
export class SharedCalls {
  readonly #options: SharedCallsOptions;
  #waiting: Waiting[] = [];

  constructor(options: SharedCallsOptions) {
    this.#options = options;
  }

  send(channel: string, publications: readonly Gathered[], within: number): Promise<readonly (Position | undefined)[]> {
    let bytes = 0;
    for (const { data } of publications) bytes += data.byteLength;
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ channel, publications, bytes, within, resolve, reject }) > 1) return;
      queueMicrotask(() => {
        const all = this.#waiting;
        this.#waiting = [];
        for (let from = 0; from < all.length;) {
          const to = this.#end(all, from);
          void this.#send(all.slice(from, to));
          from = to;
        }
      });
    });
  }

  /** Where those end that go together, at least one. */
  #end(all: readonly Waiting[], from: number): number {
    if (this.#options.alone()) return from + 1;
    let [count, bytes, end] = [0, 0, from];
    for (let batch = all[end]; batch !== undefined; batch = all[++end]) {
      count += batch.publications.length;
      bytes += batch.bytes;
      if (end > from && (count > most.publications || bytes > most.bytes)) break;
    }
    return end;
  }

  async #send(batches: readonly Waiting[]): Promise<void> {
    try {
      const answers = await this.#options.call(batches, Math.min(...batches.map(({ within }) => within)));
      if (!Array.isArray(answers) || answers.length !== batches.length) throw malformed("answers");
      for (const [i, batch] of batches.entries()) this.#settle(batch, answers[i]);
    } catch (error) {
      for (const { reject } of batches) reject(error);
    }
  }

  #settle({ publications, resolve, reject }: Waiting, answer: unknown): void {
    try {
      const failure = failureOf(answer);
      if (failure !== undefined) throw failure;
      resolve(this.#options.read(answer, publications.length));
    } catch (error) {
      reject(error);
    }
  }
}

/** Why nothing at all was published; undefined when something was, or may have been. */
export function refusalOf(answers: unknown): string | undefined {
  if (!Array.isArray(answers)) return undefined;
  const refused = answers.every((answer) => typeof answer === "string" && answer.startsWith("!"));
  return refused ? (answers[0] as string | undefined)?.slice(1) : undefined;
}

/** Scripts answer for each batch that failed with a mark and the reason. */
function failureOf(answer: unknown): BackplaneError | undefined {
  if (typeof answer !== "string") return undefined;
  if (answer.startsWith("!")) return new BackplaneError("notStored", `Redis refused: ${answer.slice(1)}`);
  if (answer.startsWith("?")) return new BackplaneError("unknown", `Redis failed: ${answer.slice(1)}`);
  return undefined;
}
