"""What is said where direct writes are on and uvicorn serves, but the ``send`` is not one that is known."""

import logging
import math
import sys
import time
from collections.abc import Sequence
from types import MethodType
from typing import Any

from ..logs import RateLimit

_once = RateLimit(math.inf)

_WRAPPED = (
    "direct writes are off, as %s wraps the send of uvicorn: a message costs several times as much."
    " Put PushMiddleware outside of it: app = PushMiddleware(app), or add_middleware after it"
)
_UNKNOWN = (
    "direct writes are off, as this uvicorn's %s is not as it was: a message costs several times as"
    " much. Look for a newer asgi-push, or an older uvicorn"
)


def tell_why_not_direct(send: Any, modules: Sequence[str], needed: Sequence[str]) -> None:
    """Log why there are no direct writes past ``send`` where these modules of uvicorn serve.

    Args:
        send: what was not recognised.
        modules: those of which a class has the ``send`` of uvicorn itself.
        needed: the attributes that an object of such a class must have to be known.
    """
    if not any(module in sys.modules for module in modules):
        return
    owner = send.__self__ if isinstance(send, MethodType) else send
    kind = owner if hasattr(owner, "__qualname__") else type(owner)
    name = f"{kind.__module__}.{kind.__qualname__.partition('.<locals>')[0]}"
    if not kind.__module__.startswith("uvicorn."):
        _once.log(logging.WARNING, time.monotonic(), _WRAPPED, name)
    elif kind.__module__ in modules and any(not hasattr(owner, item) for item in needed):
        _once.log(logging.WARNING, time.monotonic(), _UNKNOWN, name)
