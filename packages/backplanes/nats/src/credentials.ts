import { BackplaneError } from "@zuruf/hub";
import type { Authenticator } from "@nats-io/transport-node";
import type { Driver } from "./session.ts";

/** An nkey's seed proves a user by itself; a file of credentials holds one beside the user's JWT. */
export function authenticator(driver: Driver, credentials: string): Authenticator {
  const text = credentials.trim();
  const answer = /^SU[A-Z2-7]+$/.test(text)
    ? driver.nkeyAuthenticator(Buffer.from(text))
    : driver.credsAuthenticator(Buffer.from(`${text}\n`));
  return (nonce) => {
    try {
      return answer(nonce);
    } catch (error) {
      const message = "the NATS option credentials must be the text of a .creds file, or an nkey's seed (SU…)";
      throw new BackplaneError("unusable", message, error);
    }
  };
}
