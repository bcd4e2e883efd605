import { type Client, ClientCore } from "./client.ts";
import type { ClientOptions } from "./options.ts";

/**
 * A client without presence, direct messages and calls; their functions (`@zuruf/client/presence`, `/direct`, `/calls`) take it.
 * @param url `wss://…`; in a page also relative. Throws `TypeError` where it is none.
 */
export function createClient<Channels extends object = Record<string, unknown>>(
  url: string,
  options: ClientOptions = {},
): Client<Channels> {
  return new ClientCore(url, options);
}

export { type ChannelName, type DataOf, ZurufError } from "@zuruf/protocol";
export type {
  Channel,
  ChannelEvents,
  ChannelState,
  HistoryOptions,
  HistoryPage,
  PublishOptions,
  SubscribeOptions,
} from "./channel.ts";
export type { Client, ClientEvents, ClientState } from "./client.ts";
export type { Off } from "./emitter.ts";
export type { ClientOptions } from "./options.ts";
export type { Position, Publication } from "./publication.ts";
export type { Transport, TransportFactory } from "./transport.ts";
