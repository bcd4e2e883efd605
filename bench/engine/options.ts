import { parseArgs } from "node:util";

import { type Peer, peers } from "./peers.ts";
import { type Test, tests } from "./tests.ts";

export interface Options {
  /** Interleaved runs of every test and peer; a floor is decided by the median. Default 5. */
  readonly runs: number;
  /** Measured seconds per run, after a warm-up of half of it. Default 2. */
  readonly seconds: number;
  readonly tests: readonly Test[];
  readonly peers: readonly Peer[];
  readonly quick: boolean;
}

export const usage: string = `npm run bench -- engine [options]

  --tests a,b     only these tests
  --peers x,y     only these servers
  --runs N        interleaved runs of each, default 5
  --seconds S     measured seconds per run, default 2 (plus half of it to warm up)
  --quick         a rough look within a minute: one short run, fewer tests and servers

tests: ${tests.map(({ name }) => name).join(", ")}
peers: ${peers.map(({ name }) => name).join(", ")}`;

function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  names: string | undefined,
): readonly T[] | undefined {
  return names?.split(",").map((name) => {
    const found = all.find((one) => one.name === name.trim());
    if (!found) throw new TypeError(`there is no "${name}"; there are: ${all.map((one) => one.name).join(", ")}`);
    return found;
  });
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new TypeError(`--${name} needs a number above 0, not "${text}"`);
  return value;
}

/** @throws TypeError that says what is wrong with an argument. */
export function optionsFrom(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tests: { type: "string" },
      peers: { type: "string" },
      runs: { type: "string" },
      seconds: { type: "string" },
      quick: { type: "boolean", default: false },
    },
  });
  const { quick } = values;
  return {
    quick,
    runs: Math.ceil(positive("runs", values.runs) ?? (quick ? 1 : 5)),
    seconds: positive("seconds", values.seconds) ?? (quick ? 0.4 : 2),
    tests: chosen(tests, values.tests) ?? tests.filter((test) => !quick || test.quick),
    peers:
      chosen(peers, values.peers) ?? peers.filter(({ name }) => !quick || !["ws-cork", "zuruf-public"].includes(name)),
  };
}
