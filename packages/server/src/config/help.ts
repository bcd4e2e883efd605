import { flagName, optionKeys, options, variableName } from "./options.ts";

/** What `zuruf serve --help` prints, from the table of options. */
export function serveHelp(): string {
  const rows = optionKeys.map((key) => {
    const { kind, about, default: value } = options[key];
    const flag = kind.placeholder === undefined ? flagName(key) : `${flagName(key)} ${kind.placeholder}`;
    return [flag, `${about}${described(value)}`] as const;
  });
  rows.push(
    ["--config FILE", "JSON file of options; its keys are the flags' names in camelCase"],
    ["--help", "print this"],
  );
  return [
    "zuruf serve [options]",
    "",
    "Starts the real-time server. SIGINT or SIGTERM stops it gracefully, a second one at once.",
    "",
    ...rows.map(([flag, about]) =>
      flag.length > 30 ? `  ${flag}\n${" ".repeat(34)}${about}` : `  ${flag.padEnd(32)}${about}`,
    ),
    "",
    `Every option is also a variable (--drain-window is ${variableName("drainWindow")}) and a key of the config file ("drainWindow").`,
    "A flag wins over a variable, a variable over the file. --no-NAME turns a switch off.",
    "",
  ].join("\n");
}

/** A default worth printing: ` (8080)`; nothing for none, for an empty list and for a switch that is off. */
function described(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? ` (${value})` : "";
}
