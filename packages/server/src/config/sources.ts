import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ServerError } from "../errors.ts";
import { closest } from "./closest.ts";
import { flagName, optionKeys, options, variableName, type OptionKey } from "./options.ts";

/** One option's value as somebody wrote it, and where, for the message that refuses it. */
export interface Written {
  readonly key: OptionKey;
  readonly value: unknown;
  readonly where: string;
}
export interface Flags {
  readonly written: readonly Written[];
  readonly config: string | undefined;
  readonly help: boolean;
}

const keyByFlag: ReadonlyMap<string, OptionKey> = new Map(optionKeys.map((key) => [flagName(key), key]));
const keyByVariable: ReadonlyMap<string, OptionKey> = new Map(optionKeys.map((key) => [variableName(key), key]));

const bad = (message: string): ServerError => new ServerError("badConfig", message);

/** Reads `--flag value`, `--flag=value`, `--switch` and `--no-switch`. @throws ServerError badConfig for what is none of these. */
export function readFlags(args: readonly string[]): Flags {
  const written: Written[] = [];
  let config: string | undefined;
  let help = false;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg === "--help" || arg === "-h") {
      help = true;
      continue;
    }
    if (!arg.startsWith("--"))
      throw bad(`unexpected argument ${JSON.stringify(arg)}; options start with --, see zuruf serve --help`);
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const inline = equals < 0 ? undefined : arg.slice(equals + 1);
    const value = (): string => {
      const found = inline ?? args[++at];
      if (found === undefined) throw bad(`${name}: needs a value`);
      return found;
    };
    if (name === "--config") {
      config = value();
      continue;
    }
    const key = keyByFlag.get(name);
    if (key !== undefined) {
      const { kind } = options[key];
      const text = kind.placeholder === undefined ? (inline ?? "") : value();
      written.push({ key, value: kind.fromText(text), where: name });
      continue;
    }
    const negated = name.startsWith("--no-") && inline === undefined ? keyByFlag.get(`--${name.slice(5)}`) : undefined;
    if (negated === undefined || options[negated].kind.placeholder !== undefined)
      throw bad(`${name}: unknown option${closest(name, ["--config", "--help", ...keyByFlag.keys()])}`);
    written.push({ key: negated, value: false, where: name });
  }
  return { written, config, help };
}

// Variables that others read (the engine's switch, test services), and those that Kubernetes sets for a service named "zuruf".
const foreign = /^ZURUF_(CONFIG|NO_INTERNALS|CHROMIUM|TEST_\w+|SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_\w+)$/;

/** Reads the `ZURUF_…` variables. @throws ServerError badConfig for one that no option has. */
export function readVariables(env: Readonly<Record<string, string | undefined>>): readonly Written[] {
  const written: Written[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith("ZURUF_") || text === undefined || foreign.test(name)) continue;
    const key = keyByVariable.get(name);
    if (key === undefined) throw bad(`${name}: unknown variable${closest(name, keyByVariable.keys())}`);
    written.push({ key, value: options[key].kind.fromText(text), where: name });
  }
  return written;
}

/** Reads a config file: one JSON object. @throws ServerError badConfig for a file that is none, or has a key that no option has. */
export function readConfigFile(name: string, cwd: string): readonly Written[] {
  let text: string;
  try {
    text = readFileSync(resolve(cwd, name), "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw bad(`--config ${name}: ${code === "ENOENT" ? "no such file" : `cannot be read (${code})`}`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw bad(`--config ${name}: not JSON: ${(error as Error).message.replaceAll(/\s+/g, " ")}`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content))
    throw bad(`--config ${name}: expected one JSON object`);
  return Object.entries(content).map(([key, value]) => {
    if (!Object.hasOwn(options, key)) throw bad(`${name}: ${key}: unknown key${closest(key, optionKeys)}`);
    return { key: key as OptionKey, value: value as unknown, where: `${name}: ${key}` };
  });
}
