import { oneLine, ServerError } from "../errors.ts";
import type { InstanceHealth } from "../readiness.ts";
import { startService, type Membership, type Service } from "../service.ts";
import type { ToInstance, ToPrimary } from "./messages.ts";
import { Questions } from "./questions.ts";

/** How long the primary process has to say how all instances are; longer than it gives them. In milliseconds. */
const answerWithin = 2000;

/** Runs this process as one instance of a cluster: everything it does it is told by the primary process, except that SIGTERM ends it gracefully. */
export function runWorker(): void {
  const questions = new Questions<readonly InstanceHealth[]>();
  let service: Promise<Service> | undefined;
  let survey: Promise<readonly InstanceHealth[]> | undefined;
  let stopping: Promise<void> | undefined;

  const membership = (bindLast: boolean): Membership => ({
    bindLast,
    bound: (port) => say({ type: "bound", port }),
    health(own) {
      survey ??= questions
        .ask((id) => say({ type: "askInstances", id }), answerWithin)
        .then((instances) => instances ?? [own])
        .finally(() => {
          survey = undefined;
        });
      return survey;
    },
  });

  // Ctrl+C reaches every process of the terminal: the primary process decides what it means.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => void stop());
  process.on("message", (message: ToInstance) => {
    switch (message.type) {
      case "start":
        service = startService(settingsOf(message), membership(message.bindLast));
        service.then(({ port }) => say({ type: "ready", port }), fail);
        break;
      case "stop":
        void stop();
        break;
      case "askHealth":
        void service?.then((running) => say({ type: "health", id: message.id, health: running.health() }), ignore);
        break;
      case "instances":
        questions.answered(message.id, message.instances);
        break;
    }
  });

  say({ type: "listening" });

  function stop(): Promise<void> {
    stopping ??= (service?.then((running) => running.close()) ?? Promise.resolve()).then(() => process.exit(0), fail);
    return stopping;
  }
}

/** One instance is all that a worker starts, whatever the cluster has. */
function settingsOf({ settings }: Extract<ToInstance, { type: "start" }>): Parameters<typeof startService>[0] {
  const { instances: _, ...rest } = settings;
  return rest;
}

function fail(error: unknown): void {
  const code = error instanceof ServerError ? error.code : "instanceFailed";
  process.send?.({ type: "failed", code, message: oneLine(error) } satisfies ToPrimary, () => process.exit(1));
}

/** The primary process may be gone: Node ends this one then. */
function say(message: ToPrimary): void {
  if (process.connected) process.send?.(message, () => undefined);
}

function ignore(): void {
  // a start that failed is told by `fail`
}
