import { mustStayOpen, type Wire } from "./connect.ts";
import type { Pause } from "./generator.ts";

/** Opens a hundred connections, so that code is loaded, then all. Says so after each and waits until it may go on. */
export async function idle(
  connections: number,
  open: (count: number) => Promise<readonly Wire[]>,
  pause: Pause,
): Promise<void> {
  mustStayOpen(await open(100));
  await pause({ connected: 100 });
  mustStayOpen(await open(connections));
  await pause({ connected: 100 + connections });
}
