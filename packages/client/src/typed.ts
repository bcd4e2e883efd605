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
