/** Whether an instance's health endpoints told the truth. */
import type { Checker } from "./checker.ts";
import type { Instance } from "./fleet.ts";

/** How long a broker may be away before `/readyz` says 503, and how soon a broken connection must be found, in milliseconds. */
export const patience = 5000;
/** For the pauses between two questions, and a busy machine. */
const slack = 2000;

/** What an instance has to say of a fault: that its backplane is down, soon after a fault that began and was complete at these moments; whatever it noticed; or nothing at all. */
export type Says = { readonly began: number; readonly down: number } | "anything" | "nothing";

export function checkHealth({ name, health, over }: Instance, says: Says, checker: Pick<Checker, "fault">): void {
  /** Since when the backplane is said to be down. */
  let downAt: number | undefined;
  for (const [i, { at, backplane, ready }] of health.entries()) {
    if (backplane === "up") downAt = undefined;
    else downAt ??= at;
    // An instance that is being ended or has ended need not answer.
    if (over && i === health.length - 1) break;
    if (backplane === "silent") checker.fault(`${name} did not answer /healthz`);
    if (says === "nothing" && (backplane === "down" || !ready))
      checker.fault(`${name} said ${backplane}, ${ready ? "ready" : "not ready"}, though nothing had happened to it`);
    if (!ready && (downAt === undefined || at - since(says, downAt) < patience - slack))
      checker.fault(`${name} was not ready, though its backplane was not away for ${patience} ms`);
    const until = health[i + 1]?.at;
    if (ready && downAt !== undefined && until !== undefined && until - downAt > patience + slack)
      checker.fault(`${name} was ready, though its backplane was down for ${Math.round(until - downAt)} ms`);
  }
  if (typeof says === "string") return;
  const left = health.find(({ at, ready }) => at >= says.began && !ready);
  if (left === undefined) checker.fault(`${name} was ready all the time`);
  else if (left.at - says.down > patience + slack)
    checker.fault(`${name} was ready for ${Math.round(left.at - says.down)} ms without its broker`);
  const found = health.find(({ at, backplane }) => at >= says.began && backplane !== "up");
  if (found === undefined) checker.fault(`${name} never said that its backplane was down`);
  else if (found.at - says.down > patience + slack)
    checker.fault(`${name} said that its backplane is down only after ${Math.round(found.at - says.down)} ms`);
}

/** When the broker went away: known, or else when the instance noticed. */
function since(says: Says, noticed: number): number {
  return typeof says === "string" ? noticed : says.began;
}
