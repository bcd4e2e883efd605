/**
 * The vectors as a suite for any echo server: what a vector reports as a message must come back as that message, pings must be answered,
 * close frames too, and what fails must end the connection.
 */
import { bytesOf, type HandshakeVector, load, type OfferVector, textOf, type Vector } from "./vector.ts";
import { type Received, shake, type Target, Wire } from "./wire.ts";

export interface Result {
  readonly verdict: "passed" | "failed" | "skipped";
  /** Why; for what passed, what is worth knowing. */
  readonly detail: string;
}

export interface LiveCase {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  run(target: Target): Promise<Result>;
}

const passed = (detail = ""): Result => ({ verdict: "passed", detail });
const failed = (detail: string): Result => ({ verdict: "failed", detail });
const skipped = (detail: string): Result => ({ verdict: "skipped", detail });

/** Whether these client frames end where a frame ends, so that another may follow. */
function endsWhole(bytes: Buffer): boolean {
  let at = 0;
  while (at < bytes.length) {
    if (at + 2 > bytes.length) return false;
    const short = bytes.readUInt8(at + 1) & 0x7f;
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (at + head > bytes.length) return false;
    const length =
      short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short;
    at += head + 4 + length;
  }
  return at === bytes.length;
}

/** A close frame with status 1000, masked with zeros. */
const goodbye = Buffer.from("88820000000003e8", "hex");

interface Expected {
  readonly messages: readonly Received[];
  readonly pongs: readonly string[];
}

function expected(vector: Vector): Expected {
  const messages = vector.events.flatMap((event): Received[] => {
    if (event.type !== "message") return [];
    if ("text" in event) return [{ kind: "text", payload: Buffer.from(textOf(event.text)) }];
    return [{ kind: "binary", payload: bytesOf(event.binary) }];
  });
  return { messages, pongs: vector.answers.flatMap(({ frame, payload }) => (frame === "pong" ? [payload] : [])) };
}

function show({ kind, payload }: Received): string {
  const text = payload.toString("hex");
  return `${kind} ${text.length > 40 ? `${text.slice(0, 40)}… (${payload.length} bytes)` : text}`;
}

const same = (a: Received, b: Received): boolean => a.kind === b.kind && a.payload.equals(b.payload);

/** Everything the server sent, until it closed, ended, or had said all that was expected. */
interface Heard {
  readonly messages: Received[];
  readonly pongs: string[];
  close: Extract<Received, { kind: "close" }> | undefined;
}

async function converse(target: Target, vector: Vector, octets: boolean): Promise<Result> {
  const { wire, frames, extensions } = await shake(
    target,
    vector.deflate ? "permessage-deflate; client_max_window_bits" : "",
  );
  try {
    const unable = vector.deflate && missing(vector.deflate, extensions);
    if (unable) return skipped(unable);
    const bytes = bytesOf(vector.bytes);
    if (octets) await wire.sendOctets(bytes);
    else wire.send(bytes);
    const want = expected(vector);
    const whole = endsWhole(bytes);
    // An open connection is closed by us, so that whatever the server says too much comes before its answer.
    if (vector.outcome === "open" && whole) wire.send(goodbye);
    const heard: Heard = { messages: [], pongs: [], close: undefined };
    const complete = (): boolean =>
      heard.messages.length >= want.messages.length && heard.pongs.length >= want.pongs.length;
    const toTheEnd = vector.outcome !== "open" || whole;
    for (;;) {
      if (!toTheEnd && complete()) break;
      const received = await frames.next();
      if (received === undefined) break;
      if (received.kind === "close") {
        heard.close = received;
        break;
      }
      if (received.kind === "pong") heard.pongs.push(received.payload.toString("hex"));
      else if (received.kind !== "ping") heard.messages.push(received);
    }
    const verdict = judge(vector, want, heard, whole);
    // RFC 6455 §7.1.1: the server ends the TCP connection once the close is done, or has failed.
    if (verdict.verdict === "passed" && toTheEnd) await wire.ended();
    return verdict;
  } finally {
    wire.destroy();
  }
}

function judge({ outcome }: Vector, want: Expected, heard: Heard, whole: boolean): Result {
  const fails = typeof outcome === "object";
  for (const [i, message] of heard.messages.entries()) {
    const right = want.messages[i];
    if (!right) return failed(`an echo too many: ${show(message)}`);
    if (!same(message, right)) return failed(`echoed ${show(message)} instead of ${show(right)}`);
  }
  for (const [i, pong] of heard.pongs.entries()) {
    if (want.pongs[i] !== pong) return failed(`pong ${pong} instead of ${want.pongs[i] ?? "none"}`);
  }
  const all = heard.messages.length === want.messages.length && heard.pongs.length === want.pongs.length;
  if (fails) {
    // RFC 6455 §7.1.7: the server may tell why before it ends the connection; what it had not yet handled it may forget.
    const lost = all ? "" : `${want.messages.length - heard.messages.length} messages before the failure not echoed`;
    if (!heard.close) return passed(["ended without a close frame", lost].filter(Boolean).join("; "));
    if (!outcome.fails.includes(heard.close.code))
      return failed(`closed with ${heard.close.code} instead of ${outcome.fails.join(" or ")}`);
    return passed(lost);
  }
  if (!all)
    return failed(
      `${heard.messages.length} of ${want.messages.length} echoes, ${heard.pongs.length} of ${want.pongs.length} pongs`,
    );
  if (outcome === "open" && !whole) return passed();
  if (!heard.close) return failed("the close frame was not answered");
  return passed();
}

