"""Fuzz targets: what comes over a WebSocket, and the positions with which clients come."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from asgi_push import StreamPosition
from asgi_push.messages import Payload, Publication, parse_id, position_id
from asgi_push.protocols import envelope, plain, sse
from asgi_push.protocols.centrifuge import json_codec, protobuf_codec
from asgi_push.protocols.centrifuge.errors import Violation
from asgi_push.protocols.since import Since
from asgi_push.protocols.sse import LastEventId, position_token
from tests.endpoints.centrifuge.peers import binary
from tests.fuzz import mutate
from tests.fuzz.target import Target

_SUB = {"channel": "news", "token": "t", "recover": True, "epoch": "Xk3", "offset": 7, "flag": 2, "delta": "fossil"}
_SUB |= {"positioned": True, "recoverable": True, "join_leave": True, "type": 0}
COMMANDS: list[dict[str, Any]] = [
    {"id": 1, "connect": {"token": "t", "name": "js", "version": "1", "headers": {"a": "b"}, "subs": {"#11": _SUB}}},
    {"id": 1, "connect": {"data": {"a": [1, 2.5, None, True]}, "flag": 1}},
    {"id": 2, "subscribe": {**_SUB, "tf": {"op": "and", "nodes": [{"key": "a", "cmp": "eq", "val": "1"}]}}},
    {"id": 3, "unsubscribe": {"channel": "news"}},
    {"id": 4, "publish": {"channel": "news", "data": {"n": 1e300, "text": "\u00e4"}, "key": "k"}},
    {"id": 5, "presence": {"channel": "news"}},
    {"id": 6, "presence_stats": {"channel": "news"}},
    {"id": 7, "history": {"channel": "news", "limit": -1, "since": {"offset": 7, "epoch": "Xk3"}, "reverse": True}},
    {"id": 8, "rpc": {"method": "push.ack", "data": {"channel": "news", "offset": 7}}},
    {"send": {"data": "text"}},
    {"id": 9, "refresh": {"token": "t"}},
    {"id": 10, "sub_refresh": {"channel": "news", "token": "t"}},
    {},
]


def _protobuf(value: Any) -> Any:
    """Return a command for Protobuf, where data is bytes; in its JSON those are base64."""
    if isinstance(value, dict):
        return {key: "eyJhIjpbMV19" if key == "data" else _protobuf(item) for key, item in value.items()}
    return value


_BINARY = [binary(_protobuf(command)) for command in COMMANDS]


def _json_frame(random: Random) -> str | bytes:
    commands = random.choices(COMMANDS, k=random.choice((1, 1, 1, 2, 5)))
    lines = [mutate.as_json(random, mutate.document(random, command)) for command in commands]
    frame = mutate.text(random, "\n".join(lines)) if random.random() < 0.2 else "\n".join(lines)
    if random.random() < 0.1:
        return mutate.data(random, frame.encode(errors="replace"))
    return mutate.decoded(frame)


def _binary_frame(random: Random) -> str | bytes:
    if random.random() < 0.01:
        return mutate.decoded(mutate.text(random, "text"))
    frame = b""
    for command in random.choices(_BINARY, k=random.choice((1, 1, 1, 2, 5))):
        size = 1 if command[0] < 0x80 else 2
        body = mutate.data(random, command[size:], _BINARY) if random.random() < 0.6 else command[size:]
        # Mostly with the right length, so that what is inside is looked at.
        frame += _varint(len(body)) + body
    return mutate.data(random, frame, _BINARY) if random.random() < 0.2 else frame


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _read(codec: Any, frame: str | bytes) -> None:
    """Decode a frame; what a client publishes can be written for clients of any kind."""
    for command in codec.decode(frame):
        payload = getattr(command.request, "data", None)
        if isinstance(payload, Payload):
            publication = Publication("news", payload, 7, "Xk3")
            for other in (json_codec.CODEC, protobuf_codec.CODEC, envelope.CODEC, plain.CODEC, sse.CODEC):
                other.encode(publication)
            publication.data  # noqa: B018  # which the application may read


_IDS = ["7.Xk3-aQ9z", "1.a", "999999999999999999.%20%25", "0.0"]
_PAGE: list[dict[str, Any]] = [
    {"type": "ack", "channel": "#11", "id": _IDS[0]},
    {"type": "ping", "seen": {"#11": _IDS[0], "news": _IDS[1]}},
    {"type": "ping", "id": 7},
    {"type": "answer", "id": "x7", "data": {"sure": [True, 1.5]}},
    {"type": "ack", "id": "k2"},
]


def _page_message(random: Random) -> str:
    if random.random() < 0.05:
        return mutate.decoded(mutate.text(random, random.choice(("ping", "HeartBeat"))))
    found = mutate.as_json(random, mutate.document(random, random.choice(_PAGE)))
    return mutate.decoded(mutate.text(random, found) if random.random() < 0.3 else found)


def _read_page(text: str) -> None:
    """Do what the endpoint does with a message of a page."""
    for pong in ("pong", "echo"):
        plain.heartbeat_answer(text, pong)
    envelope.answered(text)
    envelope.acknowledged(text)


def _since(random: Random) -> str:
    ids = {"#11": random.choice(_IDS), "*": random.choice(_IDS), "news": None}
    found = mutate.as_json(random, mutate.document(random, ids))
    return mutate.decoded(mutate.text(random, found) if random.random() < 0.5 else found)


def _read_since(text: str) -> None:
    since = Since(text)
    for channel in ("#11", "*", "news", ""):
        assert since.knows(channel) is (since.position(channel) is not None)


def _id(random: Random) -> str:
    return mutate.decoded(mutate.text(random, random.choice(_IDS), _IDS))


def _read_id(text: str) -> None:
    """Read an id; what was read can be written, and is the same when it is read again."""
    position = parse_id(text)
    assert position is None or parse_id(position_id(position)) == position


_TOKENS = [
    position_token(channel, position).decode()
    for channel in ("*", "#11", "news")
    for position in (None, StreamPosition(7, "Xk3"), StreamPosition(1, "a b%"))
]


def _last_id(random: Random) -> str:
    tokens = random.choices(_TOKENS, k=random.choice((0, 1, 3, 3, 200)))
    tokens += [tokens[0][:8] + "!"] if tokens and random.random() < 0.2 else []
    return mutate.decoded(mutate.text(random, ",".join(tokens)))


def _read_last_id(text: str) -> None:
    last = LastEventId(text)
    for channel in ("*", "#11", "news", ""):
        position = last.position(channel)
        assert position is None or last.knows(channel)
        assert position is None or parse_id(position_id(position)) == position


TARGETS = [
    Target("frames in JSON", _json_frame, partial(_read, json_codec.CODEC), (Violation,)),
    Target("frames in Protobuf", _binary_frame, partial(_read, protobuf_codec.CODEC), (Violation,)),
    Target("messages of pages", _page_message, _read_page, (ValueError,)),
    Target("since", _since, _read_since, (ValueError,)),
    Target("ids", _id, _read_id),
    Target("last event ids", _last_id, _read_last_id),
]
