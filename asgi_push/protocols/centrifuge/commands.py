"""What clients may say, whatever the encoding: the commands, their fields, and what is wrong with one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...messages import Payload

# Stands for a field of which only that it is there is of interest; its value is True or False.
ANY: Any = ...

# The fields of each command, with what stands for a field that is not there. None: a payload; a dict of its own is a
# message; {str: ...} is a map. Fields that are not listed are ignored, as the protocol wants. Some are listed only to
# be refused (sdk/refused.py), as they change what a command means.
_SUBSCRIBE: dict[str, Any] = {
    "channel": "",
    "token": "",
    "data": None,
    "recover": False,
    "epoch": "",
    "offset": 0,
    "positioned": False,
    "recoverable": False,
    "join_leave": False,
    "flag": 0,
    "tf": ANY,
    "type": 0,
    "delta": "",
}
FIELDS: dict[str, dict[str, Any]] = {
    "connect": {
        "token": "",
        "data": None,
        "subs": {str: _SUBSCRIBE},
        "name": "",
        "version": "",
        "headers": {str: ""},
        "flag": 0,
    },
    "subscribe": _SUBSCRIBE,
    "unsubscribe": {"channel": ""},
    "publish": {"channel": "", "data": None, "type": 0, "key": "", "removed": False},
    "presence": {"channel": ""},
    "presence_stats": {"channel": ""},
    "history": {"channel": "", "limit": 0, "since": {"offset": 0, "epoch": ""}, "reverse": False},
    "rpc": {"data": None, "method": ""},
    "send": {"data": None},
    "refresh": {"token": ""},
    "sub_refresh": {"channel": "", "token": "", "type": 0},
}

MAX_ID = 2**32 - 1


class Violation(Exception):
    """A client broke the protocol: its connection is closed as a bad request, with this reason."""


class ErrorCode:
    """Codes of errors that answer a command."""

    INTERNAL = (100, "internal server error", True)
    PERMISSION_DENIED = (103, "permission denied", False)
    METHOD_NOT_FOUND = (104, "method not found", False)
    ALREADY_SUBSCRIBED = (105, "already subscribed", False)
    LIMIT_EXCEEDED = (106, "limit exceeded", False)
    BAD_REQUEST = (107, "bad request", False)
    NOT_AVAILABLE = (108, "not available", False)
    TOKEN_EXPIRED = (109, "token expired", False)
    # To connect and to subscribe the SDKs come with another token after the above. At a refresh they end it all for an
    # error that is not temporary, and fetch another token after one that is.
    REFRESH_EXPIRED = (109, "token expired", True)
    UNRECOVERABLE_POSITION = (112, "unrecoverable position", False)


class CommandError(Exception):
    """A command is answered with an error.

    Attributes:
        error: its code, its message, and whether trying again may help.
    """

    def __init__(self, error: tuple[int, str, bool]) -> None:
        super().__init__(error[1])
        self.error = error


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``id`` is 0 for a ``send`` and for a pong, whose ``method`` is empty.

    ``params`` has every field of ``FIELDS`` for the method; payloads are ``Payload`` or None.
    """

    id: int
    method: str
    params: Mapping[str, Any]
    size: int


PONG = Command(0, "", {}, 0)


def sparse(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not zero: the protocol leaves zero values out."""
    return {name: value for name, value in fields.items() if value or isinstance(value, Payload)}
