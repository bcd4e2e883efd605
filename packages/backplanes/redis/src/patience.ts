/** In how many parts a wait is counted. */
const parts = 10;

/**
 * Settles as `promise` does, or rejects when it takes longer than `ms`. What came while the process itself stood still is read first:
 * a stop, however long, counts as one part of ten, and before the end there is another look at what has arrived.
 */
export function within<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let left = parts;
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_resolve, reject) => {
    timer = setInterval(() => {
      if (--left > 0) return;
      clearInterval(timer);
      // After the next poll of all sockets, and what follows from it.
      setImmediate(() => reject(late()));
    }, ms / parts);
  });
  return Promise.race([promise, over]).finally(() => clearInterval(timer));
}
