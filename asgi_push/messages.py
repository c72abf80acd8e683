"""The data that modules and callers exchange: frozen or slotted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote

# What a full send queue leads to.
SlowConsumer = Literal["disconnect", "drop_oldest", "drop_newest"]

# What answers the text ``ping`` (plain protocol).
Pong = Literal["pong", "echo"]

# Whether publications are compressed for clients that agreed to it.
Compression = Literal["auto", "off"]

# What becomes of a user who has one session too many.
WhenExceeded = Literal["refuse", "replace"]


# Event loops and Redis count no further than some hundred years, Lua no further than 2**53.
MAX_SECONDS = 100 * 365 * 24 * 60 * 60.0

# A setting of less can only be a wrong unit or a slip: no timer is as precise on a busy server, an
# answer over a network takes longer, and Redis would round a life below a millisecond to none.
MIN_SECONDS = 0.01
MAX_WHOLE = 2**53

# What the bytes of a payload are. These are words and not an Enum: the garbage collector skips a
# tuple of bytes and words, and histories hold very many of them.
Kind = Literal["text", "binary", "json"]

# Who waits until clients confirm a publication: its publisher, or its user's inbox, and maybe the
# publisher, too.
AwaitedBy = Literal["publisher", "inbox"]


class Payload:
    """Data as it travels: encoded once, whatever the number of receivers."""

    # Neither this nor Publication is a dataclass: one of each is made for every publication, and a
    # frozen dataclass takes three times as long.
    __slots__ = ("data", "kind")

    def __init__(self, kind: Kind, data: bytes) -> None:
        self.kind = kind
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and (self.kind, self.data) == (other.kind, other.data)

    def __hash__(self) -> int:
        return hash((self.kind, self.data))

    def __repr__(self) -> str:
        return f"Payload({self.kind}, {self.data!r})"

    def decode(self) -> Any:
        """Return what was published: a str, bytes, or the decoded JSON."""
        if self.kind == "binary":
            return self.data
        return self.data.decode() if self.kind == "text" else _loads(self.data)


def _loads(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:  # a number of more digits than Python reads
        return json.loads(data, parse_int=_number)


def _number(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


class StreamPosition(NamedTuple):
    """A position in a channel's stream.

    ``offset`` counts the publications from 1. ``epoch`` names the life of the stream: a stream that
    was lost begins again with a new one.
    """

    offset: int
    epoch: str


# A position as text, such as 7.Xk3: the offset, and the epoch percent-encoded. Pages keep it.
_ID = re.compile(r"(\d{1,18})\.([\w%.~-]+)", re.ASCII)


def position_id(position: StreamPosition) -> str:
    """Return a position as text, which ``parse_id`` reads."""
    return f"{position.offset}.{_quoted(position.epoch)}"


def parse_id(text: str) -> StreamPosition | None:
    """Return the position that a text is, None for a text that is none."""
    found = _ID.fullmatch(text)
    return None if found is None else StreamPosition(int(found[1]), unquote(found[2]))


@lru_cache(1024)  # of the epochs of busy channels: one is quoted for each publication
def _quoted(epoch: str) -> str:
    # Most are letters and digits alone, and this takes a tenth of the time.
    return epoch if epoch.isalnum() and epoch.isascii() else quote(epoch, safe="")


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A session in a channel: its user, its id, and what the application says of it.

    ``conn_info`` is what ``authenticate`` says of the session. ``chan_info`` is what a subscription
    token says of it in this channel. Both are anything JSON.
    """

    user: str
    client: str
    conn_info: Any = None
    chan_info: Any = None


