import type { ReportedTest } from "../measure/report.ts";
import type { Load } from "./load.ts";

type Shape = Omit<Load, "port" | "serverPids" | "warmUp" | "seconds" | "check">;

/** One measurement that every peer is put through. */
export interface Test extends Shape, ReportedTest {
  /** Whether `--quick` runs it. */
  readonly quick?: boolean;
  /** Whether the chart in the documentation shows it. */
  readonly chart?: string;
}

const still = { inFlight: 1, bursts: false, content: "text", size: 64, compression: "off" } as const;
const echo = { kind: "echo", bursts: false, content: "text", compression: "off", measures: "throughput" } as const;
const pipelined = { ...echo, connections: 32, inFlight: 32 } as const;
const request = { ...echo, connections: 64, inFlight: 1 } as const;
const fanOut = {
  kind: "fanout",
  connections: 1000,
  content: "text",
  compression: "off",
  measures: "throughput",
} as const;

export const tests: readonly Test[] = [
  {
    ...pipelined,
    name: "pipelined-64",
    title: "pipelined echo, 64 B text",
    size: 64,
    quick: true,
    chart: "pipelined echo, 64 B",
    floors: [
      { subject: "zuruf", against: "ws", ratio: 15, aim: 22 },
      { subject: "zuruf", against: "ws-cork", ratio: 2.5 },
    ],
  },
  {
    ...pipelined,
    name: "pipelined-1k",
    title: "pipelined echo, 1 KiB text",
    size: 1024,
    quick: true,
    chart: "pipelined echo, 1 KiB",
    floors: [
      { subject: "zuruf", against: "ws", ratio: 10, aim: 12 },
      { subject: "zuruf", against: "ws-cork", ratio: 2.5 },
    ],
  },
  {
    ...pipelined,
    name: "pipelined-64-binary",
    title: "pipelined echo, 64 B binary",
    content: "binary",
    size: 64,
    floors: [],
  },
  {
    ...pipelined,
    name: "pipelined-1k-binary",
    title: "pipelined echo, 1 KiB binary",
    content: "binary",
    size: 1024,
    floors: [],
  },
  {
    ...request,
    name: "request-64",
    title: "request/response, 64 B text",
    size: 64,
    quick: true,
    chart: "request/response, 64 B",
    floors: [
      { subject: "zuruf", against: "ws", ratio: 1.3, aim: 1.5 },
      { subject: "zuruf-public", against: "ws", ratio: 1.05 },
    ],
  },
  {
    ...request,
    name: "request-1k",
    title: "request/response, 1 KiB text",
    size: 1024,
    chart: "request/response, 1 KiB",
    floors: [
      { subject: "zuruf", against: "ws", ratio: 1.5, aim: 1.8 },
      { subject: "zuruf-public", against: "ws", ratio: 1.15 },
    ],
  },
  { ...request, name: "lone-64", title: "one connection, one message, 64 B", connections: 1, size: 64, floors: [] },
  {
    ...echo,
    name: "echo-1m",
    title: "echo, 1 MiB binary",
    content: "binary",
    connections: 4,
    inFlight: 1,
    size: 1024 * 1024,
    chart: "echo, 1 MiB",
    floors: [{ subject: "zuruf", against: "ws", ratio: 0.9 }],
  },
  ...([64, 1024] as const).flatMap((size): Test[] => {
    const [short, long] = size === 64 ? ["64", "64 B"] : ["1k", "1 KiB"];
    return [
      {
        ...fanOut,
        name: `fanout-${short}-1`,
        title: `fan-out to 1,000, ${long}, window 1`,
        size,
        inFlight: 1,
        bursts: false,
        ...(size === 64 ? { chart: "fan-out, window 1" } : {}),
        floors: [{ subject: "zuruf", against: "ws", ratio: 1.1, aim: 1.5 }],
      },
      {
        ...fanOut,
        name: `fanout-${short}-2`,
        title: `fan-out to 1,000, ${long}, window 2`,
        size,
        inFlight: 2,
        bursts: false,
        ...(size === 64 ? { chart: "fan-out, window 2" } : {}),
        floors: [{ subject: "zuruf", against: "ws", ratio: 2.2, aim: 2.6 }],
      },
      {
        ...fanOut,
        name: `fanout-${short}-16`,
        title: `fan-out to 1,000, ${long}, bursts of 16`,
        size,
        inFlight: 16,
        bursts: true,
        quick: size === 64,
        ...(size === 64 ? { chart: "fan-out, bursts of 16" } : {}),
        floors: [{ subject: "zuruf", against: "ws", ratio: 15, aim: 21 }],
      },
    ];
  }),
  {
    ...pipelined,
    name: "compressed-fresh",
    title: "compressed echo, 1 KiB JSON, no context takeover",
    content: "json",
    size: 1024,
    compression: "fresh",
    quick: true,
    chart: "compressed echo",
    floors: [
      { subject: "zuruf", against: "ws", ratio: 5, aim: 6.4 },
      { subject: "zuruf-public", against: "ws", ratio: 3 },
    ],
  },
  {
    ...pipelined,
    name: "compressed-context",
    title: "compressed echo, 1 KiB JSON, context takeover",
    content: "json",
    size: 1024,
    compression: "context",
    floors: [{ subject: "zuruf", against: "ws", ratio: 3.5 }],
  },
  {
    ...fanOut,
    name: "compressed-fanout",
    title: "compressed fan-out to 1,000, 1 KiB JSON, window 1",
    content: "json",
    size: 1024,
    inFlight: 1,
    bursts: false,
    compression: "fresh",
    quick: true,
    chart: "compressed fan-out",
    floors: [{ subject: "zuruf", against: "ws", ratio: 20, aim: 25 }],
  },
  {
    ...still,
    kind: "handshakes",
    name: "handshakes",
    title: "handshakes (connect, upgrade, leave)",
    measures: "throughput",
    connections: 32,
    chart: "handshakes",
    floors: [{ subject: "zuruf", against: "ws", ratio: 1.1, aim: 2 }],
  },
  {
    ...still,
    kind: "idle",
    name: "idle-heap",
    title: "JS heap per idle connection, 10,000 connections",
    measures: "memory",
    connections: 10_000,
    floors: [{ subject: "zuruf", against: "ws", ratio: 0.6, aim: 0.45 }],
  },
];
