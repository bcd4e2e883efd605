import { sha256 } from "./sha256.ts";

/** Gives bytes that nobody can guess (CSPRNG). */
export interface Random {
  bytes(count: number): Uint8Array;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Base64url without padding (RFC 4648 §5). */
function base64url(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const digits = Math.min(4, bytes.length - i + 1);
    for (let digit = 0; digit < digits; digit++) text += alphabet[(word >>> (18 - 6 * digit)) & 63] as string;
  }
  return text;
}

/** A secret of 128 random bits. */
export function newSecret(random: Random): string {
  return base64url(random.bytes(16));
}

/**
 * The client id that belongs to a secret and a user: 128 bits of SHA-256 over both.
 * So every instance can tell by itself whether an id is its bearer's, also when the instance that issued it is gone;
 * nothing is stored or asked, and an id cannot be taken along to another user.
 */
export function clientId(secret: string, user: string | undefined): string {
  const bytes = new TextEncoder().encode(`zuruf client\0${secret}\0${user === undefined ? "" : `user:${user}`}`);
  return base64url(sha256(bytes).subarray(0, 16));
}
