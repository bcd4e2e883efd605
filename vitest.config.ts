import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: [
      "packages/*/test/**/*.test.ts",
      "packages/backplanes/*/test/**/*.test.ts",
      "apps/*/test/**/*.test.ts",
      "conformance/test/**/*.test.ts",
      "bench/test/**/*.test.ts",
      "test/**/*.test.ts",
    ],
    exclude: ["**/node_modules/**", "**/dist/**"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // A condition is awaited, however busy the machine is; a promise in milliseconds is measured where it is tested.
    expect: { poll: { timeout: 10_000 } },
    maxWorkers: 2,
  },
});
