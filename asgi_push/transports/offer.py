"""The server's own ``send``, offered to the application as an extension of the scope.

No wrapper of ``send`` hides it.
"""

from collections.abc import Awaitable
from typing import Any
from weakref import WeakMethod

from starlette.types import ASGIApp, Receive, Scope, Send

_EXTENSION = "asgi_push.send"


class Offering:
    """An application that finds the ``send`` it was called with among the extensions, too."""

    __slots__ = ("_app",)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Weak: the server's object has the scope. In a circle neither would be freed at once.
        scope.setdefault("extensions", {})[_EXTENSION] = {"send": WeakMethod(send)}
        return self._app(scope, receive, send)


def take_offered(scope: Scope) -> Any:
    """Return the ``send`` that is offered in a scope, once; None if none is."""
    extension = (scope.get("extensions") or {}).pop(_EXTENSION, None)
    return None if extension is None else extension["send"]()
