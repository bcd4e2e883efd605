import { acceptOffer } from "../core/deflate.ts";
import type { DeflateAgreement, DeflateWishes } from "../core/deflate.ts";
import { formatExtensions } from "../core/header-values.ts";
import type { Extension } from "../core/header-values.ts";
import type { CompressionLimits } from "./compression-options.ts";
import { Deflater } from "./deflater.ts";
import { Inflater } from "./inflater.ts";
import { canOpenZlib } from "./internals.ts";

/** zlib has no raw deflate with a window of 2^8 bytes; messages no longer than that window never look beyond it. */
const SMALLEST_WINDOW = 256;

/** How one socket compresses and decompresses. Those without context share everything. */
export interface MessageCompression {
  readonly deflater: Deflater;
  readonly inflater: Inflater;
  /** Bytes below which a message is sent as it is. */
  readonly threshold: number;
  /** Bytes beyond which a message is sent as it is. */
  readonly largest: number;
  /** Whether `deflater` is shared, so that a prepared message is compressed once for all who have it. */
  readonly shared: boolean;
  /** Whether `inflater` keeps a context, so that messages must be decompressed one after the other. */
  readonly inflatesInContext: boolean;
  /** Frees what is the socket's own. */
  close(): void;
}

/** The compression of all sockets of a server, or of clients with the same options: RFC 7692 on zlib. */
export class Compression {
  readonly #limits: CompressionLimits;
  readonly #role: "server" | "client";
  readonly #maxMessage: number;
  readonly #internals: boolean;
  readonly #deflaters: Map<number, Deflater> = new Map();
  readonly #inflater: Inflater;
  #contexts = 0;

  constructor(limits: CompressionLimits, role: "server" | "client", maxMessage: number, internals: boolean) {
    this.#limits = limits;
    this.#role = role;
    this.#maxMessage = maxMessage;
    // Contexts need a zlib state that works synchronously, which is internal to Node.
    this.#internals = internals && canOpenZlib();
    this.#inflater = new Inflater(maxMessage, this.#internals, false);
  }

  /** What to ask of the other side now: contexts cost memory per socket, so there are only so many. */
  get wishes(): DeflateWishes {
    const { contextTakeover, maxContexts, serverMaxWindowBits, clientMaxWindowBits } = this.#limits;
    const takeover = contextTakeover && this.#internals && this.#contexts < maxContexts;
    return {
      serverNoContextTakeover: !takeover,
      clientNoContextTakeover: !takeover,
      serverMaxWindowBits,
      clientMaxWindowBits,
    };
  }

  /** Answers a client's offers. @returns undefined when none is acceptable. */
  accept(
    offers: readonly Extension[],
  ): { readonly extensions: string; readonly agreement: DeflateAgreement } | undefined {
    const accepted = acceptOffer(offers, this.wishes);
    return accepted && { extensions: formatExtensions([accepted.response]), agreement: accepted.agreement };
  }

  /** What a socket with this agreement works with. */
  forSocket(agreement: DeflateAgreement): MessageCompression {
    const server = this.#role === "server";
    const bits = server ? agreement.serverMaxWindowBits : agreement.clientMaxWindowBits;
    const forgets = server ? agreement.serverNoContextTakeover : agreement.clientNoContextTakeover;
    const peerForgets = server ? agreement.clientNoContextTakeover : agreement.serverNoContextTakeover;
    // RFC 7692 §7.1.1: a side that may keep its context need not. Ours cannot with the smallest window.
    const keeps = !forgets && this.#limits.contextTakeover && this.#internals && bits > 8;
    const windowBits = Math.max(bits, 9);
    const deflater = keeps ? this.#deflater(windowBits, true) : this.#shared(windowBits);
    const inflater = peerForgets ? this.#inflater : new Inflater(this.#maxMessage, this.#internals, true);
    const contexts = keeps || !peerForgets ? 1 : 0;
    this.#contexts += contexts;
    let open = true;
    return {
      deflater,
      inflater,
      threshold: this.#limits.threshold,
      largest: bits === 8 ? SMALLEST_WINDOW : Number.MAX_SAFE_INTEGER,
      shared: !keeps,
      inflatesInContext: !peerForgets,
      close: () => {
        if (!open) return;
        open = false;
        this.#contexts -= contexts;
        if (keeps) deflater.close();
        if (!peerForgets) inflater.close();
      },
    };
  }

  #deflater(windowBits: number, takeover: boolean): Deflater {
    return new Deflater(windowBits, this.#limits.level, this.#internals, takeover);
  }

  #shared(windowBits: number): Deflater {
    let deflater = this.#deflaters.get(windowBits);
    if (deflater === undefined) {
      deflater = this.#deflater(windowBits, false);
      this.#deflaters.set(windowBits, deflater);
    }
    return deflater;
  }
}
