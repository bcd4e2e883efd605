import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { useNow } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Texts } from "./texts.ts";

/** Two lines of fixed height, so that nothing moves when the connection comes and goes. Only the first is announced: the second counts. */
export function ConnectionState(props: {
  readonly connection: ReadonlySignal<Connection>;
  readonly texts: Texts;
}): JSX.Element {
  const { state } = props.connection.value;
  return (
    <div class="connection-place">
      <div class="connection" data-state={state}>
        <span class="lamp" aria-hidden="true" />
        <strong role="status">{props.texts.state[state]}</strong>
        <Detail {...props} />
      </div>
    </div>
  );
}

function Detail({
  connection,
  texts,
}: {
  readonly connection: ReadonlySignal<Connection>;
  readonly texts: Texts;
}): JSX.Element {
  const now = useNow(500);
  const { state, instance, retryAt } = connection.value;
  const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - now.value) / 1000);
  const detail = {
    connecting: "",
    live: instance === undefined ? "" : texts.instance(instance),
    reconnecting: seconds > 0 ? texts.nextTry(seconds) : texts.trying,
    offline: texts.sentLater,
    ended: texts.reload,
  }[state];
  return <small>{detail}</small>;
}
