"""Server-sent events: for ``new EventSource(url)``, where a WebSocket cannot be had or is not needed.

One event a publication: a str as it is, other data as JSON, bytes in base64 as an event ``binary``. Each event's id
says how far the stream is in all of its channels, and a browser sends the last one back when it reconnects.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import cast
from urllib.parse import quote, unquote

import orjson

from ..disconnect import Disconnect
from ..messages import JoinLeave, Payload, Publication, StreamPosition
from .wire import WireMessage

# Where a stream's own places go in an event that all streams share. No UTF-8 text holds this byte (RFC 3629).
_MARK = b"\xff"

# A place in an id: a digest of the channel's name, so that long names make no long ids and appear in no log, the offset
# and the epoch; without these two where the channel keeps no history, and with a "!" alone where it was left. What
# comes later in an id holds.
_DIGEST = 6  # bytes, which are 8 characters
_NAME = 8
_PLACE = re.compile(r"([\w-]{8})(?:(!)|\.(\d{1,18})\.([\w%.~-]+))?", re.ASCII)
_LEFT = b"!"

# The id that tells a browser, which cannot be told otherwise, to stay away: it is sent back, and answered with 204
# (HTML, section 9.2.3), after which an EventSource does not come again.
STAY_AWAY = "-"

# More of an id is not read, in bytes for each channel that a session may be in; a place has about 30.
_MAX_PLACE = 64

# Those that a session is in beside max_channels: its user's and everybody's.
_OWN_CHANNELS = 2


class Event(WireMessage):
    """One event or several, and the place that is reached with it."""

    __slots__ = ("lines", "place")

    def __init__(self, lines: bytes, places: Iterable[bytes] = (), place: bytes = b"") -> None:
        self.lines = lines
        self.place = place
        known = b",".join(places) or place
        super().__init__(lines + (b"id: " + _MARK + b"," + known + b"\n\n" if known else b"\n"), text=True)

    @property
    def frame(self) -> bytes:
        """The event itself: a stream has no frames."""
        return self.data


class EventIds:
    """How far one stream is in its channels, in the form of its events' ids."""

    __slots__ = ("_id", "_places")

    def __init__(self) -> None:
        self._places: dict[bytes, bytes] = {}
        self._id = b""

    def stamp(self, events: bytes) -> bytes:
        """Return events with this stream's ids."""
        return events.replace(_MARK, self._id) if self._id else events.replace(_MARK + b",", b"")

    def advance(self, events: bytes) -> None:
        """These events, not stamped, are on their way."""
        at = events.rfind(_MARK)
        if at < 0:
            return
        for place in events[at + 2 : events.index(b"\n", at)].split(b","):
            if place.endswith(_LEFT):
                self._places.pop(place[:_NAME], None)
            else:
                self._places[place[:_NAME]] = place
        self._id = b",".join(self._places.values())


def _digest(channel: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.blake2b(channel.encode(), digest_size=_DIGEST).digest())


def place(channel: str, position: StreamPosition | None) -> bytes:
    """Return what an id says of a channel; without a position that the channel keeps no history."""
    if position is None:
        return _digest(channel)
    return b"%b.%d.%b" % (_digest(channel), position.offset, quote(position.epoch, safe="").encode())


class LastEventId:
    """What the id that a client sends back says of channels.

    It is not signed. A place counts only for a channel that this very connection may be in, so an id that somebody
    made up, or has from somebody else, opens no channel; and the most that it can ask of its own channels is what they
    keep, as any SDK client can. So it needs no secret, and works with every process of a deployment.
    """

    __slots__ = ("_broken", "_places")

    def __init__(self, text: str, max_channels: int = 128) -> None:
        self._places: dict[bytes, StreamPosition | None] = {}
        longest = (max_channels + _OWN_CHANNELS) * _MAX_PLACE
        self._broken = len(text) > longest or not all(map(self._read, filter(None, text.split(","))))

    def _read(self, text: str) -> bool:
        found = _PLACE.fullmatch(text)
        if found is None:
            return False
        name, left, offset, epoch = found.groups()
        if left:
            self._places.pop(name.encode(), None)
        else:
            self._places[name.encode()] = None if offset is None else StreamPosition(int(offset), unquote(epoch))
        return True

    def knows(self, channel: str) -> bool:
        """Whether the stream that it is of was in a channel; one that cannot be read may have been in any."""
        return self._broken or _digest(channel) in self._places

    def position(self, channel: str) -> StreamPosition | None:
        """Return how far that stream was in a channel, or None."""
        return None if self._broken else self._places.get(_digest(channel))


