import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** A peer's package. Its types come from the caller: the packages of this folder are not installed where the workspace is checked. */
export function installed<T>(name: string): T {
  return require(name) as T;
}

export function versionOf(name: string): string {
  return installed<{ version: string }>(`${name}/package.json`).version;
}
