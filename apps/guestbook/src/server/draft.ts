import * as z from "zod";
import { flawOf, limits, tidyMessage, tidyName, type Draft } from "../entry.ts";

function field(name: keyof typeof limits, tidy: (text: string) => string): z.ZodType<string> {
  return z
    .string()
    .transform(tidy)
    .superRefine((text, context) => {
      const flaw = flawOf(name, text);
      if (flaw === "empty") context.addIssue({ code: "custom", message: `the ${name} is empty` });
      if (flaw === "tooLong")
        context.addIssue({ code: "custom", message: `the ${name} is longer than ${limits[name]} characters` });
    });
}

const schema = z.object({ name: field("name", tidyName), message: field("message", tidyMessage) });

/** Reads what a client published: tidied name and message, or a sentence that says what is wrong with it. */
export function parseDraft(data: unknown): { readonly draft: Draft } | { readonly wrong: string } {
  const result = schema.safeParse(data);
  if (result.success) return { draft: result.data };
  const [issue] = result.error.issues;
  const wrong = issue?.code === "custom" ? issue.message : "an entry is an object with a name and a message, both text";
  return { wrong };
}
