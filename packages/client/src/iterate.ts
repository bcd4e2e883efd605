import { ZurufError } from "@zuruf/protocol";
import type { Channel } from "./channel.ts";
import type { Publication } from "./publication.ts";

export interface IterateOptions {
  /** Publications that wait for a loop that is slower than the channel, at most; beyond it the loop throws `tooMany`. Default 1000. */
  readonly limit?: number;
}

/**
 * A channel's publications for `for await`, from the next one on; subscribes where the channel is not. Leaving the loop does not unsubscribe.
 * The loop ends at `unsubscribe()`, and throws where the server ends or refuses the subscription.
 */
export async function* publications<Data>(
  channel: Channel<Data>,
  { limit = 1000 }: IterateOptions = {},
): AsyncGenerator<Publication<Data>, void, undefined> {
  const waiting: Publication<Data>[] = [];
  let failure: ZurufError | undefined;
  let over = false;
  let wake = (): void => undefined;
  const end = (error?: ZurufError): void => {
    failure ??= error;
    over = true;
    wake();
  };
  const offs = [
    channel.on("publication", (publication) => {
      if (waiting.length < limit) waiting.push(publication);
      else end(new ZurufError("tooMany", `the loop is ${limit} publications behind: read faster, or raise \`limit\``));
      wake();
    }),
    channel.on("error", (error) => void (!error.retryable && end(error))),
    channel.on("state", ({ state }) => void (state === "unsubscribed" && end())),
  ];
  try {
    channel.subscribe().catch((error: ZurufError) => end(error.code === "notSubscribed" ? undefined : error));
    for (;;) {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) yield next;
      if (over) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (failure !== undefined) throw failure;
  } finally {
    for (const off of offs) off();
  }
}
