import type { CallMap, ChannelName, DataOf } from "@zuruf/protocol";
import { type Calls, calls } from "./calls.ts";
import { type Channel as CoreChannel, type ChannelHost, ClientChannel } from "./channel.ts";
import { type Client as CoreClient, ClientCore, type ClientEvents } from "./client.ts";
import { type Direct, direct, type DirectEvents } from "./direct.ts";
import type { Listenable } from "./emitter.ts";
import { publications } from "./iterate.ts";
import type { ClientOptions } from "./options.ts";
import { presence, type Presence } from "./presence/index.ts";
import type { Publication } from "./publication.ts";

/** A named stream, with its presence. `client.channel(name)` gives the same object each time. `for await` gives its publications (`publications` says how). */
export interface Channel<Data = unknown> extends CoreChannel<Data>, AsyncIterable<Publication<Data>> {
  /** Who is subscribed. Best asked for before `subscribe`: later, the subscription is renewed once, without a gap. */
  readonly presence: Presence;
}

/** One client of one server: a connection that comes back by itself, channels over it, direct messages and calls. */
export interface Client<
  Channels extends object = Record<string, unknown>,
  Remote extends object = CallMap,
  Local extends object = CallMap,
>
  extends Omit<CoreClient<Channels>, "channel" | "on">, Listenable<ClientEvents & DirectEvents>, Calls<Remote, Local> {
  /** The channel of this name, the same object each time. With a channel map the data's type comes from the name; without, it may be given. */
  channel<Name extends ChannelName<Channels>>(name: Name): Channel<DataOf<Channels, Name>>;
  channel<Data = never>(name: [Data] extends [never] ? ChannelName<Channels> : string): Channel<Data>;
  send: Direct["send"];
}

class FullChannel extends ClientChannel<unknown> implements Channel {
  get presence(): Presence {
    return presence(this);
  }
  [Symbol.asyncIterator](): AsyncIterator<Publication> {
    return publications(this);
  }
}

class FullClient extends ClientCore {
  readonly send: Direct["send"] = (to, data, options) => direct(this).send(to, data, options);
  readonly call: Calls["call"] = (method, ...given) => calls(this).call(method, ...given);
  readonly handle: Calls["handle"] = (method, handler) => calls(this).handle(method, handler);

  override on(event: string, handler: (event: never) => void): () => void {
    if (event === "message") return direct(this).on(event, handler as (event: unknown) => void);
    return super.on(event as keyof ClientEvents, handler as (event: unknown) => void);
  }

  protected override open(name: string, host: ChannelHost): ClientChannel<unknown> {
    return new FullChannel(name, host);
  }
}

/**
 * A client. It connects when it is first needed, or at `connect()`.
 * @param url `wss://…`; in a page also relative, as `/ws`. Throws `TypeError` where it is none.
 * Type parameters: the channel map (`{ "chat:*": ChatMessage }`), the server's methods, and those that the server calls here (`{ "cart.add": (item: Item) => Cart }`).
 */
export function createClient<
  Channels extends object = Record<string, unknown>,
  Remote extends object = CallMap,
  Local extends object = CallMap,
>(url: string, options: ClientOptions = {}): Client<Channels, Remote, Local> {
  return new FullClient(url, options) as unknown as Client<Channels, Remote, Local>;
}

export { type CallMap, type ChannelName, type DataOf, ZurufError } from "@zuruf/protocol";
export type { CallOptions } from "./calls.ts";
export type {
  ChannelEvents,
  ChannelState,
  HistoryOptions,
  HistoryPage,
  PublishOptions,
  SubscribeOptions,
} from "./channel.ts";
export type { ClientEvents, ClientState } from "./client.ts";
export type { DirectEvents, DirectMessage, SendOptions } from "./direct.ts";
export type { Off } from "./emitter.ts";
export { type IterateOptions, publications } from "./iterate.ts";
export type { ClientOptions } from "./options.ts";
export type { Member, MemberConnection, Presence, PresenceCount, PresenceEvents } from "./presence/index.ts";
export type { Position, Publication } from "./publication.ts";
export type { Transport, TransportFactory } from "./transport.ts";
