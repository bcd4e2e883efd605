import { randomInt } from "node:crypto";

const letters = "0123456789abcdefghjkmnpqrstvwxyz";

/** A name for one life of an instance, unique among those that share a backplane: `i1-` and six random letters (30 bits). */
export function instanceName(base = "i1"): string {
  return `${base}-${Array.from({ length: 6 }, () => letters[randomInt(letters.length)]).join("")}`;
}
