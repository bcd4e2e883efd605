import type { Socket } from "node:net";
import { oneLine, ServerError } from "../errors.ts";
import { startService, type Membership, type Service } from "../service.ts";
import type { ToInstance, ToPrimary, Topic, Topics } from "./messages.ts";
import { Questions, shared } from "./questions.ts";
import { SideDoor } from "./side-door.ts";

/** How long the primary process has to say how all instances are; longer than it gives them. In milliseconds. */
const answerWithin = 2000;

/** Runs this process as one instance of a cluster: everything it does it is told by the primary process, except that SIGTERM ends it gracefully. */
export function runWorker(): void {
  const questions = new Questions<readonly Topics[Topic][]>();
  let service: Promise<Service> | undefined;
  let stopping: Promise<void> | undefined;

  const askAll = <T extends Topic>(topic: T): (() => Promise<readonly Topics[T][] | undefined>) =>
    shared(async () => {
      const answers = await questions.ask((id) => say({ type: "askAll", id, topic }), answerWithin);
      return answers as readonly Topics[T][] | undefined;
    });
  const health = askAll("health");
  const metrics = askAll("metrics");
  const door = new SideDoor((message) => say(message));
  const membership = (port: number): Membership => ({
    entrance: {
      async open(server) {
        door.open(server);
        return port;
      },
      close: () => door.close(),
    },
    health: async (own) => (await health()) ?? [own],
    metrics: async (own) => (await metrics()) ?? [await own()],
  });

  // Ctrl+C reaches every process of the terminal: the primary process decides what it means.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => void stop());
  process.on("message", (message: ToInstance, socket?: Socket) => {
    switch (message.type) {
      case "start":
        service = startService(settingsOf(message), membership(message.settings.port));
        service.then(() => say({ type: "ready" }), fail);
        break;
      case "connection":
        door.take(socket);
        break;
      case "closed":
        door.closed();
        break;
      case "stop":
        void stop();
        break;
      case "ask":
        void answer(message.id, message.topic);
        break;
      case "answers":
        questions.answered(message.id, message.answers);
        break;
    }
  });

  say({ type: "listening" });

  /** Whoever asks does so only when this instance has said that it is ready; a start that failed is told by `fail`. */
  async function answer(id: number, topic: Topic): Promise<void> {
    const running = await service;
    if (running === undefined) return;
    say({ type: "answer", id, answer: topic === "health" ? running.health() : await running.metrics() });
  }

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
