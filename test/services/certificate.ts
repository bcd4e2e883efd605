/** A certificate for `localhost` and 127.0.0.1 that vouches for itself, as files for a server program. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { programs } from "./programs.ts";

export async function certificateIn(folder: string): Promise<{ readonly key: string; readonly cert: string }> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const program = process.env["ZURUF_TEST_OPENSSL"] ?? programs.openssl.find() ?? "openssl";
  const kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
  await promisify(execFile)(program, ["req", ...kind, "-keyout", key, "-out", cert, ...subject]);
  return { key, cert };
}
