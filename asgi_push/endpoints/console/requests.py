"""What a console asks for, decoded and checked. Pure."""

from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from ...runner.processes.view import VIEW, Text, View
from ...schema import Decoder, Invalid

# The answer to an action carries its number. A field that an action needs may be missing here: that
# is answered as any other failure, and does not end the connection.


@dataclass(frozen=True, slots=True)
class DisconnectAction:
    """Close a session, or all sessions of a user."""

    name: ClassVar = "disconnect"

    number: int
    session: Text = ""
    user: Text = ""


@dataclass(frozen=True, slots=True)
class PublishAction:
    """Publish text, or the JSON that it holds, to a channel."""

    name: ClassVar = "publish"

    number: int
    channel: Text | None = None
    data: str | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class DrainAction:
    """Drain a process over so many seconds, this one if none is named."""

    name: ClassVar = "drain"

    number: int
    over: float | None = None
    process: Text = ""


Action = DisconnectAction | PublishAction | DrainAction

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
        return VIEW.decode(content)
    name = content["do"]
    if not isinstance(name, str) or name not in _ACTIONS:
        raise Invalid("do", f"must be one of {', '.join(_ACTIONS)}")
    action: Action = _ACTIONS[name].decode(content)
    return action
