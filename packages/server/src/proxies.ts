import { BlockList, isIP } from "node:net";

/** The parts of a request that a proxy in front may have changed. */
export interface Requested {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly remoteAddress: string;
  readonly secure: boolean;
}

/** What the client asked for and who it is, believing `X-Forwarded-…` only where a trusted proxy sent it. */
export interface Proxies {
  /** The client's address: the last one in the chain that is not a trusted proxy. */
  client(request: Requested): string;
  /** The host (with port, if any) that the client asked for, and whether it did so over TLS. */
  target(request: Requested): { readonly host: string | undefined; readonly secure: boolean };
}

/** @param trusted IP addresses and CIDR ranges; empty: nobody is believed. */
export function proxies(trusted: readonly string[]): Proxies {
  const list = blockList(trusted);
  const isTrusted = (address: string): boolean => {
    const family = isIP(address);
    return family !== 0 && list.check(address, family === 4 ? "ipv4" : "ipv6");
  };
  return {
    client(request) {
      let address = plainAddress(request.remoteAddress);
      if (trusted.length === 0) return address;
      const chain = values(request.headers["x-forwarded-for"]);
      while (isTrusted(address)) {
        const before = chain.pop();
        if (before === undefined || isIP(before) === 0) break;
        address = plainAddress(before);
      }
      return address;
    },
    target(request) {
      const host = single(request.headers["host"]) ?? single(request.headers[":authority"]);
      if (trusted.length === 0 || !isTrusted(plainAddress(request.remoteAddress)))
        return { host, secure: request.secure };
      const scheme = values(request.headers["x-forwarded-proto"]).pop();
      return {
        host: values(request.headers["x-forwarded-host"]).pop() ?? host,
        secure: scheme === undefined ? request.secure : scheme === "https" || scheme === "wss",
      };
    },
  };
}

function blockList(trusted: readonly string[]): BlockList {
  const list = new BlockList();
  for (const item of trusted) {
    const [address = "", bits] = item.split("/", 2);
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** An IPv4 address without the IPv6 dress that a dual-stack socket puts on it. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

const single = (header: string | string[] | undefined): string | undefined =>
  typeof header === "string" ? header : header?.[0];

function values(header: string | string[] | undefined): string[] {
  if (header === undefined) return [];
  return (typeof header === "string" ? header : header.join(",")).split(",").map((item) => item.trim());
}
