"""The fields of each method, and a JSON body decoded into them. Pure.

A field that is absent or null gets its default; fields that are not declared are ignored, as
everywhere in this protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...schema import Decoder


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a channel's stream."""

    offset: int = 0
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class CloseReason:
    """With what a session is closed."""

    code: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PublishFields:
    """Fields of ``publish``."""

    channel: str = ""
    data: Any = None
    b64data: str = ""
    skip_history: bool = False
    tags: Mapping[str, str | None] = field(default_factory=dict)
    idempotency_key: str = ""
    confirm: Any = None  # a number of seconds, which may be written in any way
    inbox: bool = False
    undelivered_after: Any = None  # the same


@dataclass(frozen=True, slots=True)
class BroadcastFields:
    """Fields of ``broadcast``."""

    channels: tuple[str | None, ...] = ()
    data: Any = None
    b64data: str = ""
    skip_history: bool = False
    tags: Mapping[str, str | None] = field(default_factory=dict)
    idempotency_key: str = ""
    confirm: Any = None  # as in publish
    inbox: bool = False
    undelivered_after: Any = None  # the same


@dataclass(frozen=True, slots=True)
class Target:
    """Which sessions a method is about: all of a user's, or one of them.

    ``client`` and ``session`` both are the session's id: this server gives a client only one.
    """

    user: str = ""
    client: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class SubscribeFields(Target):
    """Fields of ``subscribe``."""

    channel: str = ""
    data: Any = None
    recover_since: Position | None = None


@dataclass(frozen=True, slots=True)
class UnsubscribeFields(Target):
    """Fields of ``unsubscribe``."""

    channel: str = ""


@dataclass(frozen=True, slots=True)
class DisconnectFields(Target):
    """Fields of ``disconnect``."""

    whitelist: tuple[str | None, ...] = ()
    disconnect: CloseReason | None = None


@dataclass(frozen=True, slots=True)
class RefreshFields(Target):
    """Fields of ``refresh``."""

    expired: bool = False
    expire_at: int = 0


@dataclass(frozen=True, slots=True)
class ChannelName:
    """Fields of ``presence``, ``presence_stats`` and ``history_remove``."""

    channel: str = ""


@dataclass(frozen=True, slots=True)
class UserName:
    """Fields of ``inbox`` and ``clear_inbox``."""

    user: str = ""


@dataclass(frozen=True, slots=True)
class AskFields(Target):
    """Fields of ``ask``."""

    data: Any = None
    b64data: str = ""
    timeout: Any = 5.0  # a number of seconds, which may be written in any way


@dataclass(frozen=True, slots=True)
class HistoryFields:
    """Fields of ``history``."""

    channel: str = ""
    limit: int = 0
    since: Position | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class ChannelsFields:
    """Fields of ``channels``."""

    pattern: str = ""


@dataclass(frozen=True, slots=True)
class InfoFields:
    """``info`` has no fields."""


@dataclass(frozen=True, slots=True)
class SessionsFields:
    """Fields of ``sessions``."""

    user: str = ""
    channel: str = ""
    limit: int = 0
    process: str = ""  # the id of the only one that is asked


@dataclass(frozen=True, slots=True)
class DrainFields:
    """Fields of ``drain``."""

    process: str = ""  # the id of the one that is drained; empty for the one that answers
    over: Any = None  # a number of seconds, which may be written in any way


@dataclass(frozen=True, slots=True)
class BatchFields:
    """Fields of ``batch``."""

    commands: tuple[Mapping[str, Any] | None, ...] = ()
    parallel: bool = False


FIELDS: dict[str, type] = {
    "publish": PublishFields,
    "broadcast": BroadcastFields,
    "ask": AskFields,
    "subscribe": SubscribeFields,
    "unsubscribe": UnsubscribeFields,
    "disconnect": DisconnectFields,
    "refresh": RefreshFields,
    "presence": ChannelName,
    "presence_stats": ChannelName,
    "history": HistoryFields,
    "history_remove": ChannelName,
    "inbox": UserName,
    "clear_inbox": UserName,
    "channels": ChannelsFields,
    "info": InfoFields,
    "sessions": SessionsFields,
    "drain": DrainFields,
}

METHODS = frozenset({*FIELDS, "batch"})

# The same fields twice: errors call the object "the body", or by its method in a batch.
_Decoders = dict[str, Decoder[Any]]
_BODIES: _Decoders = {name: Decoder(record) for name, record in FIELDS.items()}
_COMMANDS: _Decoders = {name: Decoder(record, name) for name, record in FIELDS.items()}
_BATCH = Decoder(BatchFields)


class Command(NamedTuple):
    """One command of a request; ``method`` is empty if there is no such method."""

    method: str
    fields: Any


def decode(method: str, content: Any) -> Command:
    """Return the command of a request to a method that is not ``batch``.

    Raises:
        Invalid: it is no object, or a field has a wrong type.
    """
    return Command(method, _BODIES[method].decode(content))


def decode_batch(content: Any) -> tuple[list[Command], bool]:
    """Return the commands of a batch, and whether they may run in parallel.

    Raises:
        Invalid: any of them cannot be decoded.
    """
    batch = _BATCH.decode(content)
    return [_command(item or {}) for item in batch.commands], batch.parallel


def _command(item: Mapping[str, Any]) -> Command:
    method = next((name for name in FIELDS if name in item), "")
    if not method:
        return Command("", None)
    content = item[method]
    return Command(method, _COMMANDS[method].decode({} if content is None else content))
