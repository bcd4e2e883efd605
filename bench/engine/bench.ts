import { chart } from "../measure/chart.ts";
import { run, type Suite } from "../measure/suite.ts";
import { measure, verify } from "./measure.ts";
import { missing, type Peer, peers } from "./peers.ts";
import { type Test, tests } from "./tests.ts";

function able({ lacks }: Peer, { compression }: Test): boolean {
  if (lacks === "compression") return compression === "off";
  return lacks !== "context takeover" || compression !== "context";
}

export const suite: Suite<Test, Peer> = {
  name: "engine",
  tests,
  peers,
  slow: ["ws-cork", "zuruf-public"],
  baseline: "ws",
  whole: 11,
  missing,
  able,
  verify: async (peer, test) => (await verify(peer, test)).versions,
  measure,
  chart: (results) =>
    chart(results, {
      title: "Messages per server-CPU-second, against ws with bufferutil (more is better)",
      baseline: "ws",
      label: (name) => tests.find((test) => test.name === name)?.chart,
      series: [
        { peer: "zuruf", title: "Zuruf", colour: "#2f81f7" },
        { peer: "zuruf-public", title: "Zuruf, no internals", colour: "#79a8e8" },
        { peer: "ws-cork", title: "ws, corked", colour: "#c27c2c" },
        { peer: "bun", title: "Bun (native)", colour: "#8c8c8c" },
      ],
    }),
};

/** Measures the WebSocket engine beside its peers. @returns the process's exit code. */
export function engine(args: readonly string[]): Promise<number> {
  return run(suite, args);
}
