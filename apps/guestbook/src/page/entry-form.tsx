import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { flawOf, lengthOf, limits, tidyMessage, tidyName, type Draft, type Flaw } from "../entry.ts";
import type { Field, Texts } from "./texts.ts";

const nameKey = "guestbook.name";

interface EntryFormProps {
  readonly texts: Texts;
  readonly storage: Storage | undefined;
  readonly write: (draft: Draft) => void;
}

export function EntryForm({ texts, storage, write }: EntryFormProps): JSX.Element {
  const name = useSignal(storage?.getItem(nameKey) ?? "");
  const message = useSignal("");
  const flaws = useSignal<Partial<Record<Field, Flaw>>>({});
  const nameInput = useRef<HTMLInputElement>(null);
  const messageInput = useRef<HTMLTextAreaElement>(null);

  const submit = (): void => {
    const draft = { name: tidyName(name.value), message: tidyMessage(message.value) };
    const nameFlaw = flawOf("name", draft.name);
    const messageFlaw = flawOf("message", draft.message);
    flaws.value = {
      ...(nameFlaw === undefined ? {} : { name: nameFlaw }),
      ...(messageFlaw === undefined ? {} : { message: messageFlaw }),
    };
    if (nameFlaw !== undefined) nameInput.current?.focus();
    else if (messageFlaw !== undefined) messageInput.current?.focus();
    else {
      write(draft);
      storage?.setItem(nameKey, draft.name);
      message.value = "";
    }
  };

  // A field that was wrong is checked again with every key, until it is right.
  const type = (field: Field, text: string): void => {
    (field === "name" ? name : message).value = text;
    if (flaws.value[field] === undefined) return;
    const flaw = flawOf(field, field === "name" ? tidyName(text) : tidyMessage(text));
    const { [field]: _, ...others } = flaws.value;
    flaws.value = flaw === undefined ? others : { ...others, [field]: flaw };
  };

  useEffect(() => {
    const shortcut = (event: KeyboardEvent): void => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
    };
    const input = messageInput.current;
    input?.addEventListener("keydown", shortcut);
    return () => input?.removeEventListener("keydown", shortcut);
  });

  const attributes = (field: Field) =>
    ({
      id: field,
      name: field,
      "aria-required": "true",
      "aria-invalid": flaws.value[field] === undefined ? undefined : "true",
      "aria-describedby": `${field}-limit ${field}-flaw`,
    }) as const;

  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Labelled field="name" text={name.value} flaw={flaws.value.name} texts={texts}>
        <input
          {...attributes("name")}
          ref={nameInput}
          type="text"
          autocomplete="nickname"
          enterkeyhint="next"
          value={name.value}
          onInput={(event) => type("name", event.currentTarget.value)}
        />
      </Labelled>
      <Labelled field="message" text={message.value} flaw={flaws.value.message} texts={texts}>
        <textarea
          {...attributes("message")}
          ref={messageInput}
          rows={4}
          value={message.value}
          onInput={(event) => type("message", event.currentTarget.value)}
        />
      </Labelled>
      <div class="submit">
        <button type="submit">{texts.send}</button>
        <small class="shortcut" aria-hidden="true">
          {texts.shortcut}
        </small>
      </div>
    </form>
  );
}

interface LabelledProps {
  readonly field: Field;
  readonly text: string;
  readonly flaw: Flaw | undefined;
  readonly texts: Texts;
  readonly children: JSX.Element;
}

/** A field with its label, its limit, and what is wrong with it; the line for the latter is always there, so that nothing jumps. */
function Labelled({ field, text, flaw, texts, children }: LabelledProps): JSX.Element {
  const limit = limits[field];
  const length = lengthOf(field === "name" ? tidyName(text) : tidyMessage(text));
  return (
    <div class="field">
      <div class="caption">
        <label for={field}>{texts[field]}</label>
        <span class={length > limit ? "count over" : "count"} aria-hidden="true">
          {length} / {limit}
        </span>
        <span id={`${field}-limit`} class="unseen">
          {texts.atMost(limit)}
        </span>
      </div>
      {children}
      <p id={`${field}-flaw`} class="flaw" aria-live="polite">
        {flaw === undefined ? "" : texts.flaw(field, flaw, limit)}
      </p>
    </div>
  );
}
