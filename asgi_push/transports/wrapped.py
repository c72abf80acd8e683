"""The server's ``send`` behind the one that a middleware made, and the log line about its cost."""

import logging
import math
import sys
from collections.abc import Iterator, Sequence
from types import CellType, FunctionType, MethodType
from typing import Any

from .. import clock
from ..logs import RateLimit

_once = RateLimit(math.inf)

_WRAPPED = (
    "direct writes are off, as %s wraps the send of uvicorn: a message costs several times as much."
    " Put PushMiddleware outside of it: app = PushMiddleware(app), or add_middleware after it"
)
_OR_BY_NAME = _WRAPPED + ". Or run uvicorn --ws asgi_push.uvicorn:WebSocketProtocol"
_UNKNOWN = (
    "direct writes are off, as this uvicorn's %s is not that of uvicorn 0.52.1 to 0.54: a message"
    " costs several times as much. Use one of these, or look for a newer asgi-push"
)


# The most objects that are searched for a wrapped ``send``, at each accept.
_MOST = 50


def tell_why_not_direct(
    send: Any, modules: Sequence[str], needed: Sequence[str], *, by_name: bool = False
) -> None:
    """Log why there are no direct writes past ``send``, if it is uvicorn's or leads to uvicorn's.

    Args:
        send: a ``send`` that was not recognised.
        modules: the modules of uvicorn whose classes have a ``send``.
        needed: the attributes that an object of such a class must have for direct writes.
        by_name: whether a protocol of ours can be named in the place of uvicorn's.
    """
    owner = behind(send, modules)
    if owner is None:
        return
    if not _is_of(send, modules):
        message = _OR_BY_NAME if by_name else _WRAPPED
        _once.log(logging.WARNING, clock.monotonic(), message, _name(send))
    elif any(not hasattr(owner, name) for name in needed):
        _once.log(logging.WARNING, clock.monotonic(), _UNKNOWN, _name(send))


def _is_of(send: Any, modules: Sequence[str]) -> bool:
    if not isinstance(send, MethodType):
        return False
    return any(cls.__module__ in modules for cls in type(send.__self__).__mro__)


def behind(send: Any, modules: Sequence[str]) -> Any:
    """Return the server's object that ``send`` is a method of or leads to; None if there is none.

    Its class is in one of ``modules``. A wrapper has it in its closure, arguments or attributes.
    """
    if sys.modules.keys().isdisjoint(modules):
        return None
    seen = [send]
    for place in range(_MOST):
        if place >= len(seen):
            return None
        if _is_of(seen[place], modules):
            return seen[place].__self__
        seen += filter(callable, _held_by(seen[place]))
    return None


def _held_by(function: Any) -> Iterator[Any]:
    cells = getattr(function, "__closure__", None) or ()
    yield from (cell.cell_contents for cell in cells if cell != CellType())
    yield from getattr(function, "args", ())
    yield getattr(function, "func", None)
    yield from getattr(getattr(function, "__self__", function), "__dict__", {}).values()


def _name(send: Any) -> str:
    if isinstance(send, FunctionType):  # its own name: functools.wraps gives it that of another
        name = send.__code__.co_qualname
        return f"{send.__globals__.get('__name__')}.{name.partition('.<locals>')[0]}"
    owner = send.__self__ if isinstance(send, MethodType) else send
    kind = owner if hasattr(owner, "__qualname__") else type(owner)
    return f"{kind.__module__}.{kind.__qualname__.partition('.<locals>')[0]}"
