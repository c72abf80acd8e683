"""What a request says: the fields of each method, and a JSON body made into them. Pure."""

from collections.abc import Mapping
from typing import Any

_POSITION = {"offset": 0, "epoch": ""}
_PUBLICATION: dict[str, Any] = {
    "data": None,
    "b64data": "",
    "skip_history": False,
    "tags": {str: ""},
    "idempotency_key": "",
}
_WHO = {"user": "", "client": "", "session": ""}  # the last two are one: this server gives a client one id, not two

# The fields of each method, with what stands for a field that is not there. None: anything JSON; a list holds what its
# item stands for; a dict of its own is an object; {str: ...} is a map. Fields that are not listed are ignored, as in
# all of this protocol.
FIELDS: dict[str, dict[str, Any]] = {
    "publish": {"channel": "", **_PUBLICATION},
    "broadcast": {"channels": [""], **_PUBLICATION},
    "subscribe": {**_WHO, "channel": "", "data": None, "recover_since": _POSITION},
    "unsubscribe": {**_WHO, "channel": ""},
    "disconnect": {**_WHO, "whitelist": [""], "disconnect": {"code": 0, "reason": ""}},
    "refresh": {**_WHO, "expired": False, "expire_at": 0},
    "presence": {"channel": ""},
    "presence_stats": {"channel": ""},
    "history": {"channel": "", "limit": 0, "since": _POSITION, "reverse": False},
    "history_remove": {"channel": ""},
    "channels": {"pattern": ""},
    "info": {},
    "sessions": {"user": "", "channel": "", "limit": 0},
    "drain": {"over": None},
}
BATCH: dict[str, Any] = {"commands": [{str: None}], "parallel": False}

METHODS = frozenset({*FIELDS, "batch"})


class Undecodable(Exception):
    """A body is not what its method takes; the message says where."""


Command = tuple[str, Mapping[str, Any]]


def decode(method: str, content: Any) -> Mapping[str, Any]:
    """Return every field of a method; for one that is absent or null, what stands for it.

    Raises:
        Undecodable: it is no object, or a field is of a wrong type.
    """
    return _fields("the body", FIELDS[method], content)


def decode_batch(content: Any) -> tuple[list[Command], bool]:
    """Return the commands of a batch, and whether they may run in parallel; the method of an unknown one is empty.

    Raises:
        Undecodable: any of them cannot be decoded.
    """
    fields = _fields("the body", BATCH, content)
    return [_command(item) for item in fields["commands"]], fields["parallel"]


def _command(item: Mapping[str, Any]) -> Command:
    method = next((name for name in FIELDS if name in item), "")
    return method, _fields(method, FIELDS[method], {} if item[method] is None else item[method]) if method else {}


def _fields(name: str, fields: Mapping[str, Any], content: Any) -> dict[str, Any]:
    content = _checked(name, dict, content)
    return {key: _value(key, default, content.get(key)) for key, default in fields.items()}


def _value(name: str, default: Any, value: Any) -> Any:
    if value is None:
        return _absent(default)
    if isinstance(default, list):
        return [_value(name, default[0], item) for item in _checked(name, list, value)]
    if isinstance(default, dict) and str in default:
        return {key: _value(name, default[str], item) for key, item in _checked(name, dict, value).items()}
    if isinstance(default, dict):
        return _fields(name, default, value)
    return value if default is None else _checked(name, type(default), value)


def _absent(default: Any) -> Any:
    if isinstance(default, list):
        return []
    if isinstance(default, dict):
        return {} if str in default else None
    return default


_KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number", bool: "true or false"}


def _checked(name: str, kind: type, value: Any) -> Any:
    if type(value) is not kind:  # True is an int, too
        raise Undecodable(f"{name} must be {_KINDS[kind]}")
    return value
