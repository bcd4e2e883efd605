import { parseArgs } from "node:util";

/** What can be chosen from: the tests and peers of one suite. */
export interface Choice<Test, Peer> {
  /** The suite's name, as the command line has it. */
  readonly name: string;
  readonly tests: readonly Test[];
  readonly peers: readonly Peer[];
  /** Peers that `--quick` leaves out. */
  readonly slow?: readonly string[];
}

/** Something to choose by its name. */
export interface Named {
  readonly name: string;
  /** Whether `--quick` has it. */
  readonly quick?: boolean;
}

export interface Options<Test, Peer> {
  /** Interleaved runs of every test and peer; a floor is decided by the median. Default 5. */
  readonly runs: number;
  /** Measured seconds per run, after a warm-up of half of it. Default 2. */
  readonly seconds: number;
  readonly tests: readonly Test[];
  readonly peers: readonly Peer[];
  readonly quick: boolean;
}

export function usage({ name, tests, peers }: Choice<Named, Named>): string {
  return `npm run bench -- ${name} [options]

  --tests a,b     only these tests
  --peers x,y     only these servers
  --runs N        interleaved runs of each, default 5
  --seconds S     measured seconds per run, default 2 (plus half of it to warm up)
  --quick         a rough look within a minute: one short run, fewer tests and servers

tests: ${tests.map((test) => test.name).join(", ")}
peers: ${peers.map((peer) => peer.name).join(", ")}`;
}

function chosen<T extends Named>(all: readonly T[], names: string | undefined): readonly T[] | undefined {
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
export function optionsFrom<Test extends Named, Peer extends Named>(
  { tests, peers, slow = [] }: Choice<Test, Peer>,
  args: readonly string[],
): Options<Test, Peer> {
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
    peers: chosen(peers, values.peers) ?? peers.filter(({ name }) => !quick || !slow.includes(name)),
  };
}
