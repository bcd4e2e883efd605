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

/** What a report needs to know of a test. */
export interface ReportedTest {
  readonly name: string;
  readonly title: string;
  /** `throughput` counts messages per CPU-second of the server (more is better), `memory` bytes of JS heap per connection (less is better). */
  readonly measures: "throughput" | "memory";
  readonly floors: readonly Floor[];
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

function peerResult(runs: Runs, baseline: Runs | undefined): PeerResult {
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
  const { name, title, measures } = test;
  const others = byPeer.get(baseline);
  const results = [...byPeer].map(([peer, runs]) => [peer, peerResult(runs, others)] as const);
  return { name, title, measures, baseline, peers: Object.fromEntries(results), floors };
}

/** One test as the terminal shows it. */
export function testText(result: TestResult, peers: readonly ReportedPeer[]): string {
  const memory = result.measures === "memory";
  const head = memory
    ? ["", "JS heap", `× ${result.baseline}`, "external", "RSS"]
    : [
        "",
        "per CPU-s",
        `× ${result.baseline}`,
        "per second",
        "server busy",
        "generator busy",
        "others",
        "p50 ms",
        "p99 ms",
      ];
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
    return [[`  ${title}`, short(it.value), it.timesBaseline === undefined ? "" : times(it.timesBaseline), ...figures]];
  });
  const floors = result.floors.map(({ subject, against, floor, aim, ratio, met }) => {
    const bound = memory ? "at most" : "at least";
    const aimed = aim === undefined ? "" : `, aim ${times(aim)}`;
    return `  ${met ? "met    " : "NOT MET"} ${subject} against ${against}: ${times(ratio)} (${bound} ${times(floor)}${aimed})`;
  });
  return [`${result.name}: ${result.title}`, columns([head, ...rows]), ...floors, ""].join("\n");
}
