import { type PacketOf, payloadValue, type PublicationInfo } from "@zuruf/protocol";

/** A place in a channel's log. `epoch` is opaque and names one history of that log. */
export interface Position {
  readonly epoch: string;
  /** Safe integer ≥ 0; offsets increase. */
  readonly offset: number;
}

/** One item in a channel. */
export interface Publication<Data = unknown> {
  readonly channel: string;
  /** The JSON value, or a `Uint8Array` of the bytes that were published. */
  readonly data: Data;
  /** Its place in the channel's log; 0 where the channel keeps no history. */
  readonly offset: number;
  /** The place to continue after it; undefined where the channel keeps no history. */
  readonly position: Position | undefined;
  /** Undefined: the server itself, or a backend. */
  readonly publisher: { readonly client?: string; readonly user?: string } | undefined;
  /** Published by this client, on this connection or an earlier one. */
  readonly own: boolean;
  /** When the server took it, milliseconds since 1970; undefined where the server does not say. */
  readonly time: number | undefined;
  /** The idempotency key that its publisher gave. */
  readonly key: string | undefined;
}

/** @param own the client ids that this client has had. */
export function publicationOf<Data>(
  channel: string,
  item: Pick<PacketOf<"msg">, "offset" | "info" | "payload">,
  epoch: string | undefined,
  own: ReadonlySet<string>,
): Publication<Data> {
  const { offset, info } = item;
  return {
    channel,
    data: payloadValue(item.payload) as Data,
    offset,
    position: epoch === undefined || offset === 0 ? undefined : { epoch, offset },
    publisher: publisherOf(info),
    own: info?.client !== undefined && own.has(info.client),
    time: info?.time,
    key: info?.key,
  };
}

function publisherOf(info: PublicationInfo | undefined): Publication["publisher"] {
  if (info === undefined) return undefined;
  const { client, user } = info;
  if (client === undefined && user === undefined) return undefined;
  return { ...(client !== undefined && { client }), ...(user !== undefined && { user }) };
}
