"""Where an application finds its ``Push``."""

from collections.abc import Mapping
from typing import Any, overload

from starlette.requests import HTTPConnection

from .logs import logger
from .push import Push


def install(app: Any, push: Push) -> bool:
    """Put ``push`` where an application object keeps such things; return False if it has another.

    The other one stays. A bound method stands for its object, as in Quart.
    """
    owner = getattr(app, "__self__", app)
    extensions = getattr(owner, "extensions", None)
    if isinstance(extensions, dict):
        extensions.setdefault("push", push)
    state = getattr(owner, "state", None)
    found = getattr(state, "push", None)
    if state is not None and found is None:
        try:
            state.push = push
        except (AttributeError, TypeError):  # this framework's state takes no attributes
            logger.debug("the state of %s takes no attribute", type(owner).__name__)
    return not isinstance(found, Push) or found is push


@overload
def get_push(source: HTTPConnection) -> Push: ...


@overload
def get_push(source: Any) -> Push: ...


# It takes any source. The annotation tells FastAPI what to give to ``Depends(get_push)``.
def get_push(source: HTTPConnection) -> Push:
    """Return the ``Push`` of a scope, a request, a WebSocket or an application.

    Raises:
        LookupError: no PushMiddleware has put one there.
    """
    for found in _places(source):
        if isinstance(found, Push):
            return found
    raise LookupError("no push here: wrap the application with PushMiddleware")


def _places(source: Any) -> list[Any]:
    scope = source if isinstance(source, Mapping) else getattr(source, "scope", None)
    if isinstance(scope, Mapping):
        return [(scope.get("state") or {}).get("push"), *_places_of_app(scope.get("app"))]
    return _places_of_app(source)


def _places_of_app(app: Any) -> list[Any]:
    extensions = getattr(app, "extensions", None)
    kept = extensions.get("push") if isinstance(extensions, dict) else None
    return [getattr(getattr(app, "state", None), "push", None), kept, getattr(app, "push", None)]
