import { defaultLimits, type Limits } from "@zuruf/hub";
import { z } from "zod";

/** The hub's limits that a configuration can set; how many connections there may be is `maxConnections`' to say. */
export type LimitsConfig = Partial<Omit<Limits, "connections">>;

const { connections: _, ...names } = defaultLimits;

export const limitsConfig: z.ZodType<LimitsConfig> = z.strictObject(
  Object.fromEntries(Object.keys(names).map((name) => [name, z.int().min(0).optional()])),
);
