/** `npm run bench -- SUITE [options]`: finds the suite and leaves the rest to it. */
type Suite = (args: readonly string[]) => Promise<number>;

const suites: Readonly<Record<string, { readonly about: string; load(): Promise<Suite> }>> = {
  engine: {
    about: "the WebSocket engine beside ws, raw sockets and Bun",
    load: async () => (await import("./engine/bench.ts")).engine,
  },
  backplanes: {
    about: "two instances on Redis, PostgreSQL, NATS and RabbitMQ, beside Socket.IO and its adapters",
    load: async () => (await import("./backplanes/bench.ts")).backplanes,
  },
  hub: {
    about: "channels on one instance, beside Socket.IO",
    load: async () => (await import("./hub/bench.ts")).hub,
  },
};

const [name = "", ...args] = process.argv.slice(2);
const suite = Object.hasOwn(suites, name) ? suites[name] : undefined;
if (suite) {
  process.exitCode = await (await suite.load())(args);
} else {
  const list = Object.entries(suites).map(([key, { about }]) => `  ${key}  ${about}`);
  process.stderr.write(
    `npm run bench -- SUITE [options]; --help after a suite shows its options\n\n${list.join("\n")}\n`,
  );
  process.exitCode = 2;
}
