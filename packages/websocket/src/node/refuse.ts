import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** Answers an upgrade over HTTP/1.1 with a response instead, and ends the stream. */
export function refuse(
  stream: Duplex,
  status: number,
  body: string = STATUS_CODES[status] ?? "",
  headers: Readonly<Record<string, string>> = {},
): void {
  stream.on("error", () => stream.destroy()); // Node hands the stream over without a listener
  if (stream.destroyed || !stream.writable) return;
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  let typed = false;
  let upgrades = false;
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (lower === "content-type") typed = true;
    if (lower === "connection") upgrades = true;
    head += `${name}: ${lower === "connection" ? `${value}, close` : value}\r\n`;
  }
  if (!upgrades) head += "Connection: close\r\n";
  if (!typed) head += "Content-Type: text/plain; charset=utf-8\r\n";
  head += `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  // What the peer still sends is read and forgotten: with unread bytes, closing would reset the connection before it reads our answer.
  stream.resume();
  stream.end(head + body, () => stream.destroy());
}
