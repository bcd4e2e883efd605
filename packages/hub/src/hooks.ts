/** What a connection has proved to be. */
export interface Session {
  /** The client id: issued by the server, kept across reconnects. */
  readonly client: string;
  /** Absent: anonymous. */
  readonly user: string | undefined;
  /** Whatever `onConnect` returned as `data`; the application's own. */
  readonly data: unknown;
}

type Awaitable<T> = T | Promise<T>;

/** "anyone": every session; "user": sessions with a user; "server": only the server's own code; a function decides: true allows, and it may throw a `ZurufError` of its own. */
export type Access =
  | "anyone"
  | "user"
  | "server"
  | ((request: Session & { readonly channel: string }) => Awaitable<boolean>);

export interface ConnectRequest {
  readonly token: string | undefined;
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The id that the client asks to resume, before it is proved. */
  readonly client: string | undefined;
  /** True when a session that exists already brings a new token. */
  readonly refresh: boolean;
}
export interface ConnectGrant {
  /** 1–256 bytes. */
  readonly user?: string | undefined;
  /** When the session ends unless it is refreshed: a date, or ms since 1970. Absent or 0: never. What is no time (NaN, an invalid date) fails the hook: nobody gets in. */
  readonly expires?: number | Date | undefined;
  readonly data?: unknown;
}
export interface PublishRequest extends Omit<Session, "data"> {
  readonly channel: string;
  /** The session's `data`, from `onConnect`. */
  readonly session: unknown;
  /** The JSON value, or a `Uint8Array`. */
  readonly data: unknown;
  readonly key: string | undefined;
}
export interface DirectRequest extends Omit<Session, "data"> {
  /** The session's `data`, from `onConnect`. */
  readonly session: unknown;
  /** A client id, or `user:<id>`. */
  readonly to: string;
  readonly data: unknown;
}
export interface SubscribeRequest extends Session {
  readonly channel: string;
  readonly info: unknown;
}

/** The application's say. A hook that throws a `ZurufError` refuses with its code and message; any other error is logged and answered with `internal`. */
export interface Hooks {
  connect?: (request: ConnectRequest) => Awaitable<ConnectGrant | undefined | void>;
  /** After the channel's own `subscribe` allowed it. May return `{ info }` to set what presence shows. */
  subscribe?: (request: SubscribeRequest) => Awaitable<{ readonly info?: unknown } | undefined | void>;
  /** Returns the data to publish instead; undefined keeps it. May run again for a retried publication. */
  publish?: (request: PublishRequest) => unknown;
  /** Before a client's direct message goes out. Returns the data to send instead; undefined keeps it. */
  direct?: (request: DirectRequest) => unknown;
  /** A presence channel has its first member, or has lost its last, over all instances; each at least once. */
  occupied?: (channel: string) => Awaitable<void>;
  vacated?: (channel: string) => Awaitable<void>;
  disconnect?: (session: Session, reason: { readonly code: number; readonly reason: string }) => Awaitable<void>;
}
