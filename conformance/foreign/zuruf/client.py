"""A Zuruf client in Python, written from docs/protocol.md alone: asyncio and `websockets`."""

import asyncio
import random
import re
import time
import uuid

import websockets

from codec import JsonCodec


class ZurufError(Exception):
    def __init__(self, code, message, retryable=False, retry_after=0):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.retryable, self.retry_after = code, message, retryable, retry_after


LOST = ("unknown", "the connection was lost", True, 0)


class Subscription:
    """One channel, kept through reconnects. `events` is a queue of packets; `members` is who is there."""

    def __init__(self, channel, options):
        self.channel, self.options = channel, options
        self.position = options.pop("position", None)
        self.events = asyncio.Queue()
        self.members, self.stale = {}, False
        self.live = False
        self._next_epoch = None

    def answered(self, packet):
        self.live = True
        self.position, self._next_epoch = packet.get("position"), None
        self.events.put_nowait(packet)

    def push(self, packet):
        if not self.live:  # what comes before the answer to the newest `subscribe` is the old subscription's
            return
        kind = packet["type"]
        if kind == "msg" and self.position:
            self.position = [self._next_epoch or self.position[0], packet["offset"]]
            self._next_epoch = None
        elif kind == "position":
            if self.position[1] < packet["position"][1]:
                self.position = packet["position"]
            else:  # all before it has been seen: the next publication is the first of the new epoch
                self._next_epoch = packet["position"][0]
        elif kind == "restarted":
            self.position, self._next_epoch = packet["position"], None
        elif kind == "ended":
            self.live = False
        elif kind == "members":
            if packet.get("snapshot"):
                self.members = {}
            for member, connections in packet["changes"]:
                self.members[member] = connections
                if not connections:
                    del self.members[member]
            self.stale = packet.get("stale", False)
        self.events.put_nowait(packet)


class Lane:
    """Publications to one channel without an answer, in order. After a retryable failure all wait until none is under way."""

    def __init__(self):
        self.entries, self.flying, self.failed, self.wait = [], 0, False, 0


