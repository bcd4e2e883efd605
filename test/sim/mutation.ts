import type { Backplane, BackplaneSink } from "@zuruf/hub";
import type { Clock } from "@zuruf/protocol";
import type { World } from "./world.ts";

/** What can be switched off from outside, to show that the checker finds its absence. */
export type Mutation = "gap repair" | "idempotency" | "lines" | "head check" | "lease" | "digest";

/** The hub's own period for comparing heads, in milliseconds. */
const HEAD_CHECK = 10_000;
const BEAT = 5_000;

/** A backplane that makes the hub work without one of its defences. */
export function mutated(
  inner: Backplane,
  mutation: Mutation | undefined,
  world: World,
  alive: () => boolean,
): Backplane {
  if (mutation === undefined) return inner;
  const calls: Partial<Backplane> = {
    // Offsets that may have holes: what is missing is no gap.
    ...(mutation === "gap repair" && { can: { ...inner.can, contiguous: false } }),
    ...(mutation === "idempotency" && {
      publish: (channel, data, { retention }) => inner.publish(channel, data, { ...(retention && { retention }) }),
    }),
    // What waits behind a publication that failed is stored before its retry.
    ...(mutation === "lines" && {
      publish: (channel, data, { retention, key }) =>
        inner.publish(channel, data, { ...(retention && { retention }), ...(key !== undefined && { key }) }),
    }),
    ...(mutation === "digest" && {
      control: async (message, to) => {
        if (!isType(message, "digest")) await inner.control(message, to);
      },
    }),
    ...(mutation === "lease" && { start: (instance, sink) => inner.start(instance, undying(sink, world, alive)) }),
  };
  return new Proxy(inner, {
    get(target, name) {
      const replaced: unknown = Reflect.get(calls, name);
      if (replaced !== undefined) return replaced;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/** A clock on which the heads are never compared. */
export function mutatedClock(clock: Clock, mutation: Mutation | undefined): Clock {
  if (mutation !== "head check") return clock;
  return { ...clock, setTimeout: (run, ms) => (ms === HEAD_CHECK ? undefined : clock.setTimeout(run, ms)) };
}

/** Repeats every instance's last sign of life for ever, so that no lease ends. */
function undying(sink: BackplaneSink, world: World, alive: () => boolean): BackplaneSink {
  const beats = new Map<string, Uint8Array>();
  const repeat = (): void => {
    if (!alive()) return;
    for (const [from, beat] of beats) sink.control(from, beat);
    world.setTimeout(repeat, BEAT);
  };
  world.setTimeout(repeat, BEAT);
  return {
    publication: (channel, item) => sink.publication(channel, item),
    up: () => sink.up(),
    down: (reason) => sink.down(reason),
    suspect: (channels) => sink.suspect(channels),
    control: (from, message) => {
      if (isType(message, "beat")) beats.set(from, message);
      sink.control(from, message);
    },
  };
}

/** Control messages are the hub's own; their type is found in their text. */
function isType(message: Uint8Array, type: string): boolean {
  return new TextDecoder().decode(message).includes(`{"type":"${type}"`);
}
