/** Reads what the scripts answer. It comes from a broker, so it is checked. */
import { BackplaneError, type Item, type Position } from "@zuruf/hub";
import { epochAt, isEpoch, readChain, readOffset, type EpochChain } from "@zuruf/hub/store";
import { readBlock } from "./block.ts";

export function malformed(what: string): BackplaneError {
  return new BackplaneError(
    "unknown",
    `Redis holds something else than Zuruf's data (${what}): is the prefix used by somebody else?`,
  );
}

/** What `append` answers for this many publications: the first position, or each. */
export function readPositions(answer: unknown, count: number): Position[] {
  if (Array.isArray(answer)) {
    if (answer.length !== count) throw malformed("positions");
    return answer.map(readPosition);
  }
  const first = readPosition(answer);
  const positions = [first];
  for (let i = 1; i < count; i++) positions.push({ epoch: first.epoch, offset: first.offset + i });
  return positions;
}

/** `epoch offset` */
export function readPosition(answer: unknown): Position {
  const [epoch = "", text = ""] = typeof answer === "string" ? answer.split(" ") : [];
  const offset = readOffset(text);
  if (offset === undefined || !isEpoch(epoch)) throw malformed("position");
  return { epoch, offset };
}

export interface Page {
  readonly chain: EpochChain;
  readonly head: Position;
  /** In offset order; those too old left out. There may be more of them than were asked for, at both ends. */
  readonly items: Item[];
}

export function readPage(answer: unknown): Page {
  if (!Array.isArray(answer)) throw malformed("page");
  const [chainText, headText, beforeText, entries] = answer as unknown[];
  const chain = readChain(text(chainText));
  const offset = readOffset(text(headText));
  if (chain === undefined || offset === undefined || !Array.isArray(entries)) throw malformed("page");
  const before = Number(text(beforeText));
  const blocks = (entries as unknown[]).map(readEntry).filter(({ time }) => time >= before);
  const items = blocks
    .toSorted((a, b) => a.first - b.first)
    .flatMap(({ first, all }) => all.map((data, i) => ({ epoch: epochAt(chain, first + i), offset: first + i, data })));
  return { chain, head: { epoch: epochAt(chain, offset), offset }, items };
}

/** `<offset of the last>-<ms>`, and fields whose first is the block. */
function readEntry(entry: unknown): { first: number; time: number; all: Buffer[] } {
  if (!Array.isArray(entry) || !Array.isArray(entry[1])) throw malformed("entry");
  const [id = "", ms = ""] = text(entry[0]).split("-");
  const last = readOffset(id);
  const block: unknown = entry[1][1];
  const all = block instanceof Buffer ? readBlock(block) : undefined;
  if (last === undefined || all === undefined || all.length > last) throw malformed("entry");
  return { first: last - all.length + 1, time: Number(ms), all };
}

function text(value: unknown): string {
  if (value instanceof Buffer) return value.toString("latin1");
  if (typeof value === "string") return value;
  throw malformed("text");
}
