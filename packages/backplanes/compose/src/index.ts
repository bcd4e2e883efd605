import type { Backplane } from "@zuruf/hub";
import { ComposedBackplane, type Parts } from "./composed-backplane.ts";

export type { Parts } from "./composed-backplane.ts";

/**
 * A backplane whose publications are announced by one and kept by another: RabbitMQ or NATS in front, Redis or PostgreSQL behind.
 *
 * A publish that resolved is stored. A failed announcement does not fail it: the hub's head check (every 10 s) heals what was not heard.
 * @throws `BackplaneError` `unusable` when `store` keeps no history.
 */
export function compose(parts: Parts): Backplane {
  return new ComposedBackplane(parts);
}