/** Why a deflate vector does not fit what was agreed. */
function missing({ context, windowBits }: NonNullable<Vector["deflate"]>, extensions: string): string | undefined {
  if (!extensions.startsWith("permessage-deflate")) return "permessage-deflate was not agreed";
  if (context && extensions.includes("client_no_context_takeover"))
    return "the server asked for client_no_context_takeover";
  const bits = Number(/client_max_window_bits="?(\d+)/.exec(extensions)?.[1] ?? 15);
  return bits < windowBits ? `the server asked for a window of 2^${bits}` : undefined;
}

async function handshake(target: Target, vector: HandshakeVector): Promise<Result> {
  if (target.http2) return skipped("this handshake is HTTP/1.1's");
  const wire = await Wire.open(target);
  try {
    const { pathname, search, host } = target.url;
    const head = vector.head
      .replace(
        /^(\S+) \/(?:echo|chat)(\?\S*)? /,
        (_all, method: string, query?: string) => `${method} ${pathname}${query ?? search} `,
      )
      .replace(/^host: .*$/im, `Host: ${host}`);
    wire.send(Buffer.from(head, "latin1"));
    const { status, headers } = await wire.head();
    if (typeof vector.outcome === "object") {
      if (!vector.outcome.refuses.includes(status))
        return failed(`answered ${status} instead of ${vector.outcome.refuses.join(" or ")}`);
      // RFC 6455 §4.4: a server that does not speak a version says which ones it does.
      const toldVersion = headers.get("sec-websocket-version")?.includes("13") ?? false;
      return passed(vector.id.startsWith("4.4-version") && !toldVersion ? "does not say which version it speaks" : "");
    }
    if (status !== 101) return failed(`answered ${status}`);
    const accept = headers.get("sec-websocket-accept");
    return accept === vector.accept ? passed() : failed(`Sec-WebSocket-Accept: ${accept} instead of ${vector.accept}`);
  } finally {
    wire.destroy();
  }
}

async function offer(target: Target, { offer: value, outcome }: OfferVector): Promise<Result> {
  const { wire, extensions } = await shake(target, value);
  wire.destroy();
  if (outcome === "declines") return extensions === "" ? passed() : failed(`accepted: ${extensions}`);
  if (extensions === "") return outcome.mayDecline ? passed("declined") : skipped("permessage-deflate was not agreed");
  const [name = "", ...parameters] = extensions.split(";").map((part) => part.trim());
  const agreed = new Map(
    parameters.map((part): [string, string] => [part.split("=")[0] ?? "", part.split("=")[1] ?? ""]),
  );
  if (name !== "permessage-deflate") return failed(`agreed to ${extensions}`);
  if (outcome.serverNoContextTakeover && !agreed.has("server_no_context_takeover"))
    return failed("left out server_no_context_takeover (§7.1.1.1)");
  if (outcome.serverMaxWindowBits < 15) {
    const bits = Number(agreed.get("server_max_window_bits")?.replaceAll('"', "") ?? Number.NaN);
    if (!(bits >= 8 && bits <= outcome.serverMaxWindowBits))
      return failed(`window of the server: ${extensions} (§7.1.2.1)`);
  }
  const client = agreed.get("client_max_window_bits");
  if (outcome.clientMaxWindowBits === "absent" && client !== undefined)
    return failed("client_max_window_bits was not offered (§7.1.2.2)");
  if (
    outcome.clientMaxWindowBits !== "absent" &&
    client !== undefined &&
    !(Number(client.replaceAll('"', "")) <= outcome.clientMaxWindowBits)
  ) {
    return failed(`window of the client: ${extensions} (§7.1.2.2)`);
  }
  return passed();
}

/** Every case there is for a server. Those of few bytes come twice: in one piece, and byte by byte. */
export function liveCases(): LiveCase[] {
  const frames = [...load("frames"), ...load("deflate")].filter(({ role }) => role === "server");
  return [
    ...load("handshake")
      .filter(({ role }) => role === "server")
      .map((vector): LiveCase => ({
        id: `handshake ${vector.id}`,
        section: vector.section,
        says: vector.says,
        run: (target) => handshake(target, vector),
      })),
    ...load("offers").map((vector): LiveCase => ({
      id: `offer ${vector.id}`,
      section: vector.section,
      says: `${vector.says}: ${vector.offer}`,
      run: (target) => offer(target, vector),
    })),
    ...frames.flatMap((vector): LiveCase[] => {
      const { section, says } = vector;
      const id = vector.id.replace(/-server$/, "");
      const whole: LiveCase = { id, section, says, run: (target) => converse(target, vector, false) };
      if (bytesOf(vector.bytes).length > 100) return [whole];
      return [whole, { ...whole, id: `${id}, byte by byte`, run: (target) => converse(target, vector, true) }];
    }),
  ];
}

/** A case with what came of it. */
export type Ran = LiveCase & Result;

/** Runs cases, several at once, and reports each as it is done. */
export async function runCases(target: Target, cases: readonly LiveCase[], atOnce = 8): Promise<Ran[]> {
  const results: Ran[] = Array.from({ length: cases.length });
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < cases.length) {
      const number = next++;
      const it = cases[number];
      if (!it) return;
      const result = await it
        .run(target)
        .catch((error: unknown) => failed(error instanceof Error ? error.message : String(error)));
      results[number] = { ...it, ...result };
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
