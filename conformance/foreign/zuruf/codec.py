"""zuruf.v1.json and zuruf.v1.bin as docs/protocol.md has them. A packet is a dict with its `type`; data are JSON values or bytes."""

import base64
import binascii
import json

NUMBER_MAX = 2**53 - 1
ID_MAX = 2**32 - 1
DEPTH_MAX = 64
WORDS = {
    "delivery": ["stream", "latest", "volatile"],
    "reason": ["retention", "rollback", "epoch"],
    "receipt": ["delivered", "offline", "unknown"],
}
TEXTS = {"text": (0, None), "channel": (1, 200), "key": (1, 128), "name": (1, 256), "epoch": (1, 64)}

# The table "The binary codec": code, packet, fields, options, last. `None` instead of options: no list.
LAYOUT = [
    (2, "connect", "id", "1 token: text?, 2 resume: pair?, 3 heartbeat: uint?", None),
    (3, "connected", "id", "1 client: text, 2 secret: text, 3 resumed: bool, 4 instance: text, 5 user: text?, 6 expires: uint?, 7 heartbeat: uint, 8 limits: limits", None),
    (4, "refresh", "id", "1 token: text", None),
    (5, "refreshed", "id", "1 expires: uint?", None),
    (6, "subscribe", "id, channel", "1 position: position?, 2 echo: bool?, 3 presence: bool?, 4 info: json?", None),
    (7, "subscribed", "id", "1 position: position?, 2 recovered: bool?, 3 reason: reason?, 4 delivery: delivery", None),
    (8, "unsubscribe", "id, channel", None, None),
    (9, "unsubscribed", "id", None, None),
    (10, "publish", "id, channel", "1 key: key?, 2 again: bool?", "data"),
    (11, "published", "id", "1 position: position?", None),
    (12, "history", "id, channel", "1 after: position?, 2 before: position?, 3 limit: uint", None),
    (13, "historyPage", "id", "1 position: position, 2 complete: bool, 3 reason: reason?", "items"),
    (14, "presence", "id, channel", "1 count: bool?", None),
    (15, "presencePage", "id", "1 members: uint, 2 connections: uint, 3 stale: bool?", "list"),
    (16, "send", "id, to: name", "1 timeout: uint?", "data"),
    (17, "receipt", "id, receipt", None, None),
    (18, "call", "id, method: name", "1 timeout: uint?", "data"),
    (19, "result", "id", "", "data"),
    (20, "ping", "bare: anyId", None, None),
    (21, "pong", "id", None, None),
    (22, "position", "channel, position", None, None),
    (23, "restarted", "channel", "1 position: position, 2 reason: reason", None),
    (24, "ended", "channel, error", None, None),
    (25, "members", "channel", "1 snapshot: bool?, 2 stale: bool?", "changes"),
    (26, "direct", "id", "1 from: text?, 2 user: text?, 3 time: uint", "data"),
    (27, "received", "id", None, None),
    (28, "error", "id: anyId, error", None, None),
]
MSG = 1
INFO = ((1, "client", "text"), (2, "user", "text"), (4, "key", "text"), (8, "time", "uint"))


class PacketError(Exception):
    """A packet that cannot be read; `id` is its own where that could be, else 0."""

    def __init__(self, message, id=0):
        super().__init__(message)
        self.id = id


class Shape:
    def __init__(self, code, type, fields, options, last):
        self.code, self.type, self.last = code, type, last
        # The answers to `history` and `presence` repeat the request's word.
        self.word = type.removesuffix("Page")
        self.fields = [self._pair(field) for field in fields.split(", ")]
        self.options = None
        if options is not None:
            self.options = []
            for option in filter(None, options.split(", ")):
                tag, rest = option.split(" ", 1)
                name, kind = self._pair(rest)
                self.options.append((int(tag), name, kind.rstrip("?"), not kind.endswith("?")))

    @staticmethod
    def _pair(text):
        name, _, kind = text.partition(": ")
        return name, kind or name

    def require(self, packet):
        for _, name, _, required in self.options or ():
            if required and name not in packet:
                raise PacketError(f"{self.word}: {name} is missing")


