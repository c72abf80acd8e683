"""What clients may send, whatever the encoding: the commands and their fields.

Fields that are not declared are ignored, as the protocol wants. Some are declared only so that the
endpoint can refuse them, because they change what a command means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

from ...messages import Payload, StreamPosition
from ...schema import Present, Range

_Int32 = Annotated[int, Range(-(2**31), 2**31 - 1)]
_Int64 = Annotated[int, Range(-(2**63), 2**63 - 1)]
_UInt64 = Annotated[int, Range(0, 2**64 - 1)]

MAX_ID = 2**32 - 1

# Flag of a subscribe request: an error is the answer where the position cannot be recovered.
_FAIL_UNRECOVERABLE = 2


@dataclass(frozen=True)
class Position:
    """A position in a channel's stream."""

    offset: _UInt64 = 0
    epoch: str = ""

    @property
    def stream_position(self) -> StreamPosition:
        """The position as the broker knows it."""
        return StreamPosition(self.offset, self.epoch)


@dataclass(frozen=True)
class Subscribe:
    """A subscription to a channel, which may go on from a position."""

    channel: str = ""
    token: str = ""
    data: Payload | None = None
    recover: bool = False
    epoch: str = ""
    offset: _UInt64 = 0
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    flag: _Int64 = 0
    tf: Annotated[bool, Present] = False
    type: _Int32 = 0
    delta: str = ""

    @property
    def since(self) -> StreamPosition | None:
        """The position to recover from, None where the client does not ask for that."""
        return StreamPosition(self.offset, self.epoch) if self.recover else None

    @property
    def fails_unrecoverable(self) -> bool:
        """Whether an error is the answer where the position cannot be recovered."""
        return bool(self.flag & _FAIL_UNRECOVERABLE)


@dataclass(frozen=True)
class Connect:
    """The first command: who the client is, and the positions of its server-side subscriptions."""

    token: str = ""
    data: Payload | None = None
    subs: Mapping[str, Subscribe] = field(default_factory=dict)
    name: str = ""
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    flag: _Int64 = 0


@dataclass(frozen=True)
class Unsubscribe:
    """The end of a subscription."""

    channel: str = ""


@dataclass(frozen=True)
class Publish:
    """A publication to a channel."""

    channel: str = ""
    data: Payload | None = None
    type: _Int32 = 0
    key: str = ""
    removed: bool = False


@dataclass(frozen=True)
class Presence:
    """A question for who is in a channel, or for how many are."""

    channel: str = ""


@dataclass(frozen=True)
class History:
    """A question for a part of a channel's history."""

    channel: str = ""
    limit: _Int32 = 0
    since: Position | None = None
    reverse: bool = False


@dataclass(frozen=True)
class Rpc:
    """A call of ``on_rpc``."""

    data: Payload | None = None
    method: str = ""


@dataclass(frozen=True)
class Send:
    """A message to ``on_message``."""

    data: Payload | None = None


@dataclass(frozen=True)
class Refresh:
    """A new token of the connection."""

    token: str = ""


@dataclass(frozen=True)
class SubRefresh:
    """A new token of a subscription."""

    channel: str = ""
    token: str = ""
    type: _Int32 = 0


# What each method asks for. A command with several methods means the first of them.
REQUESTS: Mapping[str, type] = {
    "connect": Connect,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "publish": Publish,
    "presence": Presence,
    "presence_stats": Presence,
    "history": History,
    "rpc": Rpc,
    "send": Send,
    "refresh": Refresh,
    "sub_refresh": SubRefresh,
}

Request = TypeVar("Request")


@dataclass(slots=True)  # one is made for each command: a frozen one takes three times as long
class Command(Generic[Request]):
    """One command.

    Attributes:
        id: what the answer is sent with; 0 for a ``send`` and for a pong, which have none.
        method: one of ``REQUESTS``; empty for a pong.
        request: what is asked for; None for a pong.
        size: in bytes.
    """

    id: int
    method: str
    request: Request
    size: int


PONG = Command(0, "", None, 0)


def sparse(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not zero: the protocol leaves zero values out."""
    return {name: value for name, value in fields.items() if value or isinstance(value, Payload)}
