/** What RabbitMQ says of itself in the first frame of a connection (AMQP 0-9-1 §1.4.2.1, connection.start); the driver keeps it to itself. */
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { BackplaneError } from "@zuruf/hub";
import type { Settings } from "./options.ts";

/** The oldest that is supported. */
export const oldest = "3.9";
/** Bytes of a first frame that are read at most. */
const most = 65_536;

/**
 * The server's version, such as `3.10.8`; undefined when it cannot be had: connecting in earnest says why.
 * Rejects when nothing answers within `ms`, and when it is something else than RabbitMQ, whose bytes the driver would take for a frame's size.
 */
export function serverVersion({ url, tls, where }: Settings, ms: number): Promise<string | undefined> {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const socket: Socket =
    protocol === "amqps:"
      ? connectTls({ host, port: Number(port || 5671), ...tls })
      : connectPlain({ host, port: Number(port || 5672) });
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const fail = (reason: string): void => {
      reject(new BackplaneError("unavailable", `RabbitMQ at ${where} cannot be reached: ${reason}`));
      end(undefined);
    };
    const timer = setTimeout(() => fail(`no answer within ${ms} ms`), ms);
    const end = (version: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(version);
    };
    socket.on("error", () => end(undefined));
    socket.on("close", () => end(undefined));
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      const frame = Buffer.concat(chunks);
      if (!isStart(frame)) {
        fail("what answers is no RabbitMQ");
        return;
      }
      const version = readVersion(frame);
      if (version !== undefined || frame.length > most) end(version);
    });
    socket.write(Uint8Array.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]));
  });
}

/** A method's frame on channel 0, with connection.start; or the beginning of one (AMQP 0-9-1 §2.3.5). */
function isStart(frame: Buffer): boolean {
  const method = [0, 10, 0, 10];
  return (
    frame.subarray(0, 3).every((byte, i) => byte === [1, 0, 0][i]) &&
    frame.subarray(7, 11).every((byte, i) => byte === method[i])
  );
}

/** The string in the field `version` of the server's properties: its name, `S`, four bytes of length, the text (AMQP 0-9-1 §4.2.5.5). */
function readVersion(frame: Buffer): string | undefined {
  const field = Buffer.from("\x07versionS");
  const at = frame.indexOf(field);
  if (at === -1 || frame.length < at + field.length + 4) return undefined;
  const start = at + field.length + 4;
  const length = frame.readUInt32BE(start - 4);
  return frame.length < start + length ? undefined : frame.toString("utf8", start, start + length);
}

/** Whether this names a version before the oldest; what is no version is not. */
export function isTooOld(version: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined || minor === undefined) return false;
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split(".").map(Number);
  return Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor);
}