class Client:
    """Connects, and returns after every end that the close code allows. `urls` are tried in turn."""

    def __init__(self, urls, codec=JsonCodec, token=None, heartbeat=None, backoff=(0.1, 5)):
        self.urls, self.codec, self.token, self.heartbeat, self.backoff = urls, codec, token, heartbeat, backoff
        self.session = None
        self.ids = set()  # a publication of any of these is one's own
        self.ends = asyncio.Queue()  # (close code, reason)
        self.direct = asyncio.Queue()
        self.handlers = {}
        self._subscriptions, self._lanes, self._waiting = {}, {}, {}
        self._socket, self._open, self._id = None, asyncio.Event(), 0
        self._tasks = set()
        self._runner = asyncio.create_task(self._run())

    async def connected(self):
        await self._open.wait()
        return self.session

    async def subscribe(self, channel, **options):
        await self.connected()
        subscription = self._subscriptions[channel] = Subscription(channel, options)
        await self._subscribe(subscription)
        return subscription

    async def unsubscribe(self, channel):
        del self._subscriptions[channel]
        await self.request("unsubscribe", channel=channel)

    def publish(self, channel, data, key=None):
        """Sends in call order, with a key, until it is answered; a future of its position."""
        done = asyncio.get_running_loop().create_future()
        lane = self._lanes.setdefault(channel, Lane())
        lane.entries.append({"packet": {"channel": channel, "data": data, "key": key or uuid.uuid4().hex}, "done": done, "flying": False})
        self._pump(lane)
        return done

    async def send(self, to, data, **options):
        return (await self.request("send", to=to, data=data, **options))["receipt"]

    async def call(self, method, data, **options):
        return (await self.request("call", method=method, data=data, **options))["data"]

    async def request(self, type, first=None, **fields):
        """The answer. `first` gets it before any later packet is looked at."""
        self._id += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._id] = (answer, first)
        id = self._id
        try:
            await self._send({"type": type, "id": id, **fields})
        except ZurufError:
            self._waiting.pop(id, None)
            raise
        return await answer

    async def close(self):
        self._runner.cancel()
        if self._socket:
            await self._socket.close(1000)

    def cut(self):
        """Loses the connection, as a network does."""
        if self._socket:
            self._socket.transport.abort()

    async def _run(self):
        failures = attempt = 0
        while True:
            code, reason, least = 1006, "", 0
            try:
                url = self.urls[attempt % len(self.urls)]
                attempt += 1
                async with websockets.connect(url, subprotocols=[self.codec.name], ping_interval=None, max_size=None) as self._socket:
                    await self._life()
                    code, reason = self._socket.close_code, self._socket.close_reason
                failures = 0
            except websockets.InvalidStatus as refusal:
                least = int(refusal.response.headers.get("Retry-After", 0))
            except OSError as error:
                reason = str(error)
            self._lost()
            self.ends.put_nowait((code, reason))
            if 4000 <= code < 4400:
                return
            if advice := re.search(r"retryAfter=(\d+)$", reason):
                least = int(advice[1]) / 1000
            ceiling = self.backoff[0] if code >= 4700 else min(self.backoff[1], self.backoff[0] * 2**failures)
            failures += 1
            await asyncio.sleep(max(least, random.random() * ceiling))

    def _lost(self):
        self._socket = None
        self._open.clear()
        for subscription in self._subscriptions.values():
            subscription.live = False
        waiting, self._waiting = self._waiting, {}
        for answer, _ in waiting.values():
            if not answer.done():
                answer.set_exception(ZurufError(*LOST))

    async def _life(self):
        """One connection, from `connect` to its end."""
        self._heard = self._sent = time.monotonic()
        begun = asyncio.create_task(self._begin())
        try:
            async for message in self._socket:
                self._heard = time.monotonic()
                await self._packet(self.codec.decode(message))
        except websockets.ConnectionClosed:
            pass
        finally:
            begun.cancel()

    async def _begin(self):
        options = {} if self.token is None else {"token": self.token}
        if self.session:
            options["resume"] = [self.session["client"], self.session["secret"]]
        if self.heartbeat:
            options["heartbeat"] = self.heartbeat
        try:
            self.session = await self.request("connect", **options)
        except ZurufError:
            return  # the close code that follows says what to do
        self.ids.add(self.session["client"])
        # In order and without waiting in between: what was published waits behind its channel's subscription.
        for subscription in self._subscriptions.values():
            self._spawn(self._subscribe(subscription))
        await asyncio.sleep(0)
        self._open.set()
        for lane in self._lanes.values():
            self._pump(lane)
        await self._beat(self.session["heartbeat"] / 1000)

    async def _beat(self, interval):
        while True:
            await asyncio.sleep(interval / 4)
            now = time.monotonic()
            if now - self._heard > 2 * interval + 5:
                self.cut()
            elif now - self._sent >= interval * 3 / 4:
                await self._send({"type": "ping"})

    async def _subscribe(self, subscription):
        options, socket = dict(subscription.options), self._socket
        if subscription.position:
            options["position"] = subscription.position
        while True:
            try:
                await self.request("subscribe", first=subscription.answered, channel=subscription.channel, **options)
                return
            except ZurufError as error:
                if self._socket is not socket:
                    return  # the next connection subscribes
                if not error.retryable:
                    subscription.events.put_nowait({"type": "ended", "channel": subscription.channel, "error": error})
                    return
                await asyncio.sleep(error.retry_after / 1000 or random.random() * self.backoff[0])

    async def _send(self, packet):
        self._sent = time.monotonic()
        try:
            await self._socket.send(self.codec.encode(packet))
        except (websockets.ConnectionClosed, AttributeError):
            raise ZurufError(*LOST) from None

    async def _packet(self, packet):
        kind, id = packet["type"], packet.get("id")
        if kind in ("msg", "position", "restarted", "ended", "members"):
            if subscription := self._subscriptions.get(packet["channel"]):
                subscription.push(packet)
        elif kind == "direct":
            self.direct.put_nowait(packet)
            await self._send({"type": "received", "id": id})
        elif kind == "call":
            self._spawn(self._called(packet))
        elif kind == "unknown":
            if id:
                await self._fail(id, ZurufError("badRequest", f"the word {packet['word']} is unknown"))
        elif id in self._waiting:  # a late or foreign answer, and `ping`, are nobody's
            answer, first = self._waiting.pop(id)
            if kind == "error":
                answer.set_exception(ZurufError(*packet["error"]))
            else:
                if first:
                    first(packet)
                answer.set_result(packet)

    async def _called(self, packet):
        handler = self.handlers.get(packet["method"])
        try:
            if handler is None:
                raise ZurufError("notFound", f"no method {packet['method']}")
            data = await handler(packet["data"])
            await self._send({"type": "result", "id": packet["id"], "data": data})
        except ZurufError as error:
            await self._fail(packet["id"], error)

    async def _fail(self, id, error):
        await self._send({"type": "error", "id": id, "error": [error.code, error.message, error.retryable, error.retry_after]})

    # Publishing in order, also with retries

    def _pump(self, lane):
        if not self._open.is_set() or lane.failed:
            return
        for entry in lane.entries:
            if not entry["flying"]:
                entry["flying"] = True
                lane.flying += 1
                self._spawn(self._publish(lane, entry))

    async def _publish(self, lane, entry):
        again = {"again": True} if entry.pop("again", False) else {}
        lost = False
        try:
            answer = await self.request("publish", **entry["packet"], **again)
            lane.entries.remove(entry)
            entry["done"].set_result(answer.get("position"))
        except ZurufError as error:
            lost = not self._open.is_set()  # sent again by the next connection, whose order begins anew
            if not error.retryable:
                lane.entries.remove(entry)
                entry["done"].set_exception(error)
            elif not lost:
                lane.failed, lane.wait = True, max(lane.wait, error.retry_after / 1000)
        entry["flying"] = False
        lane.flying -= 1
        if lane.flying > 0 or not (lane.failed or lost):
            return
        if lane.failed:
            await asyncio.sleep(lane.wait or random.random() * self.backoff[0])
            lane.failed, lane.wait = False, 0
            if lane.entries and self._open.is_set():
                lane.entries[0]["again"] = True
        self._pump(lane)

    def _spawn(self, work):
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