SHAPES = {row[1]: Shape(*row) for row in LAYOUT}
BY_CODE = {shape.code: shape for shape in SHAPES.values()}


def checked(kind, value):
    """The value, if it is one of that kind."""
    number = isinstance(value, int) and not isinstance(value, bool)
    if kind == "uint":
        good = number and 0 <= value <= NUMBER_MAX
    elif kind in ("id", "anyId"):
        good = number and (0 if kind == "anyId" else 1) <= value <= ID_MAX
    elif kind == "bool":
        good = isinstance(value, bool)
    elif kind in TEXTS:
        good = isinstance(value, str) and is_text(value, *TEXTS[kind])
        if good and kind == "channel":
            good = not any(c <= " " or "\x7f" <= c <= "\x9f" or c in "{}" for c in value)
    elif kind in WORDS:
        good = value in WORDS[kind]
    elif kind == "position":
        good = isinstance(value, list) and len(value) == 2
        good = good and checked("epoch", value[0]) and checked("uint", value[1]) is not None
    elif kind == "pair":
        good = isinstance(value, list) and len(value) == 2 and all(checked("text", part) is not None for part in value)
    elif kind == "error":
        good = isinstance(value, list) and len(value) >= 4
        for part, of in zip(value if good else (), ("text", "text", "bool", "uint")):
            checked(of, part)
    elif kind == "limits":
        good = isinstance(value, dict)
    elif kind == "list":
        good = isinstance(value, list)
    else:
        good = kind == "json"
    if not good:
        raise PacketError(f"{value!r} is no {kind}")
    return value


def is_text(value, least, most):
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return least <= size and (most is None or size <= most)


def parse(text, depth=DEPTH_MAX):
    inside = string = escaped = 0
    for c in text:
        if escaped:
            escaped = False
        elif string:
            escaped, string = c == "\\", c != '"'
        elif c == '"':
            string = True
        elif c in "[{":
            inside += 1
            if inside > depth:
                raise PacketError("nested too deep")
        elif c in "]}":
            inside -= 1
    try:
        return json.loads(text, parse_constant=not_json)
    except ValueError:
        raise PacketError("the text is not JSON") from None


