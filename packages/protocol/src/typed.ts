/**
 * A channel map gives channels' data types by name or by pattern: `{ guestbook: Entry; "chat:*": ChatMessage }`.
 * `*` stands for any text, as in the server's channel patterns. `Record<string, unknown>` (the default) knows no types.
 */
type PatternName<Pattern extends string> = Pattern extends `${infer Head}*${infer Tail}`
  ? `${Head}${string}${PatternName<Tail>}`
  : Pattern;

/** The names that a channel map allows. */
export type ChannelName<Channels extends object> = PatternName<keyof Channels & string>;

/** The type of the data on the channel of this name: an exact name before a pattern. */
export type DataOf<Channels extends object, Name extends string> = Name extends keyof Channels
  ? Channels[Name]
  : {
      [Pattern in keyof Channels & string]: Name extends PatternName<Pattern> ? Channels[Pattern] : never;
    }[keyof Channels & string];

/** A call map gives methods' types: `{ "cart.add": (item: Item) => Cart }`. The default knows no types. */
export type CallMap = Record<string, (data: unknown) => unknown>;

/** The methods that a call map names. */
export type CallName<Calls extends object> = keyof Calls & string;

/** What a method takes. */
export type DataIn<Calls extends object, Name extends string> = Name extends keyof Calls
  ? Calls[Name] extends (data: infer Data) => unknown
    ? Data
    : never
  : never;

/** What a method gives. */
export type DataOut<Calls extends object, Name extends string> = Name extends keyof Calls
  ? Calls[Name] extends (...data: never[]) => infer Result
    ? Awaited<Result>
    : never
  : never;
