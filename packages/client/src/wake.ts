interface Page {
  readonly document?: { readonly visibilityState: string };
  addEventListener?(event: string, run: (event: { readonly type: string }) => void): void;
  removeEventListener?(event: string, run: (event: { readonly type: string }) => void): void;
}

/** `visibilitychange` is fired at the document and bubbles to the window (HTML, page visibility). */
const events = ["online", "offline", "visibilitychange"];

/**
 * Calls `run` when the network is back or gone, or the page is looked at again: timers of a hidden page or a sleeping machine are late, these events are not.
 * Does nothing where there are no such events (Node).
 * @returns what ends it.
 */
export function onWake(run: (offline: boolean) => void): () => void {
  const page = globalThis as Page;
  const happened = ({ type }: { readonly type: string }): void => {
    if (type !== "visibilitychange" || page.document?.visibilityState === "visible") run(type === "offline");
  };
  for (const event of events) page.addEventListener?.(event, happened);
  return () => {
    for (const event of events) page.removeEventListener?.(event, happened);
  };
}
