import type { Answer, Text, Vector, VectorEvent } from "../vector.ts";
import { type Frame, frameBytes } from "./frame.ts";

/** A case that holds for both roles: frames, and what comes of them. */
export interface Case {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  readonly frames: readonly Frame[];
  readonly events?: readonly VectorEvent[];
  readonly answers?: readonly Answer[];
  readonly outcome?: Vector["outcome"];
  readonly deflate?: Vector["deflate"];
  /** Only for one role. */
  readonly only?: Vector["role"];
  /** Cut off this many bytes at the end: the last frame has not arrived whole. */
  readonly without?: number;
}

/** Both roles' vectors of a case. */
export function vectors({
  frames,
  events = [],
  answers = [],
  outcome = "open",
  only,
  deflate,
  ...rest
}: Case): Vector[] {
  const roles = only === undefined ? (["server", "client"] as const) : [only];
  return roles.map((role) => {
    const bytes = frames.flatMap((frame) => frameBytes(frame, role));
    const { id, section, says, without = 0 } = rest;
    const last = bytes.at(-1);
    if (without > 0 && typeof last === "string") bytes[bytes.length - 1] = last.slice(0, -2 * without);
    return {
      id: `${id}-${role}`,
      section,
      says,
      role,
      ...(deflate ? { deflate } : {}),
      bytes,
      events,
      answers,
      outcome,
    };
  });
}

export const utf8 = (text: string): Buffer => Buffer.from(text, "utf8");
export const octets = (hexadecimal: string): Buffer => Buffer.from(hexadecimal.replaceAll(" ", ""), "hex");

export const text = (data: string | Buffer, more: Partial<Frame> = {}): Frame => ({
  opcode: 1,
  data: typeof data === "string" ? utf8(data) : data,
  ...more,
});
export const binary = (data: Buffer, more: Partial<Frame> = {}): Frame => ({ opcode: 2, data, ...more });
export const more = (data: string | Buffer, rest: Partial<Frame> = {}): Frame => ({ ...text(data, rest), opcode: 0 });
export const ping = (data: string | Buffer, rest: Partial<Frame> = {}): Frame => ({ ...text(data, rest), opcode: 9 });
export const pong = (data: string | Buffer, rest: Partial<Frame> = {}): Frame => ({ ...text(data, rest), opcode: 10 });
export const notFinal = { fin: false } as const;

/** A close frame. @param code undefined for an empty one. */
export function close(code?: number, reason: string | Buffer = "", rest: Partial<Frame> = {}): Frame {
  if (code === undefined) return { opcode: 8, ...rest };
  const body = typeof reason === "string" ? utf8(reason) : reason;
  return { opcode: 8, data: Buffer.concat([Buffer.from([code >> 8, code & 0xff]), body]), ...rest };
}

export const said = (content: Text): VectorEvent => ({ type: "message", text: content });
export const bytes = (content: Buffer): VectorEvent => ({ type: "message", binary: [content.toString("hex")] });
export const pinged = (data: string | Buffer): VectorEvent => ({
  type: "ping",
  data: Buffer.from(data).toString("hex"),
});
export const ponged = (data: string | Buffer): VectorEvent => ({
  type: "pong",
  data: Buffer.from(data).toString("hex"),
});
export const answersPong = (data: string | Buffer): Answer => ({
  frame: "pong",
  payload: Buffer.from(data).toString("hex"),
});
export const closed = (code: number, reason = ""): VectorEvent => ({ type: "close", code, reason });
/** The close frame's answer echoes the status code (RFC 6455 §5.5.1: "typically"). */
export const answersClose = (code?: number): Answer => ({
  frame: "close",
  payload: code === undefined ? "" : code.toString(16).padStart(4, "0"),
});
export const fails = (...codes: number[]): Vector["outcome"] => ({ fails: codes });