def not_json(name):
    """Python alone reads NaN and Infinity."""
    raise ValueError(name)


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class JsonCodec:
    name = "zuruf.v1.json"

    @staticmethod
    def encode(packet):
        if packet["type"] == "msg":
            info = JsonCodec._info(packet.get("info", {}), packet["data"])
            return dump(["msg", packet["channel"], packet["offset"], *([info] if info else []), JsonCodec._data(packet["data"])])
        shape = SHAPES[packet["type"]]
        elements = [shape.word]
        for name, _ in shape.fields:
            if name != "bare":
                elements.append(packet[name])
            elif "id" in packet:
                elements.append(packet["id"])
        if shape.options is not None:
            options = {name: packet[name] for _, name, _, _ in shape.options if name in packet}
            if isinstance(packet.get("data"), bytes):
                options["format"] = "binary"
            elements.append(options)
        if shape.last == "data":
            elements.append(JsonCodec._data(packet["data"]))
        elif shape.last == "items":
            elements.append([[i["offset"], JsonCodec._info(i["info"], i["data"]), JsonCodec._data(i["data"])] for i in packet["items"]])
        elif shape.last:
            elements.append(packet[shape.last])
        return dump(elements)

    @staticmethod
    def decode(text):
        elements = parse(text)
        if not isinstance(elements, list) or not elements or not isinstance(elements[0], str):
            raise PacketError("no array that starts with a word")
        id = elements[1] if len(elements) > 1 else None
        try:
            checked("id", id)
        except PacketError:
            id = 0
        try:
            return JsonCodec._packet(elements, id)
        except PacketError as error:
            raise PacketError(str(error), id) from None

    @staticmethod
    def _packet(elements, id):
        word = elements[0]
        if word == "msg":
            if len(elements) not in (4, 5):
                raise PacketError("msg has 4 or 5 elements")
            packet = {"type": "msg", "channel": checked("channel", elements[1]), "offset": checked("uint", elements[2])}
            return {**packet, **JsonCodec._publication(elements[3] if len(elements) == 5 else {}, elements[-1])}
        # Requests name a channel where answers have their options.
        page = word in ("history", "presence") and len(elements) > 2 and isinstance(elements[2], dict)
        shape = SHAPES.get(word + "Page" if page else word)
        if shape is None or shape.word != word:
            return {"type": "unknown", "word": word, **({"id": id} if id else {})}
        packet, rest = {"type": shape.type}, elements[1:]
        for name, kind in shape.fields:
            if name == "bare":
                if rest:
                    packet["id"] = checked("id", rest.pop(0))
            else:
                packet[name] = checked(kind, rest.pop(0) if rest else None)
        options = {}
        if shape.options is not None:
            options = rest.pop(0) if rest or shape.last else {}
            if not isinstance(options, dict):
                raise PacketError("the options are no object")
            for _, name, kind, _ in shape.options:
                if name in options:
                    packet[name] = checked(kind, options[name])
            shape.require(packet)
        if shape.last == "data":
            if len(rest) != 1:
                raise PacketError("the data is not the last element")
            packet["data"] = JsonCodec._publication(options, rest[0])["data"]
        elif shape.last == "items":
            packet["items"] = [
                {"offset": checked("uint", offset), "info": {}, **JsonCodec._publication(info, data)} for offset, info, data in rest[0]
            ]
        elif shape.last:
            packet[shape.last] = checked("list", rest[0] if rest else None)
        return packet

    @staticmethod
    def _data(data):
        return {"$bytes": base64.b64encode(data).decode()} if isinstance(data, bytes) else data

    @staticmethod
    def _info(info, data):
        return {**info, "format": "binary"} if isinstance(data, bytes) else info

    @staticmethod
    def _publication(info, data):
        """`info` (unless it is empty) and `data`, which is what the format says."""
        if not isinstance(info, dict):
            raise PacketError("INFO is no object")
        form = info.get("format", "json")
        if form == "binary":
            try:
                data = base64.b64decode(data["$bytes"], validate=True)
            except (KeyError, TypeError, binascii.Error):
                raise PacketError("bytes are no base64") from None
        elif form != "json":
            raise PacketError("an unknown format")
        known = {name: checked(kind, info[name]) for _, name, kind in INFO if name in info}
        return {**({"info": known} if known else {}), "data": data}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    @property
    def done(self):
        return self.at == len(self.data)

    def bytes(self, size):
        if size > len(self.data) - self.at:
            raise PacketError("the message ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def rest(self):
        return self.bytes(len(self.data) - self.at)

    def byte(self):
        return self.bytes(1)[0]

    def uint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if value > NUMBER_MAX or shift > 56:
                raise PacketError("a number is too large")
            if byte < 128:
                return value

    def text(self):
        return utf8(self.bytes(self.uint()))

    def value(self, kind):
        if kind in ("uint", "id", "anyId"):
            return self.uint()
        if kind == "bool":
            return {0: False, 1: True}.get(self.byte())
        if kind in TEXTS:
            return self.text()
        if kind in WORDS:
            return dict(enumerate(WORDS[kind])).get(self.byte())
        if kind == "position":
            return [self.text(), self.uint()]
        if kind == "pair":
            return [self.text(), self.text()]
        if kind == "error":
            return [self.text(), self.text(), self.value("bool"), self.uint()]
        if kind == "limits":
            return {self.text(): self.uint() for _ in range(self.uint())}
        return parse(self.text(), DEPTH_MAX - 1)  # json, list

    def info(self):
        flags = self.byte()
        info = {name: self.value(kind) for flag, name, kind in INFO if flags & flag}
        for flag in (16, 32, 64, 128):
            if flags & flag:
                self.bytes(self.uint())
        return info

    def payload(self):
        form = self.byte()
        if form > 1:
            raise PacketError("an unknown format")
        return bytes(self.rest()) if form else parse(utf8(self.rest()), DEPTH_MAX - 1)


def utf8(data):
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise PacketError("text that is not UTF-8") from None


def w_uint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def w_sized(data):
    return w_uint(len(data)) + data


def w_value(kind, value):
    if kind in ("uint", "id", "anyId"):
        return w_uint(value)
    if kind == "bool":
        return bytes([value])
    if kind in TEXTS:
        return w_sized(value.encode())
    if kind in WORDS:
        return bytes([WORDS[kind].index(value)])
    if kind == "position":
        return w_value("text", value[0]) + w_uint(value[1])
    if kind == "pair":
        return w_value("text", value[0]) + w_value("text", value[1])
    if kind == "error":
        return b"".join(w_value(of, part) for of, part in zip(("text", "text", "bool", "uint"), value))
    if kind == "limits":
        return w_uint(len(value)) + b"".join(w_value("text", name) + w_uint(limit) for name, limit in value.items())
    return w_sized(dump(value).encode())


def w_info(info):
    flags = sum(flag for flag, name, _ in INFO if name in info)
    return bytes([flags]) + b"".join(w_value(kind, info[name]) for _, name, kind in INFO if name in info)


def w_payload(data):
    return b"\1" + data if isinstance(data, bytes) else b"\0" + dump(data).encode()


class BinaryCodec:
    name = "zuruf.v1.bin"

    @staticmethod
    def encode(packet):
        if packet["type"] == "msg":
            head = bytes([MSG]) + w_value("text", packet["channel"]) + w_uint(packet["offset"])
            return head + w_info(packet.get("info", {})) + w_payload(packet["data"])
        shape = SHAPES[packet["type"]]
        out = bytes([shape.code])
        for name, kind in shape.fields:
            out += w_value(kind, packet.get("id", 0) if name == "bare" else packet[name])
        if shape.options is not None:
            for tag, name, kind, _ in shape.options:
                if name in packet:
                    out += w_uint(tag) + w_sized(w_value(kind, packet[name]))
            out += b"\0"
        if shape.last == "data":
            return out + w_payload(packet["data"])
        if shape.last == "items":
            items = [w_uint(i["offset"]) + w_info(i["info"]) + w_sized(w_payload(i["data"])) for i in packet["items"]]
            return out + w_uint(len(items)) + b"".join(items)
        return out + (w_value("list", packet[shape.last]) if shape.last else b"")

    @staticmethod
    def decode(data):
        reader, packet = Reader(data), {}
        try:
            return BinaryCodec._packet(reader, packet)
        except PacketError as error:
            raise PacketError(str(error), packet.get("id", 0)) from None

    @staticmethod
    def _packet(reader, packet):
        code = reader.byte()
        if code == MSG:
            packet.update(type="msg", channel=checked("channel", reader.text()), offset=reader.uint())
            if info := reader.info():
                packet["info"] = info
            packet["data"] = reader.payload()
            return packet
        shape = BY_CODE.get(code)
        if shape is None:
            packet.update(type="unknown", word=f"#{code}")
            if code > 127 and code % 2:
                packet["id"] = checked("id", reader.uint())
            return packet
        packet["type"] = shape.type
        for name, kind in shape.fields:
            value = checked(kind, reader.value(kind))
            if name != "bare":
                packet[name] = value
            elif value:
                packet["id"] = value
        if shape.options is not None:
            known = {tag: (name, kind) for tag, name, kind, _ in shape.options}
            while not (reader.done and shape.last is None):
                tag = reader.uint()
                if tag == 0:
                    break
                body = reader.bytes(reader.uint())
                if tag in known:
                    name, kind = known[tag]
                    packet[name] = checked(kind, Reader(body).value(kind))
            shape.require(packet)
        if shape.last == "data":
            packet["data"] = reader.payload()
        elif shape.last == "items":
            packet["items"] = []
            for _ in range(reader.uint()):
                item = {"offset": reader.uint(), "info": reader.info()}
                packet["items"].append({**item, "data": Reader(reader.bytes(reader.uint())).payload()})
        elif shape.last:
            packet[shape.last] = checked("list", reader.value("list"))
        return packet
