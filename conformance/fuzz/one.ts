import { connection, type Finding, head, headers, mask } from "./cases.ts";
import { Random } from "./random.ts";

const kinds: readonly (readonly [string, number, (random: Random) => Finding])[] = [
  ["connection", 20, connection],
  ["headers", 3, headers],
  ["head", 2, head],
  ["mask", 3, mask],
];
const total = kinds.reduce((sum, [, weight]) => sum + weight, 0);

/** Runs one case; the same seed and number are the same input. @returns what is wrong, if anything. */
export function one(seed: number, number: number): string | undefined {
  const random = new Random(Math.imul(seed, 0x01000193) ^ Math.imul(number, 0x9e3779b1));
  let at = number % total;
  const kind = kinds.find(([, weight]) => (at -= weight) < 0) ?? kinds[0];
  if (!kind) return undefined;
  const [name, , run] = kind;
  try {
    const finding = run(random);
    return finding === undefined ? undefined : `${name}: ${finding}`;
  } catch (error) {
    return `${name} threw: ${error instanceof Error ? error.stack : String(error)}`;
  }
}
