/**
 * A log's chain of epochs: each link says from which offset on its epoch counts. A store that forgot its newest entries comes back as another
 * incarnation, and its first append adds a link; so the offsets that it gives out a second time carry another epoch, while positions from before stay valid.
 */
import type { LossReason } from "@zuruf/protocol";
import type { Position } from "@zuruf/hub";
import { isEpoch, readOffset } from "./wire.ts";

export interface Link {
  readonly epoch: string;
  /** The first offset given out under this epoch. */
  readonly first: number;
}
/** Oldest link first; never empty. */
export type Chain = readonly Link[];

/** Reads `epoch:first epoch:first …`; undefined when it is anything else. */
export function readChain(text: string): Chain | undefined {
  const chain: Link[] = [];
  for (const part of text.split(" ")) {
    const colon = part.indexOf(":");
    const epoch = part.slice(0, colon);
    const first = readOffset(part.slice(colon + 1));
    if (colon < 1 || !isEpoch(epoch) || first === undefined) return undefined;
    chain.push({ epoch, first });
  }
  return chain.length === 0 ? undefined : chain;
}

/** The epoch under which an offset of this log was given out. */
export function epochAt(chain: Chain, offset: number): string {
  let epoch = chain[0]?.epoch ?? "";
  for (const link of chain) if (link.first <= offset) epoch = link.epoch;
  return epoch;
}

/** Why a position does not lie on this log; undefined when it does. */
export function misfit(chain: Chain, head: number, position: Position): LossReason | undefined {
  const index = chain.findIndex((link) => link.epoch === position.epoch);
  if (index === -1) return "epoch";
  const next = chain[index + 1];
  return position.offset > head || (next !== undefined && position.offset >= next.first) ? "rollback" : undefined;
}