class SseCodec:
    """One event a publication; a bare EventSource is not told the channel, as a plain WebSocket is not."""

    name = "sse"
    # A comment, which no page is told of.
    ping = Event(b":\n")

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the code that says why a stream ends."""
        return disconnect.code

    def encode(self, publication: Publication | JoinLeave) -> Event | None:
        """Return the event that carries a publication; of who comes and goes a page is not told."""
        return None if isinstance(publication, JoinLeave) else self._event(publication)

    def _event(self, publication: Publication) -> Event:
        lines = _payload_lines(publication.payload)
        if not publication.offset:  # it is in no stream, so the places stay as they are
            return Event(lines)
        position = StreamPosition(publication.offset, publication.epoch)
        return Event(lines, place=place(publication.channel, position))

    def part(self, publications: Sequence[Publication]) -> list[WireMessage]:
        """Return the events of some publications."""
        return [event for publication in publications if (event := self.encode(publication)) is not None]

    def whole(self, parts: Sequence[list[WireMessage]]) -> list[WireMessage]:
        """Return the events of all parts."""
        return list(chain.from_iterable(parts))

    def frame(self, publication: Publication) -> bytes:
        """Return the event that carries a publication."""
        return self._event(publication).data

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return them in one piece."""
        return [_whole(_in_turn(messages, ()))]

    def start(self, retry: int, places: Sequence[bytes], gaps: Sequence[str], missed: list[WireMessage]) -> Event:
        """Return what a stream begins with, or goes on with when it comes into another channel.

        Args:
            retry: after how many milliseconds the browser is to come back when it is cut off; 0 = as told before.
            places: what its ids say of each channel.
            gaps: the channels in which something may be missing.
            missed: the events of the publications that the client has missed.
        """
        lines = (b"retry: %d\n" % retry if retry else b"") + (_named("gap", {"channels": gaps}) if gaps else b"")
        return _whole([Event(lines, places).data, *_in_turn(missed, places)])

    def left(self, channel: str) -> Event:
        """Return what a stream is sent when the application takes it out of a channel: its ids forget it."""
        return Event(b"", [_digest(channel) + _LEFT])

    def end(self, disconnect: Disconnect, retry: int) -> Event:
        """Return what a stream ends with: why, and when to come back, or that the browser is to stay away."""
        reason = {"code": self.close_code(disconnect), "reason": disconnect.reason}
        then = b"retry: %d\n" % retry if disconnect.reconnect else b"id: %b\n" % STAY_AWAY.encode()
        return Event(_named("disconnect", reason) + then)


def _in_turn(messages: list[WireMessage], places: Iterable[bytes]) -> Iterator[bytes]:
    """Yield events of one piece: the id of each has the places of those before it, as the mark stands for none."""
    known = {known_place[:_NAME]: known_place for known_place in places}
    for event in cast(list[Event], messages):
        if event.place:
            known[event.place[:_NAME]] = event.place
            yield Event(event.lines, known.values()).data
        else:
            yield event.data


def _whole(parts: Iterable[bytes]) -> Event:
    whole = Event(b"")
    whole.data = b"".join(parts)
    whole.size = len(whole.data)
    return whole


def _named(name: str, data: Mapping[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n" % (name.encode(), orjson.dumps(data))


def _payload_lines(payload: Payload) -> bytes:
    data = payload.data
    if payload.kind == "binary":
        return b"event: binary\ndata: " + base64.b64encode(data) + b"\n"
    if _MARK in data:  # no text, which a client published; a browser would read it like this
        data = data.decode(errors="replace").encode()
    if b"\n" not in data and b"\r" not in data:
        return b"data: " + data + b"\n"
    # All three ends of a line end one here (HTML, section 9.2.5); a browser joins the lines by "\n".
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join([b"data: %b\n" % line for line in lines])


CODEC = SseCodec()
