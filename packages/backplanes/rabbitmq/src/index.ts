import type { RabbitmqOptions } from "./options.ts";
import { RabbitmqBackplane } from "./rabbitmq-backplane.ts";

export type { RabbitmqOptions } from "./options.ts";
export type { RabbitmqBackplane } from "./rabbitmq-backplane.ts";

/**
 * A backplane on RabbitMQ ≥ 3.9 that announces and keeps no history: `compose({ relay: rabbitmq(url), store })` gives it a store.
 * Needs the package `rabbitmq-client`. One exclusive queue per instance, bound to a direct exchange for the hash partitions in which it has channels.
 *
 * @throws `BackplaneError` `unusable` when the URL or an option cannot be read. Nothing is connected before `start`.
 */
export function rabbitmq(url: string, options: RabbitmqOptions = {}): RabbitmqBackplane {
  return new RabbitmqBackplane(url, options);
}
