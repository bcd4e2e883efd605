"""A client of Python's `websockets`: sends samples of every kind, expects each back, closes. Says what went wrong."""

import asyncio
import os
import sys

import websockets


def samples():
    noise = os.urandom(70_000)
    return [
        "",
        "Hello",
        "Grüße, 世界 😀\0",
        "\ufeffwith a byte order mark",
        "a" * 125,
        "a" * 126,
        "é" * 40_000,
        '{"id":1,"text":"message"}' * 100,
        b"",
        bytes([0, 255, 128]),
        noise[:126],
        noise[:65_535],
        noise,
    ]


async def main(url, compression):
    chosen = None if compression == "off" else "deflate"
    async with websockets.connect(url, compression=chosen, max_size=2**22) as socket:
        agreed = [type(extension).__name__ for extension in socket.protocol.extensions]
        expected = samples()
        for sample in expected:
            await socket.send(sample)
        for number, sample in enumerate(expected):
            echo = await asyncio.wait_for(socket.recv(), 10)
            if echo != sample:
                sys.exit(f"sample {number} came back changed")
        # A message in fragments.
        await socket.send(["Hel", "lo", ""])
        if await asyncio.wait_for(socket.recv(), 10) != "Hello":
            sys.exit("the fragmented message came back changed")
        await asyncio.wait_for(await socket.ping(b"ping"), 10)
        await socket.close(4321, "done")
        if socket.close_code != 4321:
            sys.exit(f"closed with {socket.close_code}")
    print("ok", ",".join(agreed))


asyncio.run(main(sys.argv[1], sys.argv[2]))
