import { ZurufError } from "./errors.ts";
import type { Packet } from "./packets.ts";

/** Packets to WebSocket messages and back; what a subprotocol names. */
export interface Codec {
  /** The subprotocol. */
  readonly name: "zuruf.v1.json" | "zuruf.v1.bin";
  /** The kind of WebSocket message that it uses. */
  readonly kind: "text" | "binary";
  /** @throws {ZurufError} `badRequest` when the packet holds what its field cannot (a programming error). */
  encode(packet: Packet): string | Uint8Array;
  /** Linear in the message's length; allocates no more than a small multiple of it. @throws {PacketError} */
  decode(message: string | Uint8Array): Packet;
}

/** A message that is no packet. `id` is its request id where that could be read, else 0; `fatal`: not even the codec's kind of message. */
export class PacketError extends ZurufError {
  readonly id: number;
  readonly fatal: boolean;
  constructor(message: string, id = 0, fatal = false) {
    super("badRequest", message);
    this.id = id;
    this.fatal = fatal;
  }
}

/** Arrays and objects inside one another that a JSON packet may have, itself included. */
export const maxDepth = 64;
