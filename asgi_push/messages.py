"""The data that passes between the floors, and that callers see: frozen and slotted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, NamedTuple

from .names import check_several

# What a full send queue leads to.
SlowConsumer = Literal["disconnect", "drop_oldest", "drop_newest"]


# Times from here on are in milliseconds: of this century those are all above it.
_YEAR_10000 = 253_402_300_800

# Event loops and Redis count no further than some hundred years, and Lua no further than this in whole numbers.
MAX_SECONDS = 100 * 365 * 24 * 60 * 60.0
MAX_WHOLE = 2**53

# What the bytes of a payload are. Words, not an Enum: the garbage collector leaves a tuple of bytes and words alone,
# and histories hold very many of them.
Kind = Literal["text", "binary", "json"]


class Payload:
    """Data as it travels: encoded once, whatever the number of receivers."""

    # Not a dataclass, like Publication: one of each is made for every publication, and a frozen dataclass takes three
    # times as long to make.
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
    """A place in a channel's stream.

    ``epoch`` names the life of the stream (a lost stream gets a new one); ``offset`` counts its publications from 1.
    """

    offset: int
    epoch: str


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """Who somebody in a channel is: the user, the session's id, and what the application says of both.

    ``conn_info`` is said of the session by ``authenticate``, ``chan_info`` of it in this channel by a subscription
    token; anything JSON.
    """

    user: str
    client: str
    conn_info: Any = None
    chan_info: Any = None


class Publication:
    """One item in a channel.

    ``offset`` is its place in the stream and ``epoch`` the stream's life, 0 and empty where the channel keeps no
    history. ``info`` is the client that published it, None for the application.
    """

    __slots__ = ("channel", "epoch", "info", "offset", "payload", "tags")

    def __init__(
        self,
        channel: str,
        payload: Payload,
        offset: int = 0,
        epoch: str = "",
        tags: Mapping[str, str] | None = None,
        info: ClientInfo | None = None,
    ) -> None:
        self.channel = channel
        self.payload = payload
        self.offset = offset
        self.epoch = epoch
        self.tags = tags
        self.info = info

    @property
    def size(self) -> int:
        """The bytes of its payload."""
        return len(self.payload.data)

    @property
    def data(self) -> Any:
        """What was published: a str, bytes, or the decoded JSON."""
        return self.payload.decode()

    def __repr__(self) -> str:
        return f"Publication(channel={self.channel!r}, offset={self.offset}, data={self.data!r})"


class JoinLeave:
    """Somebody came into a channel, or left it; told to those who are in it, and kept nowhere."""

    __slots__ = ("channel", "info", "joined")

    # What a publication has and a notice does not: neither a place in the stream nor a payload.
    offset = 0
    epoch = ""
    size = 0

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

    ``position`` is its place in the channel's stream, None where the channel keeps no history. ``receivers`` is the
    number of sessions that it was handed to, None when only the broker knows. Handed over is not delivered: a peer
    that vanished without a word is found only when its heartbeat stays out.
    """

    position: StreamPosition | None = None
    receivers: int | None = None


_new_tuple = tuple.__new__  # a NamedTuple's own takes three times as long


def published(offset: int, epoch: str, receivers: int) -> PublishResult:
    """Return the result of a publication that has its place in a stream."""
    position = _new_tuple(StreamPosition, (offset, epoch))
    return _new_tuple(PublishResult, (position, receivers))


@dataclass(frozen=True, slots=True)
class History:
    """Publications of a channel, and the top of its stream when they were read."""

    publications: list[Publication]
    position: StreamPosition


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How the channels of a namespace behave.

    ``history_size`` is a number of publications and ``history_ttl`` is in seconds since the last one; with either at 0
    the channel keeps no history. None means the setting of the same name. ``presence`` tells who is in the channel;
    ``join_leave`` tells the others when someone comes and goes.

    Raises:
        ValueError: a value is of another kind or negative, or a size has no time to be kept for.
    """

    history_size: int | None = None
    history_ttl: float | None = None
    presence: bool = False
    join_leave: bool = False

    def __post_init__(self) -> None:
        size, ttl = self.history_size, self.history_ttl
        if size is not None and not (_is_number(size, int) and 0 <= size <= MAX_WHOLE):
            raise ValueError(f"history_size: must be a whole number of at least 0, not {size!r:.80}")
        if ttl is not None and not (_is_number(ttl, int | float) and 0 <= ttl <= MAX_SECONDS):
            raise ValueError(f"history_ttl: must be a number of seconds of at least 0, not {ttl!r:.80}")
        for name in ("presence", "join_leave"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: must be True or False, not {getattr(self, name)!r:.80}")
        if size and ttl == 0:
            raise ValueError(f"history_ttl: must be above 0 for a history_size of {size}")


def _is_number(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a connection is, as ``authenticate`` may answer.

    ``user`` is empty for an anonymous connection. ``info`` is anything JSON, shown on the session. ``channels`` are
    subscribed to from the start. ``expires_at`` is a Unix time in seconds at which the session is closed (3005);
    an SDK client that came with a token is asked for a new one first, and has 25 seconds for that.

    Raises:
        ValueError: the user or a channel is no text, ``channels`` is one text and not several, or ``expires_at`` is no
            such time, as a datetime or milliseconds.
    """

    user: str = ""
    info: Any = None
    channels: tuple[str, ...] = field(default=())
    expires_at: float | None = None

    def __post_init__(self) -> None:
        if self.user is None:
            object.__setattr__(self, "user", "")
        channels = check_several("channels", self.channels)
        for name, value in [("user", self.user), *[("channels", channel) for channel in channels]]:
            if not isinstance(value, str):
                raise ValueError(f"{name}: must be text, not {value!r:.80}")
        object.__setattr__(self, "channels", tuple(channels))
        if self.expires_at is not None:
            _check_time(self.expires_at)


def _check_time(expires_at: float) -> None:
    if not _is_number(expires_at, int | float) or not -_YEAR_10000 < expires_at < _YEAR_10000:
        raise ValueError(f"expires_at: must be a Unix time in seconds, as clock.now() is, not {expires_at!r:.80}")
