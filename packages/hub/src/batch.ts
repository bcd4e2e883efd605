import type { Codec } from "@zuruf/protocol";
import type { Publication } from "./publication.ts";
import { SharedMessages } from "./transport.ts";

/** Publications of one channel that go out together, in their order: each subscriber is visited once for all of them. */
export class Batch {
  /** One or more. */
  readonly publications: readonly Publication[];
  /** The lowest offset; 0 where the channel keeps no history. */
  readonly first: number;
  readonly #messages: Partial<Record<Codec["kind"], SharedMessages>> = {};

  constructor(publications: readonly Publication[]) {
    this.publications = publications;
    this.first = publications[0]?.offset ?? 0;
  }

  messages(codec: Codec): SharedMessages {
    return (this.#messages[codec.kind] ??= new SharedMessages(
      ...this.publications.map((publication) => publication.encode(codec)),
    ));
  }
}
