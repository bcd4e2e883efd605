"""An echo server of Python's `websockets`. Prints its port, ends with its standard input."""

import asyncio
import sys

import websockets


async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass  # Closing codes other than 1000 and 1001 are exceptions to it.


async def main(compression):
    chosen = None if compression == "off" else "deflate"
    async with websockets.serve(echo, "127.0.0.1", 0, compression=chosen, max_size=2**22) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(sys.argv[1]))
