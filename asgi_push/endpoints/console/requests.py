"""What a console asks for, checked. Pure."""

from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import orjson

# Rows of one page; enough to fill a tall screen twice, few enough to be sent every second.
PAGE = 50

# The furthest row that can be paged to; who looks for something further away searches for it.
MAX_ROW = 10_000

_MAX_TEXT = 255  # of a search, a name, an id: what a channel's name may be long
_SORTS = ("newest", "oldest", "queue", "silent", "round_trip", "user")
_ORDERS = ("sessions", "name")


class Unclear(ValueError):
    """It cannot be understood; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class View:
    """What a console looks at: one of two lists with its search, order and page; one session, one channel, or none."""

    list: str = "sessions"
    search: str = ""
    channel: str = ""  # only the sessions of this one
    sort: str = "newest"
    order: str = "sessions"  # of the channels
    own: bool = False  # each user's channels, too
    page: int = 0
    open_session: str = ""
    open_channel: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """What a console wants done; ``number`` is what its answer goes by."""

    name: str
    number: int
    fields: dict[str, Any]


_ACTIONS: dict[str, dict[str, type]] = {
    "disconnect": {"session": str, "user": str},
    "publish": {"channel": str, "data": str, "json": bool},
    "drain": {"over": float},
}


def read(text: str) -> View | Action:
    """Return what a message of the page asks for.

    Raises:
        Unclear: no page of ours says that.
    """
    try:
        content = orjson.loads(text)
        if not isinstance(content, dict):
            raise Unclear("a message must be an object")
    except orjson.JSONDecodeError:
        raise Unclear("a message must be JSON") from None
    return _action(content) if "do" in content else _view(content)


def _view(content: dict[str, Any]) -> View:
    kinds = get_type_hints(View)
    given = {item.name: _checked(item.name, content[item.name], kinds[item.name]) for item in fields(View)
             if item.name in content}  # fmt: skip
    view = View(**given)
    for name, allowed in (("list", ("sessions", "channels")), ("sort", _SORTS), ("order", _ORDERS)):
        if getattr(view, name) not in allowed:
            raise Unclear(f"{name} must be one of {', '.join(allowed)}")
    if not 0 <= view.page <= MAX_ROW // PAGE:
        raise Unclear(f"page must be 0 to {MAX_ROW // PAGE}")
    return view


def _action(content: dict[str, Any]) -> Action:
    name, number = _checked("do", content["do"], str), _checked("number", content.get("number"), int)
    if name not in _ACTIONS:
        raise Unclear(f"do must be one of {', '.join(_ACTIONS)}")
    known = _ACTIONS[name]
    return Action(name, number, {key: _checked(key, content[key], known[key]) for key in known if key in content})


def _checked(name: str, value: Any, kind: type) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:  # True is an int, too
        raise Unclear(f"{name} must be {_WORDS[kind]}")
    if isinstance(value, str) and name != "data" and len(value) > _MAX_TEXT:
        raise Unclear(f"{name} must be at most {_MAX_TEXT} characters")
    return value


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
