import type { Machine } from "../measure/machine.ts";
import { median } from "../measure/statistics.ts";
import { columns, short, times } from "../measure/text.ts";
import type { Run } from "./measure.ts";
import type { Peer } from "./peers.ts";
import type { Test } from "./tests.ts";

/** All runs of one test with one peer, in the order of the rounds; undefined where a run failed. */
export type Runs = readonly (Run | undefined)[];

/** What `bench/results/engine.json` holds. */
export interface Results {
  readonly machine: Machine;
  readonly runs: number;
  readonly seconds: number;
  readonly versions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly notMeasured: readonly string[];
  readonly tests: readonly TestResult[];
}

export interface TestResult {
  readonly name: string;
  readonly title: string;
  readonly measures: Test["measures"];
  readonly peers: Readonly<Record<string, PeerResult>>;
  readonly floors: readonly FloorResult[];
}

export interface PeerResult extends Run {
  /** The median over the runs of (this peer ÷ `ws`) within one round; absent without `ws`. */
  readonly timesWs?: number;
  readonly runs: readonly number[];
}

export interface FloorResult {
  readonly subject: string;
  readonly against: string;
  readonly floor: number;
  readonly aim?: number;
  readonly ratio: number;
  readonly met: boolean;
}

/** The median over the rounds in which both ran: what disturbed the machine in one round disturbed both. */
export function ratioOf(subject: Runs, against: Runs): number {
  const ratios = subject.flatMap((run, round) => {
    const other = against[round];
    return run && other ? [run.value / other.value] : [];
  });
  return median(ratios);
}

const medianOf = (runs: Runs, key: keyof Run): number | undefined => {
  const values = runs.flatMap((run) => (run?.[key] === undefined ? [] : [run[key]]));
  return values.length === 0 ? undefined : median(values);
};

function peerResult(runs: Runs, ws: Runs | undefined): PeerResult {
  const keys = [
    "serverBusy",
    "generatorBusy",
    "othersBusy",
    "messagesPerSecond",
    "p50",
    "p99",
    "rss",
    "external",
  ] as const;
  const medians = keys.flatMap((key) => {
    const value = medianOf(runs, key);
    return value === undefined ? [] : [[key, value] as const];
  });
  return {
    value: medianOf(runs, "value") ?? Number.NaN,
    ...Object.fromEntries(medians),
    ...(ws ? { timesWs: ratioOf(runs, ws) } : {}),
    runs: runs.flatMap((run) => (run ? [run.value] : [])),
  };
}

export function testResult(test: Test, byPeer: ReadonlyMap<string, Runs>): TestResult {
  const floors = test.floors.flatMap(({ subject, against, ratio: floor, aim }): FloorResult[] => {
    const its = byPeer.get(subject);
    const others = byPeer.get(against);
    if (!its || !others) return [];
    const ratio = ratioOf(its, others);
    if (Number.isNaN(ratio)) return [];
    const met = test.measures === "memory" ? ratio <= floor : ratio >= floor;
    return [{ subject, against, floor, ...(aim === undefined ? {} : { aim }), ratio, met }];
  });
  const { name, title, measures } = test;
  const ws = byPeer.get("ws");
  const results = [...byPeer].map(([peer, runs]) => [peer, peerResult(runs, ws)] as const);
  return { name, title, measures, peers: Object.fromEntries(results), floors };
}

/** One test as the terminal shows it. */
export function testText(result: TestResult, peers: readonly Peer[]): string {
  const memory = result.measures === "memory";
  const head = memory
    ? ["", "JS heap", "× ws", "external", "RSS"]
    : ["", "per CPU-s", "× ws", "per second", "server busy", "generator busy", "others", "p50 ms", "p99 ms"];
  const rows = peers.flatMap(({ name, title }) => {
    const it = result.peers[name];
    if (!it) return [];
    const share = (value: number | undefined): string => (value === undefined ? "" : `${Math.round(value * 100)} %`);
    const time = (value: number | undefined): string => (value === undefined ? "" : value.toFixed(3));
    const figures = memory
      ? [short(it.external ?? Number.NaN), short(it.rss ?? Number.NaN)]
      : [
          short(it.messagesPerSecond ?? Number.NaN),
          share(it.serverBusy),
          share(it.generatorBusy),
          share(it.othersBusy),
          time(it.p50),
          time(it.p99),
        ];
    return [[`  ${title}`, short(it.value), it.timesWs === undefined ? "" : times(it.timesWs), ...figures]];
  });
  const floors = result.floors.map(({ subject, against, floor, aim, ratio, met }) => {
    const bound = memory ? "at most" : "at least";
    const aimed = aim === undefined ? "" : `, aim ${times(aim)}`;
    return `  ${met ? "met    " : "NOT MET"} ${subject} against ${against}: ${times(ratio)} (${bound} ${times(floor)}${aimed})`;
  });
  return [`${result.name}: ${result.title}`, columns([head, ...rows]), ...floors, ""].join("\n");
}
