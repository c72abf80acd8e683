"""Server-sent events: for ``new EventSource(url)``, where a WebSocket is impossible or not needed.

One event a publication: a str as it is, other data as JSON, bytes in base64 as an event ``binary``.
The id of each event holds the positions of the stream in all of its channels. A browser sends the
last id back when it reconnects.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import cast

import orjson

from ..disconnect import Disconnect
from ..messages import (
    JoinLeave,
    Payload,
    Publication,
    StreamPosition,
    parse_id,
    position_id,
)
from .blocks import COMPRESS_FROM
from .wire import WireMessage

# Where the stream's own tokens go in an event that all streams share. No UTF-8 text holds this byte
# (RFC 3629).
MARK = b"\xff"

# A position token, which is what an id says of one channel: a digest of the channel's name, and the
# position as text. A digest, so that long names make no long ids and appear in no log. Without a
# position the channel keeps no history; with "!" in their stead the stream has left it. Of
# two tokens of one channel the later one holds.
_TOKEN = re.compile(r"([\w-]{8})(?:(!)|\.(.+))?", re.ASCII)
_DIGEST_BYTES = 6
_DIGEST_CHARACTERS = 8  # of as many bytes in base64
_UNSUBSCRIBED = b"!"

# The id that tells a browser to stay away. It is sent back, and answered with 204 (HTML, section
# 9.2.3), after which an EventSource does not reconnect. There is no other way to tell it.
STAY_AWAY = "-"

# The most bytes of an id that are read, for each channel that a session may be in; a token has
# about 30.
_MAX_TOKEN = 64

# The channels of a session that max_channels does not count: its user's and everybody's.
_OWN_CHANNELS = 2


class Event(WireMessage):
    """One event or several; ``token`` is the position that the last of them reaches."""

    __slots__ = ("lines", "token")

    def __init__(self, lines: bytes, tokens: Iterable[bytes] = (), token: bytes = b"") -> None:
        self.lines = lines
        self.token = token
        known = b",".join(tokens) or token
        end = b"id: " + MARK + b"," + known + b"\n\n" if known else b"\n"
        super().__init__(lines + end, text=True)

    @property
    def frame(self) -> bytes:
        """The event itself: a stream has no frames."""
        return self.data


class EventIds:
    """The ids of one stream's events: its positions in all of its channels."""

    __slots__ = ("_id", "_tokens")

    def __init__(self) -> None:
        self._tokens: dict[bytes, bytes] = {}
        self._id = b""

    @property
    def id(self) -> bytes:
        """What stands before the tokens of the next event."""
        return self._id

    def stamp(self, events: bytes) -> bytes:
        """Return events with this stream's ids."""
        return events.replace(MARK, self._id) if self._id else events.replace(MARK + b",", b"")

    def advance(self, events: bytes) -> None:
        """Move on to the positions that these events reach; they are given unstamped."""
        tokens = _last_tokens(events)
        if not tokens:
            return
        for token in tokens:
            if token.endswith(_UNSUBSCRIBED):
                self._tokens.pop(token[:_DIGEST_CHARACTERS], None)
            else:
                self._tokens[token[:_DIGEST_CHARACTERS]] = token
        self._id = b",".join(self._tokens.values())


@lru_cache(2)  # of a run, which sends the same to many streams
def _last_tokens(events: bytes) -> list[bytes]:
    """Return the tokens in the last id of events that are not stamped."""
    at = events.rfind(MARK)
    return [] if at < 0 else events[at + 2 : events.index(b"\n", at)].split(b",")


def _digest(channel: str) -> bytes:
    return base64.urlsafe_b64encode(
        hashlib.blake2b(channel.encode(), digest_size=_DIGEST_BYTES).digest()
    )


def position_token(channel: str, position: StreamPosition | None) -> bytes:
    """Return the position token of a channel; without a position the channel keeps no history."""
    if position is None:
        return _digest(channel)
    return b"%b.%b" % (_digest(channel), position_id(position).encode())


class LastEventId:
    """The positions in the id that a client sends back.

    The id is not signed. A token counts only for a channel that this connection may be in, so an
    id that somebody made up, or got from somebody else, opens no channel. The most that it can get
    is what these channels keep, as any SDK client can. So it needs no secret, and works with every
    process of a deployment.
    """

    __slots__ = ("_broken", "_positions")

    def __init__(self, text: str, max_channels: int = 128) -> None:
        self._positions: dict[bytes, StreamPosition | None] = {}
        longest = (max_channels + _OWN_CHANNELS) * _MAX_TOKEN
        self._broken = len(text) > longest or not all(
            map(self._read, filter(None, text.split(",")))
        )

    def _read(self, text: str) -> bool:
        found = _TOKEN.fullmatch(text)
        if found is None:
            return False
        name, left, place = found.groups()
        if left:
            self._positions.pop(name.encode(), None)
            return True
        position = None if place is None else parse_id(place)
        self._positions[name.encode()] = position
        return place is None or position is not None

    @property
    def broken(self) -> bool:
        """Whether it cannot be read."""
        return self._broken

    def knows(self, channel: str) -> bool:
        """Whether the stream of this id was in a channel; of an unreadable id: True."""
        return self._broken or _digest(channel) in self._positions

    def position(self, channel: str) -> StreamPosition | None:
        """Return the position of the stream of this id in a channel, None where there is none."""
        return None if self._broken else self._positions.get(_digest(channel))


