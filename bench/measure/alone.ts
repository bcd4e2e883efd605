import { createServer, type Server } from "node:net";

/** An abstract socket (unix(7)): the kernel gives its name to one process, and takes it back when that process ends. */
const name = "\0zuruf-bench";

function take(): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => resolve(server.unref()));
  });
}

/** Resolves once no other measurement runs on this machine, and keeps others waiting until this process ends. */
export async function alone(waiting: () => void): Promise<void> {
  for (let tries = 0; (await take()) === undefined; tries++) {
    if (tries === 0) waiting();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
