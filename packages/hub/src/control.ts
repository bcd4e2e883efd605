import type { InstanceId } from "./backplane.ts";
import { takenBy } from "./connect.ts";
import type { Core } from "./core.ts";
import { describe } from "./errors.ts";

/** What instances say to each other. */
export type ControlMessage =
  /** A session was resumed here: older connections of it are to close. */
  { readonly type: "taken"; readonly client: string; readonly life: number };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The line between instances: best effort, in order per sender. */
export class Control {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** To one instance, or to all others. Failures are logged: whoever needs certainty has a deadline of its own. */
  send(message: ControlMessage, to?: InstanceId): void {
    this.#core.backplane.control(encoder.encode(JSON.stringify(message)), to).catch((error: unknown) => {
      this.#core.log("debug", "a control message was not sent", { error: describe(error) });
    });
  }

  received(_from: InstanceId, bytes: Uint8Array): void {
    const message = parse(bytes);
    if (message === undefined) {
      this.#core.log("warn", "a control message is malformed and was dropped");
      return;
    }
    const connection = this.#core.connections.client(message.client);
    if (connection !== undefined) takenBy(connection, message.life);
  }
}

function parse(bytes: Uint8Array): ControlMessage | undefined {
  try {
    const message = JSON.parse(decoder.decode(bytes)) as Partial<ControlMessage> | null;
    if (message?.type === "taken" && typeof message.client === "string" && Number.isSafeInteger(message.life))
      return message as ControlMessage;
  } catch {
    // Not ours, or not whole: undefined.
  }
  return undefined;
}
