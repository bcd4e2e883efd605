import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { alone } from "./alone.ts";
import { machine } from "./machine.ts";
import { type Choice, type Named, type Options, optionsFrom, usage } from "./options.ts";
import { builtAt, install } from "./programs.ts";
import { type ReportedPeer, type ReportedTest, type Results, type TestResult, testResult, testText } from "./report.ts";
import type { Run } from "./run.ts";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
export const say = (text: string): void => void process.stdout.write(`${text}\n`);
export const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Servers and tests, and how one is put through the other. */
export interface Suite<Test extends ReportedTest & Named, Peer extends ReportedPeer & Named> extends Choice<
  Test,
  Peer
> {
  /** The peer that is 1 in tables and charts. */
  readonly baseline: string;
  /** Tests that a run must have for its figures to be shown in the documentation. */
  readonly whole: number;
  /** Why a peer cannot be started here; undefined when it can. */
  missing(peer: Peer): string | undefined;
  /** Whether a peer can take a test at all. */
  able(peer: Peer, test: Test): boolean;
  /** Compares every byte of a peer's answers. @returns the versions of what it is made of. @throws when they are wrong. */
  verify(peer: Peer, test: Test): Promise<Readonly<Record<string, string>>>;
  measure(peer: Peer, test: Test, seconds: number): Promise<Run>;
  /** The chart of a whole run, as SVG. */
  chart(results: Results): string;
}

/** What an invocation found out besides the figures. */
interface Notes {
  readonly notMeasured: string[];
  readonly versions: Record<string, Readonly<Record<string, string>>>;
}

/**
 * Measures a suite, as its arguments say.
 * @returns the process's exit code: 0, 1 when Zuruf missed a floor or answered wrongly, 2 for a bad argument.
 */
export async function run<Test extends ReportedTest & Named, Peer extends ReportedPeer & Named>(
  suite: Suite<Test, Peer>,
  args: readonly string[],
): Promise<number> {
  let options: Options<Test, Peer>;
  try {
    options = optionsFrom(suite, args);
  } catch (error) {
    say(`${reason(error)}\n\n${usage(suite)}`);
    return 2;
  }
  await alone(() => say("Another measurement runs on this machine; waiting for its end."));
  const notes: Notes = { notMeasured: [], versions: {} };
  const peers = available(suite, options.peers, notes);
  if (peers.some(({ name }) => name.startsWith("zuruf"))) say(`Zuruf was built ${builtAt()}\n`);
  const results: TestResult[] = [];
  for (const test of options.tests) {
    const candidates = peers.filter((peer) => suite.able(peer, test));
    // The rough look verifies nothing: it has a minute.
    const right = options.quick ? candidates : await verified(suite, test, candidates, notes);
    const result = await rounds(suite, test, right, options, notes);
    results.push(result);
    say(testText(result, peers));
  }
  const { notMeasured, versions } = notes;
  if (notMeasured.length > 0) say(`Not measured:\n${notMeasured.map((note) => `  ${note}`).join("\n")}\n`);
  const { runs, seconds } = options;
  const figures = { machine: machine(), runs, seconds, versions, notMeasured, tests: results };
  // A part or a rough look must not replace the figures that the documentation shows.
  const whole = !options.quick && runs >= 5 && results.length >= suite.whole;
  write(suite.name, figures, whole ? suite.chart(figures) : undefined);
  const disturbed = Math.max(
    ...results.flatMap(({ peers: those }) => Object.values(those).map(({ othersBusy = 0 }) => othersBusy)),
  );
  if (disturbed > 0.1) {
    say(
      `Something else kept up to ${disturbed.toFixed(1)} cores busy: the figures are disturbed, the fast servers' most.\n`,
    );
  }
  const floors = results.flatMap((result) => [...result.floors, ...result.bounds]);
  const unmet = floors.filter(({ met }) => !met).length;
  say(`${floors.length - unmet} of ${floors.length} floors met`);
  return unmet > 0 || notMeasured.some((note) => note.startsWith("Zuruf")) ? 1 : 0;
}

/** Writes figures to `bench/results/`, and those of a whole run with their chart for the documentation. */
export function write(suite: string, figures: unknown, chart: string | undefined): void {
  mkdirSync(path("../results"), { recursive: true });
  const file = path(`../results/${suite}${chart === undefined ? ".partial" : ""}.json`);
  writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`);
  say(`figures: ${file}`);
  if (chart === undefined) return;
  mkdirSync(path("../../docs/images"), { recursive: true });
  const image = path(`../../docs/images/${suite}-bench.svg`);
  writeFileSync(image, chart);
  say(`chart: ${image}`);
}

function available<Test extends ReportedTest & Named, Peer extends ReportedPeer & Named>(
  suite: Suite<Test, Peer>,
  peers: readonly Peer[],
  notes: Notes,
): Peer[] {
  const problem = install();
  if (problem !== undefined) notes.notMeasured.push(problem);
  return peers.filter((peer) => {
    const why = suite.missing(peer);
    if (why !== undefined) notes.notMeasured.push(`${peer.title}: ${why}`);
    return why === undefined;
  });
}

/** Says why at once; the figures keep only what failed, because what a process prints is full of this machine's paths. */
function failed(what: string, error: unknown, notes: Notes): void {
  say(`${what}: ${reason(error)}\n`);
  notes.notMeasured.push(what);
}

/** Which peers answer this test rightly, byte for byte. */
async function verified<Test extends ReportedTest & Named, Peer extends ReportedPeer & Named>(
  suite: Suite<Test, Peer>,
  test: Test,
  peers: readonly Peer[],
  notes: Notes,
): Promise<Peer[]> {
  const right: Peer[] = [];
  for (const peer of peers) {
    try {
      notes.versions[peer.name] = await suite.verify(peer, test);
      right.push(peer);
    } catch (error) {
      failed(`${peer.title} in ${test.name}, the checking run`, error, notes);
    }
  }
  return right;
}

/** All rounds of one test. In each round every peer runs once, in an order that rotates. */
async function rounds<Test extends ReportedTest & Named, Peer extends ReportedPeer & Named>(
  suite: Suite<Test, Peer>,
  test: Test,
  peers: readonly Peer[],
  options: Options<Test, Peer>,
  notes: Notes,
): Promise<TestResult> {
  const byPeer = new Map(peers.map((peer) => [peer.name, [] as (Run | undefined)[]]));
  for (let round = 0; round < Math.min(options.runs, test.rounds ?? Infinity); round++) {
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[(i + round) % peers.length];
      if (!peer) continue;
      try {
        byPeer.get(peer.name)?.push(await suite.measure(peer, test, options.seconds));
      } catch (error) {
        byPeer.get(peer.name)?.push(undefined);
        failed(`${peer.title} in ${test.name}, round ${round + 1}`, error, notes);
      }
    }
  }
  return testResult(test, byPeer, suite.baseline);
}
