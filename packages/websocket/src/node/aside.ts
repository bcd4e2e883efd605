/** Pieces of work on zlib's threads at a time. Each holds some 300 KiB; Node has four threads for everything. */
const MOST = 3;

let running = 0;
const waiting: (() => void)[] = [];

/** Runs a piece of work on other threads as soon as few enough are running: memory stays bounded however many sockets ask. */
export async function aside<Result>(work: () => Promise<Result>): Promise<Result> {
  if (running >= MOST) {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
    });
  } else {
    running++;
  }
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}
