import type { Machine } from "./machine.ts";
import type { Run } from "./run.ts";
import { median } from "./statistics.ts";
import { columns, short, times } from "./text.ts";

/** A promise about one test: the median over the runs of (subject ÷ against). */
export interface Floor {
  readonly subject: string;
  readonly against: string;
  readonly ratio: number;
  /** What we would like to reach; printed, never failed. */
  readonly aim?: number;
}

/** A promise about one server alone: the median over the runs of what was measured, in milliseconds. */
export interface Bound {
  readonly subject: string;
  readonly of: "p50" | "p99";
  readonly most: number;
}

/** What a report needs to know of a test. */
export interface ReportedTest {
  readonly name: string;
  readonly title: string;
  /** `throughput` counts messages per CPU-second of the server (more is better), `memory` bytes of JS heap per connection (less is better). */
  readonly measures: "throughput" | "memory";
  readonly floors: readonly Floor[];
  readonly bounds?: readonly Bound[];
  /** At most so many rounds, however many are asked for. */
  readonly rounds?: number;
}

/** A measured server, by its name in results and its title in tables; the one that `baseline` names is 1 in them. */
export interface ReportedPeer {
  readonly name: string;
  readonly title: string;
}

/** All runs of one test with one peer, in the order of the rounds; undefined where a run failed. */
export type Runs = readonly (Run | undefined)[];

/** What `bench/results/*.json` hold. */
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
  readonly measures: ReportedTest["measures"];
  /** The peer that the others are compared with. */
  readonly baseline: string;
  readonly peers: Readonly<Record<string, PeerResult>>;
  readonly floors: readonly FloorResult[];
  readonly bounds: readonly BoundResult[];
}

export interface PeerResult extends Run {
  /** The median over the runs of (this peer ÷ the baseline) within one round; absent without it. */
  readonly timesBaseline?: number;
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

export interface BoundResult extends Bound {
  readonly value: number;
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

const share = (value: number): string => `${Math.round(value * 100)} %`;
const time = (value: number): string => value.toFixed(3);

/** What a run may have found besides its value, in the order of the table's columns. */
const columnsOf: readonly {
  readonly key: Exclude<keyof Run, "value">;
  readonly title: string;
  readonly text: (value: number) => string;
}[] = [
  { key: "external", title: "external", text: short },
  { key: "rss", title: "RSS", text: short },
  { key: "brokerMemory", title: "broker", text: short },
  { key: "idleCpu", title: "idle ms/s", text: time },
  { key: "openCpu", title: "open ms/s", text: time },
  { key: "messagesPerSecond", title: "per second", text: short },
  { key: "publicationsPerSecond", title: "publications/s", text: short },
  { key: "serverBusy", title: "server busy", text: share },
  { key: "generatorBusy", title: "generator busy", text: share },
  { key: "othersBusy", title: "others", text: share },
  { key: "p50", title: "p50 ms", text: time },
  { key: "p99", title: "p99 ms", text: time },
];

const medianOf = (runs: Runs, key: keyof Run): number | undefined => {
  const values = runs.flatMap((run) => (run?.[key] === undefined ? [] : [run[key]]));
  return values.length === 0 ? undefined : median(values);
};

function peerResult(runs: Runs, baseline: Runs | undefined): PeerResult {
  const keys = columnsOf.map(({ key }) => key);
  const medians = keys.flatMap((key) => {
    const value = medianOf(runs, key);
    return value === undefined ? [] : [[key, value] as const];
  });
  return {
    value: medianOf(runs, "value") ?? Number.NaN,
    ...Object.fromEntries(medians),
    ...(baseline ? { timesBaseline: ratioOf(runs, baseline) } : {}),
    runs: runs.flatMap((run) => (run ? [run.value] : [])),
  };
}

export function testResult(test: ReportedTest, byPeer: ReadonlyMap<string, Runs>, baseline: string): TestResult {
  const floors = test.floors.flatMap(({ subject, against, ratio: floor, aim }): FloorResult[] => {
    const its = byPeer.get(subject);
    const others = byPeer.get(against);
    if (!its || !others) return [];
    const ratio = ratioOf(its, others);
    if (Number.isNaN(ratio)) return [];
    const met = test.measures === "memory" ? ratio <= floor : ratio >= floor;
    return [{ subject, against, floor, ...(aim === undefined ? {} : { aim }), ratio, met }];
  });
  const bounds = (test.bounds ?? []).flatMap((bound): BoundResult[] => {
    const value = medianOf(byPeer.get(bound.subject) ?? [], bound.of);
    return value === undefined ? [] : [{ ...bound, value, met: value <= bound.most }];
  });
  const { name, title, measures } = test;
  const others = byPeer.get(baseline);
  const results = [...byPeer].map(([peer, runs]) => [peer, peerResult(runs, others)] as const);
  return { name, title, measures, baseline, peers: Object.fromEntries(results), floors, bounds };
}

/** One test as the terminal shows it. */
export function testText(result: TestResult, peers: readonly ReportedPeer[]): string {
  const memory = result.measures === "memory";
  const measured = peers.flatMap(({ name, title }) => {
    const it = result.peers[name];
    return it ? [{ title, it }] : [];
  });
  const shown = columnsOf.filter(({ key }) => measured.some(({ it }) => it[key] !== undefined));
  const head = ["", memory ? "JS heap" : "per CPU-s", `× ${result.baseline}`, ...shown.map((column) => column.title)];
  const rows = measured.map(({ title, it }) => [
    `  ${title}`,
    short(it.value),
    it.timesBaseline === undefined ? "" : times(it.timesBaseline),
    ...shown.map(({ key, text }) => {
      const value = it[key];
      return value === undefined ? "" : text(value);
    }),
  ]);
  const floors = result.floors.map(({ subject, against, floor, aim, ratio, met }) => {
    const bound = memory ? "at most" : "at least";
    const aimed = aim === undefined ? "" : `, aim ${times(aim)}`;
    return `  ${met ? "met    " : "NOT MET"} ${subject} against ${against}: ${times(ratio)} (${bound} ${times(floor)}${aimed})`;
  });
  const bounds = result.bounds.map(
    ({ subject, of, most, value, met }) =>
      `  ${met ? "met    " : "NOT MET"} ${subject}, ${of}: ${value.toFixed(1)} ms (at most ${most.toFixed(1)} ms)`,
  );
  return [`${result.name}: ${result.title}`, columns([head, ...rows]), ...floors, ...bounds, ""].join("\n");
}
