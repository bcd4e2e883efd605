import type { Results } from "./report.ts";
import { times } from "./text.ts";

/** What a chart shows of a suite's results. */
export interface Drawing {
  readonly title: string;
  /** What the peer that is 1 is called. */
  readonly baseline: string;
  /** What a test is called in the chart; undefined: it is not shown. */
  readonly label: (test: string) => string | undefined;
  /** The peers, each with a colour that keeps its contrast on white and on black. */
  readonly series: readonly { readonly peer: string; readonly title: string; readonly colour: string }[];
}

const bar = 11;
const gap = 16;
const left = 190;
const width = 860;
const right = 60;

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** The names of the colours, in as many rows as they need. */
function legend(series: Drawing["series"]): { readonly marks: string; readonly height: number } {
  let [at, row] = [left, 0];
  const marks = series.map(({ title, colour }) => {
    const length = 36 + title.length * 7;
    if (at > left && at + length > width) [at, row] = [left, row + 1];
    const y = 32 + row * 18;
    const mark = `<rect x="${at}" y="${y}" width="11" height="11" fill="${colour}"/><text x="${at + 16}" y="${y + 10}">${escape(title)}</text>`;
    at += length;
    return mark;
  });
  return { marks: marks.join("\n"), height: (row + 1) * 18 };
}

/** Bars of each peer's messages per CPU-second over those of the baseline, on a logarithmic axis; as SVG. */
export function chart(results: Results, { title, baseline, label: labelOf, series }: Drawing): string {
  const groups = results.tests.flatMap((result) => {
    const label = result.measures === "throughput" ? labelOf(result.name) : undefined;
    const bars = series.flatMap(({ peer, title: name, colour }) => {
      const ratio = result.peers[peer]?.timesBaseline;
      return ratio !== undefined && ratio > 0 ? [{ title: name, colour, ratio }] : [];
    });
    return label === undefined || bars.length === 0 ? [] : [{ label, bars }];
  });
  const keys = legend(series);
  const top = 56 + keys.height;
  const most = Math.max(2, ...groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio)));
  const least = Math.min(1, ...groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio)));
  const low = Math.log2(least) - (least < 1 ? 0.2 : 0);
  const scale = (width - left - right) / (Math.log2(most) - low);
  const x = (ratio: number): number => Math.round((left + (Math.log2(ratio) - low) * scale) * 10) / 10;

  const marks: string[] = [];
  let y = top;
  for (const { label, bars } of groups) {
    const middle = y + (bars.length * bar) / 2 + 4;
    marks.push(`<text x="${left - 10}" y="${middle}" text-anchor="end">${escape(label)}</text>`);
    for (const { title: name, colour, ratio } of bars) {
      const from = Math.min(x(1), x(ratio));
      const length = Math.max(1, Math.abs(x(ratio) - x(1)));
      marks.push(
        `<rect x="${from}" y="${y}" width="${length.toFixed(1)}" height="${bar - 2}" fill="${colour}"><title>${escape(`${label}, ${name}: ${times(ratio)}`)}</title></rect>`,
        `<text class="value" x="${Math.max(x(1), x(ratio)) + 4}" y="${y + bar - 3}">${times(ratio)}</text>`,
      );
      y += bar;
    }
    y += gap;
  }
  const ticks = [0.0625, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32].filter((tick) => tick >= least && tick <= most);
  const axis = ticks.map(
    (tick) =>
      `<line class="${tick === 1 ? "one" : "grid"}" x1="${x(tick)}" y1="${top - 8}" x2="${x(tick)}" y2="${y - gap + 4}"/>` +
      `<text class="value" x="${x(tick)}" y="${top - 12}" text-anchor="middle">${tick === 1 ? `${escape(baseline)} = 1` : `×${tick}`}</text>`,
  );
  const { processor, cores, node } = results.machine;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 24}" width="${width}" height="${y + 24}" role="img" aria-label="${escape(title)}">
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px }
.value { font-size: 11px; fill: #57606a }
.grid { stroke: #8c959f; stroke-opacity: .3 }
.one { stroke: #57606a }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .value { fill: #9da7b3 } .one { stroke: #9da7b3 } }
</style>
<text class="title" x="${left}" y="18">${escape(title)}</text>
${keys.marks}
${axis.join("\n")}
${marks.join("\n")}
<text class="value" x="${left}" y="${y + 12}">Median of ${results.runs} interleaved runs; Node ${node}, ${cores} cores, ${escape(processor)}; logarithmic axis</text>
</svg>
`;
}
