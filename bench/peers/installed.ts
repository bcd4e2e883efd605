import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** A peer's package. Its types are the caller's to say: the packages of this folder are not installed where the workspace is checked. */
export function installed(name: string): unknown {
  return require(name);
}

export function versionOf(name: string): string {
  return (installed(`${name}/package.json`) as { version: string }).version;
}
