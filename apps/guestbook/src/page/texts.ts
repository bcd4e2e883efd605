import type { Flaw, limits } from "../entry.ts";

export type Field = keyof typeof limits;

/** Everything the page says, in one language. */
export interface Texts {
  readonly language: "en" | "de";
  /** The visitor's own variety of the language (`en-GB`): how dates and times are written. */
  readonly locale: string;
  readonly title: string;
  readonly tagline: string;
  readonly form: string;
  readonly name: string;
  readonly message: string;
  readonly send: string;
  readonly shortcut: string;
  atMost(characters: number): string;
  flaw(field: Field, flaw: Flaw, limit: number): string;
  readonly entries: string;
  readonly nobody: string;
  readonly loading: string;
  readonly loadingFailed: string;
  readonly older: string;
  readonly olderLoading: string;
  readonly olderFailed: string;
  readonly beginning: string;
  readonly justNow: string;
  newEntry(name: string, message: string): string;
  newEntries(count: number): string;
  readonly waiting: string;
  readonly waitingOffline: string;
  slowDown(seconds: number): string;
  readonly slowDownOver: string;
  refused(reason: string): string;
  readonly notSent: string;
  readonly sendAgain: string;
  readonly discard: string;
  readonly state: {
    readonly connecting: string;
    readonly live: string;
    readonly reconnecting: string;
    readonly offline: string;
    readonly ended: string;
  };
  instance(name: string): string;
  nextTry(seconds: number): string;
  readonly trying: string;
  readonly sentLater: string;
  readonly reload: string;
}

const en: Texts = {
  language: "en",
  locale: "en",
  title: "Guestbook",
  tagline: "Write a few words. Everyone who has this page open sees them at once.",
  form: "Write in the guestbook",
  name: "Name",
  message: "Message",
  send: "Sign the book",
  shortcut: "or Ctrl + Enter",
  atMost: (characters) => `At most ${characters} characters`,
  flaw: (field, flaw, limit) => {
    if (flaw === "tooLong") return `At most ${limit} characters, please.`;
    return field === "name" ? "Please say who you are." : "Please write something.";
  },
  entries: "Entries",
  nobody: "Nobody has written yet. The first page is yours.",
  loading: "Opening the book …",
  loadingFailed: "The entries cannot be read now. Trying again …",
  older: "Show older entries",
  olderLoading: "Turning the page …",
  olderFailed: "That did not work. Try again",
  beginning: "This is where the book begins.",
  justNow: "just now",
  newEntry: (name, message) => `New entry by ${name}: ${message}`,
  newEntries: (count) => `${count} new entries`,
  waiting: "On its way …",
  waitingOffline: "Waiting: it is sent as soon as the connection is back.",
  slowDown: (seconds) => `Slow down: you can send this in ${seconds} s.`,
  slowDownOver: "You can send this now.",
  refused: (reason) => `Not accepted: ${reason}.`,
  notSent: "This could not be sent.",
  sendAgain: "Send again",
  discard: "Discard",
  state: {
    connecting: "Connecting",
    live: "Live",
    reconnecting: "Reconnecting",
    offline: "Offline",
    ended: "Disconnected",
  },
  instance: (name) => `instance ${name}`,
  nextTry: (seconds) => `next try in ${seconds} s`,
  trying: "trying now",
  sentLater: "what you write is sent later",
  reload: "please reload the page",
};

const de: Texts = {
  language: "de",
  locale: "de",
  title: "Gästebuch",
  tagline: "Schreib ein paar Worte. Alle, die diese Seite offen haben, sehen sie sofort.",
  form: "Ins Gästebuch schreiben",
  name: "Name",
  message: "Nachricht",
  send: "Eintragen",
  shortcut: "oder Strg + Enter",
  atMost: (characters) => `Höchstens ${characters} Zeichen`,
  flaw: (field, flaw, limit) => {
    if (flaw === "tooLong") return `Bitte höchstens ${limit} Zeichen.`;
    return field === "name" ? "Bitte sag, wer du bist." : "Bitte schreib etwas.";
  },
  entries: "Einträge",
  nobody: "Noch hat niemand geschrieben. Die erste Seite gehört dir.",
  loading: "Das Buch wird aufgeschlagen …",
  loadingFailed: "Die Einträge sind gerade nicht lesbar. Neuer Versuch …",
  older: "Ältere Einträge zeigen",
  olderLoading: "Es wird geblättert …",
  olderFailed: "Das ging nicht. Noch einmal versuchen",
  beginning: "Hier beginnt das Buch.",
  justNow: "gerade eben",
  newEntry: (name, message) => `Neuer Eintrag von ${name}: ${message}`,
  newEntries: (count) => `${count} neue Einträge`,
  waiting: "Unterwegs …",
  waitingOffline: "Wartet: wird gesendet, sobald die Verbindung wieder da ist.",
  slowDown: (seconds) => `Langsamer: du kannst das in ${seconds} s senden.`,
  slowDownOver: "Du kannst das jetzt senden.",
  refused: (reason) => `Nicht angenommen: ${reason}.`,
  notSent: "Das konnte nicht gesendet werden.",
  sendAgain: "Noch einmal senden",
  discard: "Verwerfen",
  state: {
    connecting: "Verbinden",
    live: "Live",
    reconnecting: "Neu verbinden",
    offline: "Offline",
    ended: "Getrennt",
  },
  instance: (name) => `Instanz ${name}`,
  nextTry: (seconds) => `nächster Versuch in ${seconds} s`,
  trying: "Versuch läuft",
  sentLater: "Geschriebenes wird später gesendet",
  reload: "bitte die Seite neu laden",
};

/** The first language of the list that the page speaks; English when it speaks none. */
export function textsFor(languages: readonly string[]): Texts {
  for (const language of languages) {
    const primary = language.toLowerCase().split("-", 1)[0];
    if (primary === "de") return { ...de, locale: language };
    if (primary === "en") return { ...en, locale: language };
  }
  return en;
}
