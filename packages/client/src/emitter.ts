/** Takes an event's handler away again. */
export type Off = () => void;

/** What can be listened to: event names, and what their handlers get. */
export interface Listenable<Events extends object> {
  /** Calls `handler` at each event until the returned function is called. A handler that throws is reported like any uncaught error, and changes nothing here. */
  on<Name extends keyof Events>(event: Name, handler: (event: Events[Name]) => void): Off;
}

export class Emitter<Events extends object> implements Listenable<Events> {
  readonly #handlers = new Map<keyof Events, Set<(event: never) => void>>();

  on<Name extends keyof Events>(event: Name, handler: (event: Events[Name]) => void): Off {
    // Wrapped, so that the same function given twice is two handlers, each with an end of its own.
    const own = (value: Events[Name]): void => handler(value);
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(own));
    return () => void handlers.delete(own);
  }

  /** @returns whether anyone listens. */
  emit<Name extends keyof Events>(event: Name, value: Events[Name]): boolean {
    const handlers = this.#handlers.get(event) as Set<(event: Events[Name]) => void> | undefined;
    if (handlers === undefined || handlers.size === 0) return false;
    for (const handler of handlers) {
      try {
        handler(value);
      } catch (error) {
        // The application's mistake: it must neither be lost nor stop the other handlers or this client.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return true;
  }
}
