import type { Codec, Payload, PublicationInfo } from "@zuruf/protocol";
import type { Position } from "./backplane.ts";
import { SharedMessages } from "./transport.ts";

/** One publication on its way to this instance's subscribers: encoded once per codec, whatever their number. */
export class Publication {
  readonly channel: string;
  /** The epoch that took it; empty where the channel keeps no history. */
  readonly epoch: string;
  /** 0 where the channel keeps no history. */
  readonly offset: number;
  readonly info: PublicationInfo;
  readonly payload: Payload;
  #text: SharedMessages | undefined;
  #binary: SharedMessages | undefined;

  constructor(channel: string, { epoch, offset }: Position, info: PublicationInfo, payload: Payload) {
    this.channel = channel;
    this.epoch = epoch;
    this.offset = offset;
    this.info = info;
    this.payload = payload;
  }

  message(codec: Codec): SharedMessages {
    if (codec.kind === "text") return (this.#text ??= new SharedMessages(this.encode(codec)));
    return (this.#binary ??= new SharedMessages(this.encode(codec)));
  }

  encode(codec: Codec): string | Uint8Array {
    const { channel, offset, info, payload } = this;
    return codec.encode({ type: "msg", channel, offset, info, payload });
  }
}
