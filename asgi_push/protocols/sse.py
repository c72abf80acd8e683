"""Server-sent events, for ``new EventSource(url)``: one event a publication, whose id says where the client stands.

A str comes as it is (EventSource ends all lines in a line feed), bytes as base64 in an event of type ``binary``,
anything else as JSON. An id holds the places of all the stream's channels, joined by commas: for each a short hash of
its name, the offset and the epoch. It needs no signature: which channels a client may have is decided anew whenever it
comes, and of those it may ask for any place, as clients of the SDK protocol may.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping

from ..disconnect import Disconnect
from ..messages import Notice, Publication, StreamPosition
from .wire import WireMessage

# The longest id that is read, in bytes: 130 places of 40 bytes.
_MAX_ID = 8192


class Event:
    """One event without its id; ``channel`` and ``place`` are what it changes in the id, None for nothing."""

    __slots__ = ("body", "channel", "place")

    def __init__(self, body: bytes, channel: str | None = None, place: bytes | None = None) -> None:
        self.body = body
        self.channel = channel
        self.place = place


class Events(WireMessage):
    """Some events in order."""

    __slots__ = ("events",)

    def __init__(self, events: list[Event]) -> None:
        super().__init__(b"".join([event.body for event in events]), text=True)
        self.events = events


class SseCodec:
    """How publications look as events."""

    name = "sse"
    ping = Events([Event(b":\n\n")])  # a comment, which clients pass over

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the code itself: a stream has none of its own."""
        return disconnect.code

    def encode(self, publication: Publication | Notice) -> Events | None:
        """Return the event that carries a publication; of who comes and goes nothing is told."""
        if isinstance(publication, Notice):
            return None
        payload = publication.payload
        if payload.kind == "binary":
            body = b"event: binary\ndata: %b\n\n" % base64.b64encode(payload.data)
        else:
            body = data_lines(payload.data) + b"\n"
        if not publication.offset:
            return Events([Event(body)])
        position = StreamPosition(publication.offset, publication.epoch)
        return Events([Event(body, publication.channel, place(publication.channel, position))])

    def frame(self, publication: Publication) -> bytes:
        """Return nothing: an event is never written without the id, which each session has its own of."""
        return b""

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return all events as one message."""
        return [Events([event for message in messages if isinstance(message, Events) for event in message.events])]


CODEC = SseCodec()


def data_lines(data: bytes) -> bytes:
    """Return text as the data of an event, one line after the other."""
    if b"\n" not in data and b"\r" not in data:
        return b"data: %b\n" % data
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join([b"data: %b\n" % line for line in lines])


def told(name: str, about: Mapping[str, object]) -> bytes:
    """Return an event of the server's own, with JSON."""
    return f"event: {name}\ndata: {json.dumps(about)}\n\n".encode()


def retry(seconds: float) -> bytes:
    """Return what tells a client how long to wait before it comes back."""
    return b"retry: %d\n\n" % round(seconds * 1000)


def place(channel: str, position: StreamPosition) -> bytes:
    """Return a channel's part of an id."""
    return f"{_name(channel)}.{position.offset}.{position.epoch}".encode()


def id_line(places: Iterable[bytes]) -> bytes:
    """Return the line that names a client's place in all channels."""
    return b"id: %b\n" % b",".join(places)


def positions(last_event_id: str, channels: Iterable[str]) -> dict[str, StreamPosition]:
    """Return the places in these channels that an id names; what is wrong with it is as if it were not there."""
    known = {_name(channel): channel for channel in channels}
    found = {}
    for part in last_event_id[:_MAX_ID].split(","):
        name, _, rest = part.partition(".")
        offset, _, epoch = rest.partition(".")
        if name in known and offset.isascii() and offset.isdecimal() and len(offset) < 16:
            found[known[name]] = StreamPosition(int(offset), epoch)
    return found


def _name(channel: str) -> str:
    """Return a short name without commas and dots; two channels with one would be told of a gap, by their epochs."""
    return base64.urlsafe_b64encode(hashlib.blake2b(channel.encode(), digest_size=6).digest()).decode()
