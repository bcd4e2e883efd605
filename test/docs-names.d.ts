/** Names that examples in the documents take for granted: the reader's own. */
import type { Backplane } from "@zuruf/hub";
import type { Zuruf } from "@zuruf/server";

declare global {
  const zuruf: Zuruf;
  const chatMessage: { parse(data: unknown): { readonly text: string } };
  const url: string;
  const bytes: Uint8Array;
  function mine(url: string): Backplane;
  function verify(token: string | undefined): Promise<string>;
  function userOf(headers: unknown): Promise<string>;
  function roomsThatWereOccupied(): Promise<readonly string[]>;
  function vacate(room: string): Promise<void>;
  function totalOf(data: unknown): number;
  function handle(message: string | Uint8Array): void;
  function write(chunk: Uint8Array): void;
}
