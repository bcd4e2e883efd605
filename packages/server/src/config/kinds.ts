import { isIP } from "node:net";
import { z } from "zod";
import { parseOrigin } from "../origin.ts";

/** A kind of option: what a flag's or variable's text means, and which values are good. */
export interface Kind<T> {
  /** What `--help` shows for the value; undefined: a switch, which needs none. */
  readonly placeholder: string | undefined;
  /** What a good value is, for the refusal of a bad one. Undefined: the schema's own words. */
  readonly expects: string | undefined;
  /** Whether a value must not be shown, not even a bad one. */
  readonly secret?: boolean;
  /** Checks a value as the config file has it. */
  readonly schema: z.ZodType<T>;
  /** A text as the value that the config file would have; what makes no sense is returned as it is, for the schema to refuse. */
  fromText(text: string): unknown;
}

const asIs = (text: string): unknown => text;

export function integer(min: number, max: number, placeholder = "N"): Kind<number> {
  return {
    placeholder,
    expects: `an integer from ${min} to ${max}`,
    schema: z.int().min(min).max(max),
    fromText: (text) => (/^\d{1,16}$/.test(text) ? Number(text) : text),
  };
}

export function text(placeholder: string, expects: string, good: (value: string) => boolean): Kind<string> {
  return { placeholder, expects, schema: z.string().refine(good), fromText: asIs };
}

/** A text that no message shows. */
export function secret(...rule: Parameters<typeof text>): Kind<string> {
  return { ...text(...rule), secret: true };
}

export function choice<const T extends string>(...values: readonly T[]): Kind<T> {
  return {
    placeholder: values.join("|"),
    expects: `one of ${values.join(", ")}`,
    schema: z.enum(values),
    fromText: asIs,
  };
}

const words: Readonly<Record<string, boolean>> = { "": true, true: true, "1": true, false: false, "0": false };

export const toggle: Kind<boolean> = {
  placeholder: undefined,
  expects: "true or false",
  schema: z.boolean(),
  fromText: (text) => (Object.hasOwn(words, text) ? words[text] : text),
};

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A time: milliseconds as a number, or a number with its unit in a text (`500ms`, `10s`, `1m`, `1h`). */
export function duration(max: number, maxText: string): Kind<number> {
  return {
    placeholder: "TIME",
    expects: `a time from 0 to ${maxText}, such as 500ms, 10s or 1m`,
    schema: z
      .union([z.number(), z.string()])
      .transform((value) => (typeof value === "number" ? value : milliseconds(value)))
      .pipe(z.int().min(0).max(max)),
    fromText: (text) => (/^\d{1,12}$/.test(text) ? Number(text) : text),
  };
}

function milliseconds(text: string): number {
  const [, amount, unit] = /^(\d{1,12})(ms|s|m|h)$/.exec(text) ?? [];
  return amount === undefined || unit === undefined ? Number.NaN : Number(amount) * (units[unit] ?? Number.NaN);
}

function list(
  placeholder: string,
  expects: string,
  normalize: (item: string) => string | undefined,
): Kind<readonly string[]> {
  return {
    placeholder,
    expects,
    schema: z.array(
      z.string().transform((item, context) => {
        const good = normalize(item);
        if (good !== undefined) return good;
        context.addIssue({ code: "custom", message: expects, input: item });
        return z.NEVER;
      }),
    ),
    fromText: (text) =>
      text
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== ""),
  };
}

export const origins: Kind<readonly string[]> = list(
  "ORIGIN,…",
  "exact origins such as https://example.com or http://localhost:5173",
  (item) => parseOrigin(item)?.text,
);

export const addresses: Kind<readonly string[]> = list(
  "ADDRESS,…",
  "IP addresses or CIDR ranges such as 10.0.0.0/8",
  (item) => (isAddressRange(item) ? item : undefined),
);

function isAddressRange(item: string): boolean {
  const slash = item.indexOf("/");
  const family = isIP(slash < 0 ? item : item.slice(0, slash));
  if (family === 0) return false;
  if (slash < 0) return true;
  const bits = item.slice(slash + 1);
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

/** A structured value: JSON in a flag or variable. */
export function json<T>(schema: z.ZodType<T>): Kind<T> {
  return {
    placeholder: "JSON",
    expects: undefined,
    schema,
    fromText: (text) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return text; // refused by the schema, which names the option
      }
    },
  };
}
