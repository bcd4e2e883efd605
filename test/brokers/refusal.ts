/** What is said of a broker that cannot be used, to whoever calls the function and to whoever runs `zuruf serve`. */
import { BackplaneError, type Backplane } from "@zuruf/hub";
import { run } from "../service/zuruf-process.ts";
import { Member } from "./member.ts";

export interface Refusal {
  readonly code: string;
  readonly line: string;
}

/** Starts a backplane that must not start. */
export async function refusal(backplane: Backplane): Promise<Refusal> {
  let error: unknown;
  try {
    await Member.start(backplane, "a");
  } catch (reason) {
    error = reason;
  }
  await backplane.close();
  if (!(error instanceof BackplaneError)) throw new Error(`no BackplaneError: ${String(error)}`);
  if (error.message.includes("\n")) throw new Error(`more than one line: ${error.message}`);
  return { code: error.code, line: error.message };
}

/** Both ways of starting, which must say the same line, but for what is random in names, and no secret. */
export async function refusals(backplane: Backplane, url: string): Promise<Refusal> {
  const [said, served] = await Promise.all([refusal(backplane), serviceRefusal(url)]);
  const named = (line: string): string => line.replaceAll(/(?<=zuruf\.)[\w.-]+/g, "…");
  if (named(said.line) !== named(served)) throw new Error(`two answers:\n${said.line}\n${served}`);
  if (served.includes("secret")) throw new Error(`a secret is told: ${served}`);
  return said;
}

/** Runs `zuruf serve --backplane URL`, which must end with 1 after one line. */
async function serviceRefusal(url: string): Promise<string> {
  const { code, stdout, stderr } = await run(["serve", "--port", "0", "--backplane", url]);
  const [, line] = /^zuruf: ([^\n]+)\n$/.exec(stderr) ?? [];
  if (code !== 1 || stdout !== "" || line === undefined) throw new Error(`no refusal: ${code} ${stdout} ${stderr}`);
  return line;
}
