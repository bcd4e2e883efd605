/** Certificates for `localhost` and 127.0.0.1 that vouch for themselves, made now by the `openssl` program. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { removeFolder, temporaryFolder } from "./process.ts";
import { programs } from "./programs.ts";

interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** As files, for a server program; gives their paths. */
export async function certificateIn(folder: string): Promise<Certificate> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const program = process.env["ZURUF_TEST_OPENSSL"] ?? programs.openssl.find() ?? "openssl";
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  await promisify(execFile)(program, ["req", ...kind, "-keyout", key, "-out", cert, ...subject]);
  return { key, cert };
}

/** As texts, for a server of the test itself. */
export async function selfSigned(): Promise<Certificate> {
  const folder = await temporaryFolder("tls");
  try {
    const { key, cert } = await certificateIn(folder);
    return { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
  } finally {
    await removeFolder(folder);
  }
}
