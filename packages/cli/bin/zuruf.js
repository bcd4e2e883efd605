#!/usr/bin/env node
const { main } = await import("../dist/main.js").catch((/** @type {NodeJS.ErrnoException} */ error) => {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  console.error(`zuruf: not installed, or not built: npm ci in the checkout does both (${error.message})`);
  process.exit(1);
});

await main(process.argv.slice(2));
