/** Reads what the scripts answer. It comes from a broker, so it is checked. */
import { BackplaneError, type Item, type Position } from "@zuruf/hub";
import { epochAt, isEpoch, readChain, readOffset, type EpochChain } from "@zuruf/hub/store";

export function malformed(what: string): BackplaneError {
  return new BackplaneError(
    "unknown",
    `Redis holds something else than Zuruf's data (${what}): is the prefix used by somebody else?`,
  );
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
  /** In the order asked for; those too old left out. */
  readonly items: Item[];
}

export function readPage(answer: unknown): Page {
  if (!Array.isArray(answer)) throw malformed("page");
  const [chainText, headText, beforeText, entries] = answer as unknown[];
  const chain = readChain(text(chainText));
  const offset = readOffset(text(headText));
  if (chain === undefined || offset === undefined || !Array.isArray(entries)) throw malformed("page");
  const before = Number(text(beforeText));
  const items: Item[] = [];
  for (const entry of entries as unknown[]) {
    if (!Array.isArray(entry) || !Array.isArray(entry[1])) throw malformed("entry");
    const [id = "", ms = ""] = text(entry[0]).split("-");
    const itemOffset = readOffset(id);
    const data: unknown = entry[1][1];
    if (itemOffset === undefined || !(data instanceof Buffer)) throw malformed("entry");
    if (Number(ms) >= before) items.push({ epoch: epochAt(chain, itemOffset), offset: itemOffset, data });
  }
  return { chain, head: { epoch: epochAt(chain, offset), offset }, items };
}

function text(value: unknown): string {
  if (value instanceof Buffer) return value.toString("latin1");
  if (typeof value === "string") return value;
  throw malformed("text");
}
