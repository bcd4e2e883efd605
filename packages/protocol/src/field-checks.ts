import { isChannelName, isText, maxEpochBytes, maxKeyBytes, maxNameBytes } from "./names.ts";
import type { Member, WirePosition } from "./packets.ts";
import type { FieldType } from "./shapes.ts";

/** A JSON object: neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isUint(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isAnyId(value: unknown): value is number {
  return isUint(value) && value <= 0xffff_ffff;
}

export function isId(value: unknown): value is number {
  return isAnyId(value) && value > 0;
}

const isString = (value: unknown): value is string => typeof value === "string";
const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
const oneOf =
  (...words: readonly string[]) =>
  (value: unknown): boolean =>
    words.includes(value as string);

export function isPosition(value: unknown): value is WirePosition {
  return Array.isArray(value) && isText(value[0], maxEpochBytes) && isUint(value[1]);
}

function isMember(value: unknown): value is Member {
  if (!Array.isArray(value) || !isString(value[0]) || !Array.isArray(value[1])) return false;
  return value[1].every((connection) => Array.isArray(connection) && isString(connection[0]));
}

/** Whether a decoded JSON value may stand in a field of this type. */
export const checks: Readonly<Record<FieldType, (value: unknown) => boolean>> = {
  id: isId,
  anyId: isAnyId,
  uint: isUint,
  bool: isBoolean,
  channel: isChannelName,
  key: (value) => isText(value, maxKeyBytes),
  name: (value) => isText(value, maxNameBytes),
  text: isString,
  pair: (value) => Array.isArray(value) && value.length === 2 && value.every(isString),
  position: isPosition,
  error: (value) =>
    Array.isArray(value) && isString(value[0]) && isString(value[1]) && isBoolean(value[2]) && isUint(value[3]),
  delivery: oneOf("stream", "latest", "volatile"),
  reason: oneOf("retention", "rollback", "epoch"),
  receipt: oneOf("delivered", "offline", "unknown"),
  json: () => true,
  limits: (value) => isObject(value) && Object.values(value).every(isUint),
  items: Array.isArray,
  members: (value) => Array.isArray(value) && value.every(isMember),
};
