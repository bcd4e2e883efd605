import { z } from "zod";

const permission: z.ZodType<Permission> = z.enum(["anyone", "user", "server"]);
const positive = z.int().min(1);
const duration = z.union([
  positive,
  z.string().regex(/^[1-9]\d{0,8}(ms|s|m|h|d)$/, "expected milliseconds, or a time such as 30s, 1h or 7d"),
]);

/** What a configuration can say about the channels of a pattern: the hub's options without its hooks. */
export const channelConfig: z.ZodType<ChannelConfig> = z.strictObject({
  history: z.strictObject({ size: positive, ttl: duration, bytes: z.int().min(0).optional() }).optional(),
  delivery: z.enum(["stream", "latest", "volatile"]).optional(),
  presence: z.boolean().optional(),
  subscribe: permission.optional(),
  publish: permission.optional(),
  rate: z.strictObject({ publishes: positive, per: duration }).optional(),
  live: z.boolean().optional(),
  maxData: positive.optional(),
}) as z.ZodType<ChannelConfig>;

/** Who may: everyone, those with a user, or only the server's own code. */
export type Permission = "anyone" | "user" | "server";

/** A channel pattern's options as JSON can say them. */
export interface ChannelConfig {
  readonly history?: { readonly size: number; readonly ttl: string | number; readonly bytes?: number };
  readonly delivery?: "stream" | "latest" | "volatile";
  readonly presence?: boolean;
  readonly subscribe?: Permission;
  readonly publish?: Permission;
  readonly rate?: { readonly publishes: number; readonly per: string | number };
  readonly live?: boolean;
  readonly maxData?: number;
}
