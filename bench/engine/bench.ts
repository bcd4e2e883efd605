import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { alone } from "../measure/alone.ts";
import { machine } from "../measure/machine.ts";
import { chart } from "./chart.ts";
import { measure, type Run, verify } from "./measure.ts";
import { type Options, optionsFrom, usage } from "./options.ts";
import { builtAt, install, missing, type Peer } from "./peers.ts";
import { type Results, type TestResult, testResult, testText } from "./report.ts";
import type { Test } from "./tests.ts";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What this invocation found out besides the figures. */
interface Notes {
  readonly notMeasured: string[];
  readonly versions: Record<string, Readonly<Record<string, string>>>;
}

function available(peers: readonly Peer[], notes: Notes): Peer[] {
  const problem = install();
  if (problem !== undefined) notes.notMeasured.push(problem);
  return peers.filter((peer) => {
    const why = missing(peer);
    if (why !== undefined) notes.notMeasured.push(`${peer.title}: ${why}`);
    return why === undefined;
  });
}

function able({ lacks }: Peer, { compression }: Test): boolean {
  if (lacks === "compression") return compression === "off";
  return lacks !== "context takeover" || compression !== "context";
}

/** Which peers answer this test rightly, byte for byte. */
async function verified(test: Test, peers: readonly Peer[], notes: Notes): Promise<Peer[]> {
  const right: Peer[] = [];
  for (const peer of peers) {
    try {
      const { versions } = await verify(peer, test);
      notes.versions[peer.name] = versions;
      right.push(peer);
    } catch (error) {
      notes.notMeasured.push(`${peer.title} in ${test.name}, wrong in the checking run: ${reason(error)}`);
    }
  }
  return right;
}

/** All rounds of one test. In each round every peer runs once, in an order that rotates. */
async function rounds(test: Test, peers: readonly Peer[], options: Options, notes: Notes): Promise<TestResult> {
  const byPeer = new Map(peers.map((peer) => [peer.name, [] as (Run | undefined)[]]));
  for (let round = 0; round < options.runs; round++) {
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[(i + round) % peers.length];
      if (!peer) continue;
      try {
        byPeer.get(peer.name)?.push(await measure(peer, test, options.seconds));
      } catch (error) {
        byPeer.get(peer.name)?.push(undefined);
        notes.notMeasured.push(`${peer.title} in ${test.name}, round ${round + 1}: ${reason(error)}`);
      }
    }
  }
  return testResult(test, byPeer);
}

function write(results: Results, options: Options): void {
  // A part or a rough look must not replace the figures that the documentation shows.
  const whole = !options.quick && options.runs >= 5 && results.tests.length > 10;
  const file = path(whole ? "../results/engine.json" : "../results/engine.partial.json");
  mkdirSync(path("../results"), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  say(`figures: ${file}`);
  if (!whole) return;
  mkdirSync(path("../../docs/images"), { recursive: true });
  const image = path("../../docs/images/engine-bench.svg");
  writeFileSync(image, chart(results));
  say(`chart: ${image}`);
}

/**
 * Measures the WebSocket engine beside its peers.
 * @returns the process's exit code: 0, 1 when Zuruf missed a floor or answered wrongly, 2 for a bad argument.
 */
export async function engine(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = optionsFrom(args);
  } catch (error) {
    say(`${reason(error)}\n\n${usage}`);
    return 2;
  }
  await alone(() => say("Another measurement runs on this machine; waiting for its end."));
  const notes: Notes = { notMeasured: [], versions: {} };
  const peers = available(options.peers, notes);
  if (peers.some(({ name }) => name.startsWith("zuruf"))) say(`Zuruf was built ${builtAt()}\n`);
  const results: TestResult[] = [];
  for (const test of options.tests) {
    const candidates = peers.filter((peer) => able(peer, test));
    // The rough look verifies nothing: it has a minute.
    const right = options.quick ? candidates : await verified(test, candidates, notes);
    const result = await rounds(test, right, options, notes);
    results.push(result);
    say(testText(result, peers));
  }
  const { notMeasured, versions } = notes;
  if (notMeasured.length > 0) say(`Not measured:\n${notMeasured.map((note) => `  ${note}`).join("\n")}\n`);
  write(
    { machine: machine(), runs: options.runs, seconds: options.seconds, versions, notMeasured, tests: results },
    options,
  );
  const disturbed = Math.max(
    ...results.flatMap(({ peers }) => Object.values(peers).map(({ othersBusy = 0 }) => othersBusy)),
  );
  if (disturbed > 0.1) {
    say(
      `Something else kept up to ${disturbed.toFixed(1)} cores busy: the figures are disturbed, the fast servers' most.\n`,
    );
  }
  const floors = results.flatMap((result) => result.floors);
  const unmet = floors.filter(({ met }) => !met).length;
  say(`${floors.length - unmet} of ${floors.length} floors met`);
  return unmet > 0 || notMeasured.some((note) => note.startsWith("Zuruf")) ? 1 : 0;
}
