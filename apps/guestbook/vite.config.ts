import { defineConfig } from "vite";

export default defineConfig({
  root: "src/page",
  publicDir: "public",
  // The page is served at the root; the modules need no polyfill in a browser that runs them.
  build: {
    outDir: "../../dist/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
