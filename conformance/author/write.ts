/** `npx tsx conformance/author/write.ts` writes `conformance/vectors/` from the cases beside it. */
import { mkdirSync, writeFileSync } from "node:fs";

import type { Files } from "../vector.ts";
import { vectors } from "./cases.ts";
import { closing } from "./closing.ts";
import { content } from "./content.ts";
import { control } from "./control.ts";
import { deflateCases } from "./deflate.ts";
import { framing } from "./framing.ts";
import { handshake } from "./handshake.ts";
import { answers, offers } from "./negotiation.ts";
import { sending } from "./sending.ts";

export const files: Files = {
  frames: [...framing, ...control, ...content, ...closing].flatMap(vectors),
  deflate: deflateCases.flatMap(vectors),
  sending,
  handshake,
  offers,
  answers,
};

/** One vector per line: long enough to be whole, short enough to compare. */
export function textOfFile(list: readonly unknown[]): string {
  return `[\n${list.map((vector) => JSON.stringify(vector)).join(",\n")}\n]\n`;
}

if (process.argv[1] === import.meta.filename) {
  const folder = new URL("../vectors/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const [name, list] of Object.entries(files))
    writeFileSync(new URL(`${name}.json`, folder), textOfFile(list as readonly unknown[]));
}
