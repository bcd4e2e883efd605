import { ServerError } from "../errors.ts";
import { redact } from "../backplanes.ts";
import { closest } from "./closest.ts";
import { optionKeys, options, type OptionKey } from "./options.ts";
import type { ServiceSettings } from "./service-config.ts";
import { readConfigFile, readFlags, readVariables, type Written } from "./sources.ts";

export interface Invocation {
  /** The arguments after the command's name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative file names begin. */
  readonly cwd: string;
}

/**
 * Decides every setting: a flag wins over a variable, a variable over the config file, the file over the default.
 * Every value that was written is checked, also one that another overrides.
 * @returns "help" when the arguments ask for it.
 * @throws ServerError badConfig, one line that names the option.
 */
export function loadSettings({ args, env, cwd }: Invocation): ServiceSettings | "help" {
  const flags = readFlags(args);
  if (flags.help) return "help";
  const config = flags.config ?? env["ZURUF_CONFIG"];
  return settle([...(config ? readConfigFile(config, cwd) : []), ...readVariables(env), ...flags.written]);
}

/** Checks settings that a program wrote, and adds the defaults. @param known the options it may write. @throws ServerError badConfig. */
export function checkSettings(
  given: Readonly<Partial<Record<string, unknown>>>,
  known: readonly OptionKey[] = optionKeys,
): ServiceSettings {
  const written: Written[] = [];
  for (const [name, value] of Object.entries(given)) {
    const key = known.find((one) => one === name);
    if (key === undefined) throw new ServerError("badConfig", `${name}: unknown option${closest(name, known)}`);
    if (value !== undefined) written.push({ key, value, where: name });
  }
  return settle(written);
}

function settle(written: readonly Written[]): ServiceSettings {
  const settings: Partial<Record<OptionKey, unknown>> = Object.fromEntries(
    optionKeys.map((key) => [key, options[key].default]),
  );
  for (const one of written) settings[one.key] = check(one);
  return settings as unknown as ServiceSettings;
}

function check({ key, value, where }: Written): unknown {
  const { kind } = options[key];
  const result = kind.schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (kind.expects !== undefined) {
    const got = kind.secret === true ? "something else" : shown(value);
    throw new ServerError("badConfig", `${where}: expected ${kind.expects}, got ${got}`);
  }
  const place = issue?.path.length ? `${where}: ${issue.path.map(String).join(" › ")}` : where;
  throw new ServerError("badConfig", `${place}: ${issue?.message ?? "bad value"}`);
}

function shown(value: unknown): string {
  const text = JSON.stringify(typeof value === "string" ? redact(value) : value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
