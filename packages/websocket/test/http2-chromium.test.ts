import { existsSync } from "node:fs";
import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { chromium } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { createWebSocketServer } from "../src/index.ts";
import { selfSigned } from "../../../test/services/certificate.ts";

const executablePath = process.env["ZURUF_CHROMIUM"] ?? "/usr/bin/chromium";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** What the page does: opens sockets to its own origin, and says what each was answered. */
async function talk({ sockets, path }: { sockets: number; path: string }): Promise<unknown[]> {
  const one = (i: number): Promise<unknown> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`wss://${location.host}${path}`, ["a", "b"]);
      const received: unknown[] = [];
      socket.binaryType = "arraybuffer";
      socket.addEventListener("open", () => {
        socket.send(`text ${i} ü`);
        socket.send("compressed ".repeat(1000));
        socket.send(Uint8Array.of(i, 2, 3));
        socket.send(new Uint8Array(300_000).fill(i));
      });
      socket.addEventListener("message", ({ data }) => {
        if (typeof data === "string") received.push(data.length > 50 ? data.length : data);
        else
          received.push(
            data.byteLength > 50 ? [data.byteLength, new Uint8Array(data).at(-1)] : [...new Uint8Array(data)],
          );
        if (received.length === 4) socket.close(3000, "enough");
      });
      socket.addEventListener("close", ({ code, reason, wasClean }) => {
        resolve({ received, code, reason, wasClean, protocol: socket.protocol, extensions: socket.extensions });
      });
    });
  return Promise.all(Array.from({ length: sockets }, (_, i) => one(i)));
}

test.skipIf(!existsSync(executablePath))(
  "Chromium opens WebSockets over HTTP/2 on the connection of its page",
  async () => {
    const { key, cert } = await selfSigned();
    const upgrades: unknown[] = [];
    const closes: unknown[] = [];
    let connections = 0;
    const server = createSecureServer({ key, cert, allowHTTP1: true }, (_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<!doctype html><title>page</title>");
    });
    server.on("secureConnection", () => connections++);
    server.on("session", (session) => cleanups.push(() => session.destroy()));
    const engine = createWebSocketServer(
      {
        upgrade: ({ raw, path, query, origin, headers, secure }) => {
          upgrades.push({
            version: raw.httpVersion,
            method: raw.method,
            protocol: raw.headers[":protocol"],
            path,
            query,
            secure,
            sameOrigin: origin === `https://${String(headers.host)}`,
          });
          return { data: undefined, protocol: "b" };
        },
        message: (socket, message) => void socket.send(message),
        close: (_socket, code, reason) => void closes.push([code, reason]),
      },
      { compression: true },
    );
    engine.attach(server, { path: "/ws" });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => void server.close());
    const browser = await chromium.launch({
      executablePath,
      args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--ignore-certificate-errors"],
    });
    cleanups.push(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`https://localhost:${(server.address() as AddressInfo).port}/`);
    const before = connections;
    const sockets = 5;
    const seen = await page.evaluate(talk, { sockets, path: "/ws?q" });
    for (const [i, one] of seen.entries()) {
      expect(one).toEqual({
        received: [`text ${i} ü`, 11_000, [i, 2, 3], [300_000, i]],
        code: 3000,
        reason: "",
        wasClean: true,
        protocol: "b",
        extensions: expect.stringContaining("permessage-deflate"),
      });
    }
    expect(upgrades).toEqual(
      Array.from({ length: sockets }, () => ({
        version: "2.0",
        method: "CONNECT",
        protocol: "websocket",
        path: "/ws",
        query: "q",
        secure: true,
        sameOrigin: true,
      })),
    );
    expect(connections).toBe(before); // all on the page's own TCP connection
    await expect.poll(() => closes).toEqual(Array.from({ length: sockets }, () => [3000, "enough"]));
    expect(engine.sockets.size).toBe(0);
  },
);
