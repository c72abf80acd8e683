"""What a console asks for, decoded and checked. Pure."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import orjson

from ...schema import Decoder, Invalid, MaxLength, Range

# Rows of one page: enough to fill a tall screen twice, few enough to be sent every second.
PAGE = 50

# The last row that can be paged to; people search for what is further away.
MAX_ROW = 10_000

# A search, a name or an id: as long as the name of a channel may be.
_Text = Annotated[str, MaxLength(255)]


@dataclass(frozen=True, slots=True)
class View:
    """What a console shows: one page of one list, and the session and the channel that are open."""

    list: Literal["sessions", "channels"] = "sessions"
    search: _Text = ""
    channel: _Text = ""  # only the sessions in this one
    sort: Literal["newest", "oldest", "queue", "silent", "round_trip", "user"] = "newest"
    order: Literal["sessions", "name"] = "sessions"  # of the channels
    own: bool = False  # list each user's own channel too
    page: Annotated[int, Range(0, MAX_ROW // PAGE)] = 0
    open_session: _Text = ""
    open_channel: _Text = ""


# The answer to an action carries its number. A field that an action needs may be missing here: that
# is answered as any other failure, and does not end the connection.


@dataclass(frozen=True, slots=True)
class DisconnectAction:
    """Close a session, or all sessions of a user."""

    name: ClassVar = "disconnect"

    number: int
    session: _Text = ""
    user: _Text = ""


@dataclass(frozen=True, slots=True)
class PublishAction:
    """Publish text, or the JSON that it holds, to a channel."""

    name: ClassVar = "publish"

    number: int
    channel: _Text | None = None
    data: str | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class DrainAction:
    """Drain this process over so many seconds."""

    name: ClassVar = "drain"

    number: int
    over: float | None = None


Action = DisconnectAction | PublishAction | DrainAction

_VIEW = Decoder(View, "a message")
_ACTIONS: dict[str, Decoder[Any]] = {
    record.name: Decoder(record) for record in (DisconnectAction, PublishAction, DrainAction)
}


def read(text: str) -> View | Action:
    """Return what a message of the page asks for.

    Raises:
        Invalid: the console's own page sends no such message.
    """
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid("a message", "must be JSON") from None
    if not isinstance(content, dict) or "do" not in content:
        return _VIEW.decode(content)
    name = content["do"]
    if not isinstance(name, str) or name not in _ACTIONS:
        raise Invalid("do", f"must be one of {', '.join(_ACTIONS)}")
    action: Action = _ACTIONS[name].decode(content)
    return action