class Publication:
    """One item in a channel.

    ``offset`` is its number in the stream and ``epoch`` names the life of the stream; they are 0
    and empty where the channel keeps no history. ``time`` is when the broker took it, a Unix time
    in seconds, None where that is not known. ``info`` is the client that published it, None for the
    application. ``awaited_by`` says who waits until clients confirm it, None if nobody does.
    ``trace`` is the ``traceparent`` of its publisher if tracing is on and samples it; no client is
    sent it.
    """

    __slots__ = (
        "awaited_by", "channel", "epoch", "info", "offset", "payload", "tags", "time", "trace",
    )  # fmt: skip

    def __init__(
        self,
        channel: str,
        payload: Payload,
        offset: int = 0,
        epoch: str = "",
        tags: Mapping[str, str] | None = None,
        info: ClientInfo | None = None,
        time: float | None = None,
        awaited_by: AwaitedBy | None = None,
    ) -> None:
        self.channel = channel
        self.payload = payload
        self.offset = offset
        self.epoch = epoch
        self.tags = tags
        self.info = info
        self.time = time
        self.awaited_by = awaited_by
        self.trace: str | None = None

    @property
    def id(self) -> str | None:
        """Its position as text, the same for all who get it; None in a channel without history."""
        return position_id(StreamPosition(self.offset, self.epoch)) if self.offset else None

    @property
    def size(self) -> int:
        """How many bytes its payload has."""
        return len(self.payload.data)

    @property
    def data(self) -> Any:
        """What was published: a str, bytes, or the decoded JSON."""
        return self.payload.decode()

    def __repr__(self) -> str:
        return f"Publication(channel={self.channel!r}, offset={self.offset}, data={self.data!r})"


class JoinLeave:
    """A session joined a channel or left it. It goes to the members and into no history."""

    __slots__ = ("channel", "info", "joined")

    # It has no position in the stream, no payload and no trace, and nobody confirms it.
    offset = 0
    epoch = ""
    size = 0
    trace = None
    awaited_by = None

    def __init__(self, channel: str, info: ClientInfo, *, joined: bool) -> None:
        self.channel = channel
        self.info = info
        self.joined = joined


@dataclass(frozen=True, slots=True)
class PresenceStats:
    """How many sessions and different users are in a channel."""

    num_clients: int
    num_users: int


class PublishResult(NamedTuple):
    """What became of a publication.

    ``position`` is its position in the channel's stream, None if the channel keeps no history.
    ``receivers`` is the number of sessions that it was handed to, None if only the broker knows.
    Handed over is not delivered: a peer that vanished is found only when its heartbeat is missing.
    ``confirmed`` is the ids of the sessions that said in time that they have it, if ``confirm`` was
    given; ``receivers`` is then known, over all processes.
    """

    position: StreamPosition | None = None
    receivers: int | None = None
    confirmed_by: tuple[str, ...] = ()

    @property
    def confirmed(self) -> list[str]:
        """The ids of the sessions that confirmed it, in whichever process; empty if not asked."""
        return list(self.confirmed_by)


_new_tuple = tuple.__new__  # a NamedTuple's own constructor takes three times as long


def published(offset: int, epoch: str, receivers: int) -> PublishResult:
    """Return the result of a publication that has a position in a stream."""
    position = _new_tuple(StreamPosition, (offset, epoch))
    return _new_tuple(PublishResult, (position, receivers, ()))


@dataclass(frozen=True, slots=True)
class History:
    """Publications of a channel, and the position of its latest when they were read."""

    publications: list[Publication]
    position: StreamPosition

    @property
    def id(self) -> str:
        """The position as text: a page that is given it goes on from there, by ``?since=``."""
        return position_id(self.position)


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How the channels of a namespace behave.

    ``history_size`` is a number of publications, ``history_ttl`` is in seconds after the last one.
    If one of them is 0 the channel keeps no history; None means the setting of the same name. The
    shortest time is 0.01 s.
    ``presence`` makes known who is in the channel. ``join_leave`` tells the members when a session
    joins or leaves.

    Raises:
        ValueError: a value has another type or is negative, the time is shorter than that, or
            there is a size with a time of 0.
    """

    history_size: int | None = None
    history_ttl: float | None = None
    presence: bool = False
    join_leave: bool = False

    def __post_init__(self) -> None:
        size = self.history_size
        ttl = self.history_ttl
        if size is not None and not (_is_number(size, int) and 0 <= size <= MAX_WHOLE):
            raise ValueError(
                f"history_size: must be a whole number of at least 0, not {size!r:.80}"
            )
        if ttl is not None and not (_is_number(ttl, int | float) and _is_ttl(ttl)):
            raise ValueError(
                "history_ttl: must be 0 or a number of seconds of at least "
                f"{MIN_SECONDS}, not {ttl!r:.80}"
            )
        for name in ("presence", "join_leave"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: must be True or False, not {getattr(self, name)!r:.80}")
        if size and ttl == 0:
            raise ValueError(f"history_ttl: must be above 0 for a history_size of {size}")


def _is_number(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_ttl(seconds: float) -> bool:
    return seconds == 0 or MIN_SECONDS <= seconds <= MAX_SECONDS
