/**
 * Holds the arrows of CONTRIBUTING.md: which package may import which. Reads every source file's imports, and prints
 * the two files' names for each arrow that points the wrong way. Run by `npm run check`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative, resolve } from "node:path";

interface Layer {
  /** Folder below the repository's root. */
  readonly folder: string;
  /** Packages of ours it may import. */
  readonly may: readonly string[];
  /** Whether it may import `node:*` and third-party packages. */
  readonly outside: "none" | "node" | "any";
}

/** Most specific folder first. */
const layers: readonly Layer[] = [
  { folder: "packages/websocket/src/core", may: [], outside: "none" },
  { folder: "packages/websocket/src", may: [], outside: "node" },
  { folder: "packages/protocol/src", may: [], outside: "none" },
  { folder: "packages/hub/src/testing", may: ["@zuruf/protocol"], outside: "any" },
  { folder: "packages/hub/src", may: ["@zuruf/protocol"], outside: "none" },
  { folder: "packages/client/src", may: ["@zuruf/protocol", "@zuruf/websocket"], outside: "none" },
  { folder: "packages/backplanes", may: ["@zuruf/hub"], outside: "any" },
  {
    folder: "packages/server/src",
    may: [
      "@zuruf/hub",
      "@zuruf/protocol",
      "@zuruf/websocket",
      "@zuruf/redis",
      "@zuruf/postgres",
      "@zuruf/rabbitmq",
      "@zuruf/nats",
      "@zuruf/compose",
    ],
    outside: "any",
  },
  { folder: "packages/cli/src", may: ["@zuruf/server"], outside: "any" },
  { folder: "apps", may: ["@zuruf/server", "@zuruf/client"], outside: "any" },
];

/** What `websocket/src/core`, `protocol` and `hub` must be given instead of reaching for it. */
const ambient =
  /\b(?:Date\.now|performance\.now|Math\.random)\s*\(|(?<![.\w])(?:setTimeout|setInterval|setImmediate)\s*\((?!\w+:)|\bnew Date\(\)|\bprocess\.|\bBuffer\b|(?<![.\w])crypto\./;
const withoutAmbient = ["packages/websocket/src/core", "packages/protocol/src", "packages/hub/src"];
/** The machine's own clock and randomness, for those who are not given another: defined here and nowhere else. */
const mayUseAmbient = [
  "packages/protocol/src/clock.ts",
  "packages/hub/src/memory-backplane.ts",
  // For backplanes, which wait for real brokers, and for their tests.
  "packages/hub/src/store/",
  "packages/hub/src/testing/",
];

const root = resolve(import.meta.dirname, "..");
const problems: string[] = [];

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !/(?:^|\/)(?:node_modules|dist|test)\//.test(file));
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|[^:"'`])\/\/.*$/gm, "$1");
}

for (const file of [...sources("packages"), ...sources("apps")]) {
  const layer = layers.find(({ folder }) => file.startsWith(`${folder}/`));
  if (layer === undefined) continue;
  const text = withoutComments(readFileSync(join(root, file), "utf8"));
  for (const match of text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g)) {
    const target = match[1] ?? "";
    const said = (why: string): void => void problems.push(`${file} imports ${target}: ${why}`);
    // A package's own module under a name that package.json gives it ("imports").
    if (target.startsWith("#")) continue;
    if (target.startsWith(".")) {
      const to = relative(root, resolve(root, dirname(file), target));
      const own = /^(?:packages\/backplanes\/[^/]+|packages\/[^/]+|apps\/[^/]+)\//.exec(file)?.[0] ?? "";
      if (!to.startsWith(own)) said(`that is ${to}, another package; import it by name`);
      else if (layer.folder === "packages/websocket/src/core" && !to.startsWith(layer.folder))
        said(`the core knows nothing of ${to}`);
    } else if (target.startsWith("@zuruf/")) {
      const name = target.split("/").slice(0, 2).join("/");
      if (!layer.may.includes(name)) said(`${layer.folder} may import ${layer.may.join(", ") || "no package of ours"}`);
    } else if (layer.outside === "none" || (layer.outside === "node" && !isBuiltin(target))) {
      said(`${layer.folder} imports ${layer.outside === "none" ? "nothing from outside" : "only Node's own modules"}`);
    }
  }
  if (
    withoutAmbient.some((folder) => file.startsWith(`${folder}/`)) &&
    !mayUseAmbient.some((place) => file.startsWith(place))
  ) {
    const found = ambient.exec(text);
    if (found !== null)
      problems.push(
        `${file} uses ${found[0].trim()}: time, randomness and Node's globals are given to it from outside`,
      );
  }
}

const tests = ["packages", "apps", "test", "bench", "conformance"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter(
      (file) => !/(?:^|\/)(?:node_modules|dist)\//.test(file) && /(?:^|\/)test\/|^bench\/|^conformance\//.test(file),
    ),
);
for (const file of tests) {
  for (const match of readFileSync(join(root, file), "utf8").matchAll(/\bfrom\s*["'](\.[^"']+)["']/g)) {
    const to = relative(root, resolve(root, dirname(file), match[1] ?? ""));
    const owner = /^((?:packages\/backplanes|packages|apps)\/[^/]+)\/src\//.exec(to)?.[1];
    if (owner !== undefined && !file.startsWith(`${owner}/`))
      problems.push(`${file} imports ${to}: import the package by name`);
  }
}

for (const problem of problems) console.log(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
