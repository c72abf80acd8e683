"""What can be seen of a wrapped application: where it lives, and which of its routes nobody reaches any more."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import BaseRoute, Match

from .paths import NamedPath, check_path

# No stack of middlewares is so high; a circle is.
_MAX_WRAPPERS = 100


def root_path(app: Any) -> str:
    """Return the ``root_path`` that FastAPI sets for itself, which whoever wraps it does not see in the scope."""
    fastapi = sys.modules.get("fastapi")
    for found in _unwrapped(app):
        if fastapi is not None and isinstance(found, fastapi.FastAPI):
            return str(found.root_path)
    return ""


def hidden_routes(app: Any, kind: str, own: Iterable[str]) -> list[str]:
    """Return which of the paths in ``own`` are routes of a Starlette or FastAPI application, too.

    ``kind`` is the type of the scopes, http or websocket. A route that would take many paths, such as a
    single-page application's, is meant to leave some to others and does not count.
    """
    routes = _routes(app)
    return [path for path in own if any(_is_hidden(route, kind, NamedPath("", path)) for route in routes)]


def _unwrapped(app: Any) -> Iterator[Any]:
    for _ in range(_MAX_WRAPPERS):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


def _routes(app: Any) -> list[BaseRoute]:
    for found in _unwrapped(app):
        routes = getattr(found, "routes", None)
        if isinstance(routes, list):
            return [route for route in routes if isinstance(route, BaseRoute)]
    return []


def _is_hidden(route: BaseRoute, kind: str, own: NamedPath) -> bool:
    return _has_path(route, kind, own) or _takes(route, {"type": kind, "path": own.example}, own)


def _has_path(route: BaseRoute, kind: str, own: NamedPath) -> bool:
    """Whether the path of a single route is one of those that ``own`` stands for."""
    path = getattr(route, "path", None)
    if not isinstance(path, str) or hasattr(route, "routes") or hasattr(route, "methods") != (kind == "http"):
        return False
    try:
        check_path(path)
    except ValueError:
        return False
    return own.matches(NamedPath("", path).example) and not _is_wide(path)


def _is_wide(path: str) -> bool:
    return ":path}" in path


def _takes(route: BaseRoute, scope: dict[str, Any], own: NamedPath) -> bool:
    """Whether a route, or one below it, answers to a path, and not to just any."""
    whole = {"root_path": "", "method": "GET", "headers": [], "path_params": {}, **scope}
    match, child = route.matches(whole)
    if match is Match.NONE:
        return False
    below = getattr(route, "routes", None)
    if below is not None:  # a mounted application; of one without routes, such as files, nothing is known
        return any(_takes(item, {**whole, **child}, own) for item in below)
    values = child.get("path_params") or {}
    return len(values) <= own.path.count("{") and not any("/" in str(value) for value in values.values())
