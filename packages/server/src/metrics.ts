import type { Counters } from "@zuruf/hub";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import type { Zuruf } from "./zuruf.ts";

/** What each counter of the hub counts, as `# HELP` says it. */
const counters: Readonly<Record<keyof Counters, readonly [name: string, help: string]>> = {
  received: ["packets_received", "Packets received from clients"],
  delivered: ["publications_delivered", "Publications handed to subscriptions of this instance"],
  published: ["publications_published", "Publications of clients and of the server that were stored or announced"],
  replaced: [
    "publications_replaced",
    "Publications on latest channels replaced by a newer one before a slow connection took them",
  ],
  dropped: ["publications_dropped", "Publications on volatile channels that a slow connection missed"],
  slow: ["connections_slow", "Connections closed because they were slow"],
  malformed: ["publications_malformed", "Publications from the backplane that could not be read"],
  restarted: ["subscriptions_restarted", "Subscriptions told that they could not continue without a gap"],
  gaps: ["publications_repaired", "Publications read from the store because the relay missed them"],
  recovered: ["recoveries", "Recoveries that succeeded"],
  notRecovered: ["recoveries_failed", "Recoveries that could not succeed"],
  rateLimited: ["requests_rate_limited", "Requests refused for being too fast"],
  badPackets: ["packets_malformed", "Packets of clients that could not be read"],
};

/** One instance's metrics: the hub's, and those of its process. Values are read when they are asked for. */
export function instanceMetrics(zuruf: Zuruf): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ instance: zuruf.instance });
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: () => number): void => {
    const metric: Gauge = new Gauge({
      name: `zuruf_${name}`,
      help,
      registers: [registry],
      collect: () => metric.set(read()),
    });
  };
  gauge("connections", "Open connections", () => zuruf.status().connections);
  gauge("sessions", "Connections that have a session", () => zuruf.status().sessions);
  gauge("channels", "Channels with subscribers", () => zuruf.status().channels);
  gauge("backplane_up", "1 while the backplane can be reached", () => (zuruf.status().backplane === "up" ? 1 : 0));
  for (const [key, [name, help]] of Object.entries(counters) as [keyof Counters, readonly [string, string]][]) {
    const metric = new Counter({
      name: `zuruf_${name}_total`,
      help,
      registers: [registry],
      collect() {
        metric.reset();
        metric.inc(zuruf.counters[key]);
      },
    });
  }
  return registry;
}

export const metricsType: string = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * Several instances' metrics as one text: a name's samples must stand together, below one `# HELP` and one `# TYPE`
 * (Prometheus text format 0.0.4).
 */
export function mergeMetrics(texts: readonly string[]): string {
  const [first] = texts;
  if (first !== undefined && texts.length === 1) return first;
  const families = new Map<string, { readonly head: Set<string>; readonly samples: string[] }>();
  for (const text of texts) {
    let family: { readonly head: Set<string>; readonly samples: string[] } | undefined;
    for (const line of text.split("\n")) {
      if (line === "") continue;
      const [, name] = /^# (?:HELP|TYPE) (\S+)/.exec(line) ?? [];
      if (name === undefined) {
        family?.samples.push(line);
        continue;
      }
      family = families.get(name) ?? { head: new Set(), samples: [] };
      families.set(name, family);
      family.head.add(line);
    }
  }
  return `${[...families.values()].flatMap(({ head, samples }) => [...head, ...samples]).join("\n")}\n`;
}
