"""Runs conformance/protocol/packets.json through the codecs, both ways: `vectors.py FILE`. Prints `ok` and how many, or what differs."""

import json
import sys

from codec import BinaryCodec, JsonCodec, PacketError


def payload(given):
    return bytes.fromhex(given["bytes"]["hex"]) if given["format"] == "binary" else json.loads(given["text"])


def packet_of(given):
    packet = {name: value for name, value in given.items() if name != "payload"}
    if "payload" in given:
        packet["data"] = payload(given["payload"])
    if "items" in given:
        packet["items"] = [{"offset": i["offset"], "info": i["info"], "data": payload(i["payload"])} for i in given["items"]]
    return packet


def decoded(codec, message):
    return JsonCodec.decode(message) if codec == "json" else BinaryCodec.decode(bytes.fromhex(message))


def main(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    count, wrong = 0, []

    def expect(what, got, wanted):
        nonlocal count
        count += 1
        if got != wanted:
            wrong.append(f"{what}: {got!r} instead of {wanted!r}")

    for vector in vectors["packets"]:
        packet, text, data = packet_of(vector["packet"]), vector["json"], vector["bin"]
        expect(text, JsonCodec.decode(text), packet)
        expect(data, BinaryCodec.decode(bytes.fromhex(data)), packet)
        expect(f"encoded {text}", json.loads(JsonCodec.encode(packet)), json.loads(text))
        # A JSON text can be written in many ways; this one of ours is compared by what it says.
        expect(f"encoded {data}", BinaryCodec.decode(BinaryCodec.encode(packet)), packet)
        if "data" not in packet or isinstance(packet["data"], bytes) or vector["packet"]["payload"]["text"] == json.dumps(packet["data"], separators=(",", ":")):
            expect(f"encoded {data}", BinaryCodec.encode(packet).hex(), data)
    for vector in vectors["accepted"]:
        expect(vector["why"], decoded(vector["codec"], vector["message"]), packet_of(vector["packet"]))
    for vector in vectors["refused"]:
        try:
            expect(vector["why"], decoded(vector["codec"], vector["message"]), "refused")
        except PacketError as error:
            expect(f"the id where {vector['why']}", error.id, vector["id"])
    print("\n".join(wrong) if wrong else f"ok {count}")


main(sys.argv[1])
