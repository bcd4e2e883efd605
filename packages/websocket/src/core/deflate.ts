import type { Extension } from "./header-values.ts";

/** The extension's name, RFC 7692 §7. */
export const PERMESSAGE_DEFLATE = "permessage-deflate";

/** What both sides agreed on, RFC 7692 §7.1. */
export interface DeflateAgreement {
  /** The server forgets its window after every message, §7.1.1.1. */
  readonly serverNoContextTakeover: boolean;
  /** The client forgets its window after every message, §7.1.1.2. */
  readonly clientNoContextTakeover: boolean;
  /** Base-2 logarithm of the server's window, 8–15, §7.1.2.1. */
  readonly serverMaxWindowBits: number;
  /** Base-2 logarithm of the client's window, 8–15, §7.1.2.2. */
  readonly clientMaxWindowBits: number;
}

/** What one side wants. */
export interface DeflateWishes {
  /** Ask for, or as a server insist on, a server that forgets its window after every message. */
  readonly serverNoContextTakeover: boolean;
  /** The same for the client. */
  readonly clientNoContextTakeover: boolean;
  /** The largest window the server may use, 8–15. */
  readonly serverMaxWindowBits: number;
  /** The largest window the client may use, 8–15. As a server, one below 15 can be had only from clients that offer it. */
  readonly clientMaxWindowBits: number;
}

interface Parameters {
  serverNoContextTakeover: boolean;
  clientNoContextTakeover: boolean;
  serverMaxWindowBits: number | undefined;
  /** `true`: offered without a value, §7.1.2.2. */
  clientMaxWindowBits: number | true | undefined;
}

/** 8–15 without leading zeros, RFC 7692 §7.1.2; undefined for anything else. */
function windowBits(text: string | true): number | undefined {
  if (text === "8" || text === "9") return Number(text);
  if (text !== true && text.length === 2 && text >= "10" && text <= "15") return Number(text);
  return undefined;
}

/** RFC 7692 §7.1: an unknown parameter, a repeated one or a bad value makes the whole offer (or answer) invalid. */
function readParameters(extension: Extension, bareClientBits: boolean): Parameters | undefined {
  const read: Parameters = {
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: undefined,
    clientMaxWindowBits: undefined,
  };
  const seen = new Set<string>();
  for (const [name, value] of extension.parameters) {
    if (seen.has(name)) return undefined;
    seen.add(name);
    if (name === "server_no_context_takeover" && value === true) {
      read.serverNoContextTakeover = true;
    } else if (name === "client_no_context_takeover" && value === true) {
      read.clientNoContextTakeover = true;
    } else if (name === "server_max_window_bits") {
      read.serverMaxWindowBits = windowBits(value);
      if (read.serverMaxWindowBits === undefined) return undefined;
    } else if (name === "client_max_window_bits") {
      read.clientMaxWindowBits = value === true && bareClientBits ? true : windowBits(value);
      if (read.clientMaxWindowBits === undefined) return undefined;
    } else {
      return undefined;
    }
  }
  return read;
}

/** Accepts the first acceptable offer, RFC 7692 §5.1 and §7.1. @returns undefined to decline them all. */
export function acceptOffer(
  offers: readonly Extension[],
  wishes: DeflateWishes,
): { readonly agreement: DeflateAgreement; readonly response: Extension } | undefined {
  for (const offer of offers) {
    if (offer.name !== PERMESSAGE_DEFLATE) continue;
    const offered = readParameters(offer, true);
    if (offered === undefined) continue;
    // §7.1.2.2: a client that does not offer client_max_window_bits cannot be told to use a smaller window.
    if (offered.clientMaxWindowBits === undefined && wishes.clientMaxWindowBits < 15) continue;
    const parameters: [string, string | true][] = [];
    // §7.1.1.1: accepting the offer includes this parameter; a server may also add it by itself.
    const serverNoContextTakeover = offered.serverNoContextTakeover || wishes.serverNoContextTakeover;
    if (serverNoContextTakeover) parameters.push(["server_no_context_takeover", true]);
    // §7.1.1.2: the client's is a hint; the server may ask for it in any case.
    const clientNoContextTakeover = offered.clientNoContextTakeover || wishes.clientNoContextTakeover;
    if (clientNoContextTakeover) parameters.push(["client_no_context_takeover", true]);
    // §7.1.2.1: a limit that the client sets is repeated, or lowered.
    const serverMaxWindowBits = Math.min(offered.serverMaxWindowBits ?? 15, wishes.serverMaxWindowBits);
    if (offered.serverMaxWindowBits !== undefined || serverMaxWindowBits < 15) {
      parameters.push(["server_max_window_bits", String(serverMaxWindowBits)]);
    }
    let clientMaxWindowBits = 15;
    if (offered.clientMaxWindowBits !== undefined) {
      const most = offered.clientMaxWindowBits === true ? 15 : offered.clientMaxWindowBits;
      clientMaxWindowBits = Math.min(most, wishes.clientMaxWindowBits);
      if (clientMaxWindowBits < 15) parameters.push(["client_max_window_bits", String(clientMaxWindowBits)]);
    }
    return {
      agreement: { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits },
      response: { name: PERMESSAGE_DEFLATE, parameters },
    };
  }
  return undefined;
}

/** What a client offers, RFC 7692 §7.1. It always says that it can limit its window. */
export function makeOffer(wishes: DeflateWishes): Extension {
  const parameters: [string, string | true][] = [];
  if (wishes.serverNoContextTakeover) parameters.push(["server_no_context_takeover", true]);
  if (wishes.clientNoContextTakeover) parameters.push(["client_no_context_takeover", true]);
  if (wishes.serverMaxWindowBits < 15) parameters.push(["server_max_window_bits", String(wishes.serverMaxWindowBits)]);
  parameters.push([
    "client_max_window_bits",
    wishes.clientMaxWindowBits < 15 ? String(wishes.clientMaxWindowBits) : true,
  ]);
  return { name: PERMESSAGE_DEFLATE, parameters };
}

/** Checks a server's answer to `makeOffer(wishes)`, RFC 7692 §5.1 and §7.1. @returns undefined when the handshake must fail. */
export function checkAnswer(answer: Extension, wishes: DeflateWishes): DeflateAgreement | undefined {
  if (answer.name !== PERMESSAGE_DEFLATE) return undefined;
  const answered = readParameters(answer, false);
  if (answered === undefined) return undefined;
  // §7.1.1.1: a server that accepts an offer with server_no_context_takeover says so.
  if (wishes.serverNoContextTakeover && !answered.serverNoContextTakeover) return undefined;
  // §7.1.2.1: it must not use a larger window than it was allowed.
  const serverMaxWindowBits = answered.serverMaxWindowBits ?? 15;
  if (serverMaxWindowBits > wishes.serverMaxWindowBits) return undefined;
  // §7.1.2.2: the answer may only lower what was offered; the client may stay below the answer.
  const clientMaxWindowBits = answered.clientMaxWindowBits ?? wishes.clientMaxWindowBits;
  if (clientMaxWindowBits === true || clientMaxWindowBits > wishes.clientMaxWindowBits) return undefined;
  return {
    serverNoContextTakeover: answered.serverNoContextTakeover,
    clientNoContextTakeover: answered.clientNoContextTakeover || wishes.clientNoContextTakeover,
    serverMaxWindowBits,
    clientMaxWindowBits,
  };
}
