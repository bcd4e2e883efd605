"""A conversation with two instances of one server: `talk.py json|bin URL URL`. Prints `ok`, or fails with what was not as docs/protocol.md says."""

import asyncio
import sys
import time
import uuid

from client import Client, ZurufError
from codec import BinaryCodec, JsonCodec

DATA = [{"text": "Grüße 😀"}, None, 1.5, "", [], {"$bytes": "AA=="}, b"", b"\0\1\xff", True]


async def take(queue, kind, seconds=10):
    """The next packet of that type."""
    async with asyncio.timeout(seconds):
        while (packet := await queue.get())["type"] != kind:
            pass
        return packet


async def code_of(request):
    try:
        await request
    except ZurufError as error:
        return error.code, error.retryable, error.retry_after
    return None


async def channels(codec, a, b):
    other = JsonCodec if codec is BinaryCodec else BinaryCodec
    ann, bob = Client([a], codec), Client([b], other)
    channel = f"log:{uuid.uuid4()}"
    mine, theirs = await ann.subscribe(channel), await bob.subscribe(channel)
    assert mine.position == theirs.position and mine.position[1] == 0
    for data in DATA:
        position = await ann.publish(channel, data)
        for subscription in (mine, theirs):
            packet = await take(subscription.events, "msg")
            assert (packet["data"], type(packet["data"])) == (data, type(data)), packet
            assert packet["info"]["client"] in ann.ids
            assert subscription.position == position
    page = await bob.request("history", channel=channel, after=[position[0], 2], limit=3)
    assert page["complete"] and [(i["offset"], i["data"]) for i in page["items"]] == [(n, DATA[n - 1]) for n in (3, 4, 5)]
    assert (await ann.publish(channel, "once", key="k")) == (await ann.publish(channel, "once", key="k"))
    await ann.unsubscribe(channel)
    silent = await ann.subscribe(channel, echo=False)
    await ann.publish(channel, "mine")
    await bob.publish(channel, "theirs")
    assert (await take(silent.events, "msg"))["data"] == "theirs"
    for position, reason in ((["elsewhere", 1], "epoch"), ([position[0], 1000], "rollback")):
        await ann.unsubscribe(channel)
        again = await ann.subscribe(channel, position=position)
        answer = await take(again.events, "subscribed")
        assert (answer["recovered"], answer["reason"]) == (False, reason), answer
    assert await code_of(ann.request("subscribe", channel=channel)) == ("alreadySubscribed", False, 0)
    assert await code_of(ann.request("subscribe", channel="unheard:of")) == ("notFound", False, 0)
    await ann.close()
    await bob.close()


async def cuts(codec, a, b):
    """A subscriber that loses its connection again and again, and a writer whose publications fail and who does, too."""
    reader, writer = Client([a, b], codec), Client([b, a], codec)
    channel, count = f"flaky:{uuid.uuid4()}", 600
    subscription = await reader.subscribe(channel)
    await writer.connected()
    publications = []
    for n in range(count):
        publications.append(writer.publish(channel, n))
        await asyncio.sleep(0.002)
        if n % 100 == 50:
            reader.cut()
        if n % 200 == 150:
            writer.cut()
    async with asyncio.timeout(30):
        offsets = [offset for _, offset in await asyncio.gather(*publications)]
    assert offsets == sorted(set(offsets)), "stored in call order"
    got, answers = [], []
    async with asyncio.timeout(30):
        while len(got) < count:
            packet = await subscription.events.get()
            if packet["type"] == "msg":
                got.append(packet["data"])
            elif packet["type"] == "subscribed":
                answers.append(packet.get("recovered"))
    assert got == list(range(count)), "all, in order, each once"
    assert answers[0] is None and len(answers) > 3 and all(answers[1:]), answers
    assert len(reader.ids) == 1, "the session is resumed"
    await reader.close()
    await writer.close()


async def people(codec, a, b):
    """Presence, direct messages and calls."""
    user = f"ann-{uuid.uuid4()}"
    ann, tab, bob = Client([a], codec, token=user), Client([b], codec, token=user), Client([b], codec)
    room = f"room:{uuid.uuid4()}"
    seen = await ann.subscribe(room, presence=True, info={"tab": 1})
    await tab.subscribe(room, info={"tab": 2})
    await bob.subscribe(room)
    async with asyncio.timeout(10):
        while sum(map(len, seen.members.values())) < 3:
            await seen.events.get()
    bob_id = bob.session["client"]
    assert sorted(info["tab"] for _, info in seen.members[f"user:{user}"]) == [1, 2] and seen.members[bob_id] == [[bob_id]]
    page = await bob.request("presence", channel=room, count=True)
    assert (page["members"], page["connections"], page["list"]) == (2, 3, [])

    assert await bob.send(f"user:{user}", {"psst": 1}) == "delivered"
    for client in (ann, tab):
        packet = await take(client.direct, "direct")
        assert packet["from"] == bob_id and "user" not in packet and packet["data"] == {"psst": 1}
    assert await ann.send(bob_id, b"\0\xff") == "delivered"
    packet = await take(bob.direct, "direct")
    assert packet["user"] == user and packet["data"] == b"\0\xff"
    assert await ann.send("user:nobody", 1) == "offline"

    async def double(data):
        return 2 * data

    async def refuse(_):
        raise ZurufError("broke", "no money")

    ann.handlers.update(double=double, refuse=refuse)
    assert await ann.call("add", [1, 2, 3]) == 6
    assert await code_of(ann.call("later", None)) == ("rateLimited", True, 700)
    assert await code_of(ann.call("nothing", None)) == ("notFound", False, 0)
    assert await code_of(ann.call("never", None, timeout=100)) == ("timeout", True, 0)
    assert await ann.call("ask", ["double", 21]) == 42
    assert await code_of(ann.call("ask", ["refuse", 1])) == ("broke", False, 0)

    await bob.close()
    async with asyncio.timeout(4):  # at once: a clean end does not linger
        while bob_id in seen.members:
            await seen.events.get()
    await ann.close()
    await tab.close()


async def sessions(codec, a, b):
    first = Client([a], codec, token="eve", heartbeat=1000)
    session = await first.connected()
    assert not session["resumed"] and session["user"] == "eve" and session["heartbeat"] == 1000
    await asyncio.sleep(2)  # both say that they are alive
    second = Client([b], codec, token="eve")
    second.session = session
    resumed = await second.connected()
    assert resumed["resumed"] and resumed["client"] == session["client"]
    assert (await asyncio.wait_for(first.ends.get(), 5))[0] == 4005
    await second.close()
    thief = Client([b], codec, token="mallory")
    thief.session = session
    assert (await thief.connected())["client"] != session["client"]
    await thief.close()

    short = Client([a], codec, token="eve/1500")
    assert 0 < (await short.connected())["expires"] <= 1500
    assert (await short.request("refresh", token="eve/3000"))["expires"] > 1500
    assert await code_of(short.request("refresh", token="mallory")) == ("forbidden", False, 0)
    began = time.monotonic()
    assert (await asyncio.wait_for(short.ends.get(), 6))[0] == 4702 and time.monotonic() - began > 1.6
    await short.connected()
    await short.close()
    refused = Client([a], codec, token="bad")
    assert (await asyncio.wait_for(refused.ends.get(), 5))[0] == 4001


async def main(codec, a, b):
    for part in (channels, cuts, people, sessions):
        async with asyncio.timeout(60):
            await part(codec, a, b)
    print("ok")


asyncio.run(main({"json": JsonCodec, "bin": BinaryCodec}[sys.argv[1]], *sys.argv[2:4]))
