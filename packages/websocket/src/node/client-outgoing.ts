import { Blob } from "node:buffer";
import type { Message } from "./api.ts";
import type { EngineSocket } from "./socket.ts";

/** What `WebSocket.send` takes; anything else is sent as its string. */
export type Sendable = string | ArrayBufferLike | ArrayBufferView | BlobLike;

/** A `Blob`, as Node and as the DOM type it. */
export interface BlobLike {
  readonly size: number;
  readonly type: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

type Line = Pick<EngineSocket<unknown>, "state" | "bufferedBytes" | "send" | "startClosing" | "terminate">;

/** What a client sends, in order, also where a Blob has to be read first; and the count of what has not left yet. */
export class Outgoing {
  #socket: Line | undefined;
  /** Settles once all Blobs so far, and what follows them, were sent; undefined: nothing waits for a Blob. */
  #tail: Promise<void> | undefined;
  /** Payload bytes that wait behind a Blob, itself included. */
  #behind = 0;
  /** Payload bytes given to the socket since its buffer was last seen empty. */
  #given = 0;
  /** Payload bytes that no open socket took. */
  #ignored = 0;

  open(socket: Line): void {
    this.#socket = socket;
  }

  /** Bytes of payload that have not left yet. */
  get bytes(): number {
    // The socket counts frame headers too: what was given is the bound that has none.
    return this.#behind + this.#ignored + Math.min(this.#given, this.#socket?.bufferedBytes ?? 0);
  }

  /** @param open false: only counts. */
  send(data: Sendable, open: boolean): void {
    if (typeof data === "string") {
      this.#put(data, Buffer.byteLength(data), open);
    } else if (data instanceof Blob) {
      if (open) this.#read(data);
      else this.#ignored += data.size;
    } else {
      const message = asMessage(data);
      if (typeof message === "string") this.#put(message, Buffer.byteLength(message), open);
      else this.#put(message, message.length, open);
    }
  }

  /** Whether the socket takes messages. */
  get isOpen(): boolean {
    return this.#socket?.state === "open";
  }

  /** Starts the closing handshake, behind all that was sent. */
  close(code: number | undefined, reason: string): void {
    if (this.#tail === undefined) this.#close(code, reason);
    else this.#follow(() => this.#close(code, reason));
  }

  terminate(): void {
    this.#socket?.terminate();
  }

  #put(message: Message, size: number, open: boolean): void {
    if (!open) {
      this.#ignored += size;
    } else if (this.#tail === undefined) {
      this.#give(message, size);
    } else {
      this.#behind += size;
      const kept = typeof message === "string" ? message : new Uint8Array(message); // not `slice`: a Buffer's shares its memory
      this.#follow(() => {
        this.#behind -= size;
        this.#give(kept, size);
      });
    }
  }

  #read(blob: BlobLike): void {
    const { size } = blob;
    this.#behind += size;
    const reading = blob.arrayBuffer();
    // Whoever awaits it comes later, behind the Blobs before: until then a failure is nobody's.
    reading.catch(() => undefined);
    this.#follow(async () => {
      try {
        this.#give(new Uint8Array(await reading), size);
      } catch {
        // A Blob of a file that has changed or gone: a message that cannot be sent must not be skipped in silence.
        this.#ignored += size;
        this.#socket?.terminate();
      }
      this.#behind -= size;
    });
  }

  #follow(step: () => void | Promise<void>): void {
    const tail = (this.#tail ?? Promise.resolve()).then(step).finally(() => {
      if (this.#tail === tail) this.#tail = undefined;
    });
    this.#tail = tail;
  }

  #close(code: number | undefined, reason: string): void {
    if (this.#socket?.bufferedBytes === 0) this.#given = 0; // from here on, only the close frame waits
    this.#socket?.startClosing(code, reason);
  }

  #give(message: Message, size: number): void {
    const socket = this.#socket;
    if (socket?.state !== "open") {
      this.#ignored += size;
      return;
    }
    if (socket.bufferedBytes === 0) this.#given = 0;
    this.#given += size;
    socket.send(message);
  }
}

function asMessage(data: unknown): Message {
  if (data instanceof Uint8Array) return data;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) return new Uint8Array(data);
  return String(data); // callers without types may pass anything: Web IDL converts
}
