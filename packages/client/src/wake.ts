interface Page {
  readonly document?: { readonly visibilityState: string };
  addEventListener?(event: string, run: () => void): void;
  removeEventListener?(event: string, run: () => void): void;
}

/**
 * Calls `run` when the network is back or the page is looked at again: timers of a hidden page or a sleeping machine are late, these events are not.
 * Does nothing where there are no such events (Node).
 * @returns what ends it.
 */
export function onWake(run: () => void): () => void {
  const page = globalThis as Page;
  const visible = (): void => {
    if (page.document?.visibilityState === "visible") run();
  };
  page.addEventListener?.("online", run);
  // It is fired at the document and bubbles to the window (HTML, page visibility).
  page.addEventListener?.("visibilitychange", visible);
  return () => {
    page.removeEventListener?.("online", run);
    page.removeEventListener?.("visibilitychange", visible);
  };
}
