import { inspect } from "node:util";
import { WebSocketError } from "../core/errors.ts";

/** An option's range and default. */
export interface IntegerOption {
  readonly least: number;
  readonly most: number;
  readonly standard: number;
}

/** An option's value, or its default. @throws WebSocketError INVALID_OPTION, naming it. */
export function readInteger(name: string, value: unknown, { least, most, standard }: IntegerOption): number {
  if (value === undefined) return standard;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw new WebSocketError(
      "INVALID_OPTION",
      `${name} must be an integer from ${least} to ${most}, not ${inspect(value)}`,
    );
  }
  return value;
}