class SseCodec:
    """Writes one event a publication; as on a plain WebSocket, the channel is not told."""

    name = "sse"
    # A comment, which browsers ignore.
    ping = Event(b":\n")

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the code that says why a stream ends."""
        return disconnect.code

    def encode(self, publication: Publication | JoinLeave) -> Event | None:
        """Return the event of a publication, None for a join or a leave."""
        return None if isinstance(publication, JoinLeave) else self._event(publication)

    def _event(self, publication: Publication) -> Event:
        lines = _payload_lines(publication.payload)
        if not publication.offset:  # it has no position
            return Event(lines)
        position = StreamPosition(publication.offset, publication.epoch)
        return Event(lines, token=position_token(publication.channel, position))

    def encode_part(self, publications: Sequence[Publication]) -> list[WireMessage]:
        """Return the events of some publications."""
        return [
            event for publication in publications if (event := self.encode(publication)) is not None
        ]

    def join_parts(self, parts: Sequence[list[WireMessage]]) -> list[WireMessage]:
        """Return the events of all parts."""
        return list(chain.from_iterable(parts))

    def frame(self, publication: Publication) -> bytes:
        """Return the event of a publication."""
        return self._event(publication).data

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return the messages as one."""
        return [_joined(_with_tokens(messages, ()), messages)]

    def start(
        self, retry: int, tokens: Sequence[bytes], gaps: Sequence[str], missed: list[WireMessage]
    ) -> Event:
        """Return the first events of a stream, or of a channel that a stream is subscribed to.

        Args:
            retry: milliseconds until the browser reconnects after a cut; 0 = as told before.
            tokens: the position token of each channel.
            gaps: the channels in which something may be missing.
            missed: the events of the publications that the client has missed.
        """
        lines = b"retry: %d\n" % retry if retry else b""
        if gaps:
            lines += _named_event("gap", {"channels": gaps})
        return _joined([Event(lines, tokens).data, *_with_tokens(missed, tokens)], missed)

    def welcome(self, session_id: str, ack: str) -> Event:
        """Return what tells a stream its session, and the token with which it confirms."""
        return Event(_named_event("welcome", {"session": session_id, "ack": ack}))

    def position(self, channel: str, position: StreamPosition | None) -> Event:
        """Return what makes the ids of a stream say that it stands there in a channel."""
        return Event(b"", token=position_token(channel, position))

    def unsubscribed(self, channel: str) -> Event:
        """Return what makes the ids of a stream forget a channel that it has left."""
        return Event(b"", [_digest(channel) + _UNSUBSCRIBED])

    def end(self, disconnect: Disconnect, retry: int) -> Event:
        """Return the last event of a stream: the reason, and when to reconnect or to stay away."""
        reason = {"code": self.close_code(disconnect), "reason": disconnect.reason}
        then = b"retry: %d\n" % retry if disconnect.reconnect else b"id: %b\n" % STAY_AWAY.encode()
        return Event(_named_event("disconnect", reason) + then)


def _with_tokens(messages: list[WireMessage], tokens: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the events of one message; the id of each has the tokens of those before it.

    The mark stands for the tokens of the stream before the whole message.
    """
    known = {token[:_DIGEST_CHARACTERS]: token for token in tokens}
    for event in cast(list[Event], messages):
        if event.token:
            known[event.token[:_DIGEST_CHARACTERS]] = event.token
            yield Event(event.lines, known.values()).data
        else:
            yield event.data


def _joined(parts: Iterable[bytes], messages: list[WireMessage]) -> Event:
    whole = Event(b"")
    whole.data = b"".join(parts)
    whole.size = len(whole.data)
    events = cast(list[Event], messages)
    whole.shared = [event.lines for event in events if len(event.lines) >= COMPRESS_FROM]
    return whole


def _named_event(name: str, data: Mapping[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n" % (name.encode(), orjson.dumps(data))


def _payload_lines(payload: Payload) -> bytes:
    data = payload.data
    if payload.kind == "binary":
        return b"event: binary\ndata: " + base64.b64encode(data) + b"\n"
    if MARK in data:  # a client published what is no text: as a browser would read it
        data = data.decode(errors="replace").encode()
    if b"\n" not in data and b"\r" not in data:
        return b"data: " + data + b"\n"
    # All three line ends count here (HTML, section 9.2.5); a browser joins the lines by "\n".
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join([b"data: %b\n" % line for line in lines])


CODEC = SseCodec()
