const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `"500ms"`, `"10s"`, `"5m"`, `"1h"`, `"7d"` or of a number. @throws {TypeError} for anything else, and for what is not above 0. */
export function duration(value: string | number, name: string): number {
  const match = typeof value === "string" ? /^(\d{1,12})(ms|s|m|h|d)$/.exec(value) : undefined;
  const ms = match ? Number(match[1]) * (units[match[2] as string] as number) : value;
  if (typeof ms !== "number" || !Number.isSafeInteger(ms) || ms <= 0)
    throw new TypeError(
      `${name} must be milliseconds above 0 or a text like "10s", "5m", "1h", "7d", not ${JSON.stringify(value)}`,
    );
  return ms;
}
