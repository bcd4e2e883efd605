import { ZurufError } from "@zuruf/protocol";
import type { Core } from "./core.ts";

/**
 * What the application answers, or `timeout` when it takes longer than `limits.hookTimeout`; what it says later is ignored.
 * Without a bound, one that never answers would keep its request's place for as long as the connection lives.
 */
export function inTime<T>(core: Core, what: string, answer: T): T | Promise<Awaited<T>> {
  const { hookTimeout } = core.limits;
  // Most need no timer.
  if (hookTimeout === 0 || !isThenable(answer)) return answer;
  return new Promise((resolve, reject) => {
    const timer = core.clock.setTimeout(() => {
      core.log("warn", `${what} did not answer in time`, { ms: hookTimeout });
      reject(new ZurufError("timeout", "the application did not answer in time"));
    }, hookTimeout);
    Promise.resolve(answer)
      .finally(() => core.clock.clearTimeout(timer))
      .then(resolve, reject);
  });
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value;
}
