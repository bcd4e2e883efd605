/** Messages encoded once and sent to many transports, in this order. Whoever provides transports may keep a framed form of them in `frame`. */
export class SharedMessages {
  /** One or more. */
  readonly messages: readonly (string | Uint8Array)[];
  /** The transport layer's own (a frame made once); the hub does not look at it. */
  frame: unknown = undefined;
  constructor(...messages: readonly (string | Uint8Array)[]) {
    this.messages = messages;
  }
}

/** One client's line to this instance, as the hub sees it: messages out, and a way to end it. WebSocket, SSE and polling all look like this. */
export interface Transport {
  /** Sends in order, after all that was sent before; false when what is buffered is beyond the transport's mark: `HubConnection.drained()` follows. */
  send(message: string | Uint8Array | SharedMessages): boolean;
  /** Bytes accepted and not yet taken by the operating system. */
  readonly bufferedBytes: number;
  /** Ends the connection with a close code of the protocol; `HubConnection.closed()` follows. */
  close(code: number, reason: string): void;
}

/** The hub's side of one connection: whoever owns the transport calls these. None throws. */
export interface HubConnection {
  /** One message from the client, in order. */
  receive(message: string | Uint8Array): void;
  drained(): void;
  /** The transport is gone. @param code the close code, 1006 when there was none. */
  closed(code: number, reason: string): void;
}
