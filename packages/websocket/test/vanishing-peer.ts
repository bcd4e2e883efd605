/** Ten honest clients in a process that the test will freeze. */
import { WebSocket } from "../src/index.ts";

const url = `ws://127.0.0.1:${process.argv[2]}`;
const opened = Array.from({ length: 10 }, () => {
  const socket = new WebSocket(url);
  return new Promise((resolve) => {
    socket.addEventListener("open", resolve);
  });
});
await Promise.all(opened);
process.send!("open");
