/**
 * A log's chain of epochs: each link says from which offset on its epoch counts. A store that forgot its newest entries comes back as another
 * incarnation, and its first append adds a link; so the offsets that it gives out a second time carry another epoch, while positions from before stay valid.
 * Everything here is read from a broker, so it is checked.
 */
import type { HistoryPage, Position } from "../backplane.ts";

export interface EpochLink {
  readonly epoch: string;
  /** The first offset given out under this epoch. */
  readonly first: number;
}
/** Oldest link first; never empty. */
export type EpochChain = readonly EpochLink[];

const epochPattern = /^[A-Za-z0-9_-]{1,64}$/;
/** Whether this can be an epoch in a chain: 1 to 64 characters of base64url. */
export function isEpoch(text: string): boolean {
  return epochPattern.test(text);
}

/** A safe integer ≥ 0 in decimal, or undefined. */
export function readOffset(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const offset = Number(text);
  return Number.isSafeInteger(offset) ? offset : undefined;
}

/** Reads `epoch:first epoch:first …`; undefined when it is anything else. */
export function readChain(text: string): EpochChain | undefined {
  const chain: EpochLink[] = [];
  for (const part of text.split(" ")) {
    const colon = part.indexOf(":");
    const epoch = part.slice(0, Math.max(0, colon));
    const first = readOffset(part.slice(colon + 1));
    if (!isEpoch(epoch) || first === undefined) return undefined;
    chain.push({ epoch, first });
  }
  return chain;
}

/** The epoch under which an offset of this log was given out. */
export function epochAt(chain: EpochChain, offset: number): string {
  let epoch = chain[0]?.epoch ?? "";
  for (const link of chain) if (link.first <= offset) epoch = link.epoch;
  return epoch;
}

/** Why a position does not lie on this log; undefined when it does. */
export function misfit(chain: EpochChain, head: number, position: Position): HistoryPage["reason"] {
  const index = chain.findIndex((link) => link.epoch === position.epoch);
  if (index === -1) return "epoch";
  const next = chain[index + 1];
  return position.offset > head || (next !== undefined && position.offset >= next.first) ? "rollback" : undefined;
}
