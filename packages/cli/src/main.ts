import { readFileSync } from "node:fs";

const usage = `zuruf <command>

  serve       start the real-time server; zuruf serve --help lists its options
  --version   print the version
  --help      print this
`;

/** The `zuruf` command. Refusals and failures are one line on stderr and exit code 1. */
export async function main(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  switch (command) {
    case "serve":
      await (await import("./serve.ts")).serve(rest); // only now, because it loads the whole server
      break;
    case "--version":
    case "-V":
      process.stdout.write(`${version()}\n`);
      break;
    case "--help":
    case "-h":
      process.stdout.write(usage);
      break;
    case undefined:
      process.stderr.write(usage);
      process.exitCode = 1;
      break;
    default:
      process.stderr.write(`zuruf: unknown command ${JSON.stringify(command)}; see zuruf --help\n`);
      process.exitCode = 1;
  }
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return manifest.version;
}
