"""What the wrapped application says of itself: its root path, and its routes that are hidden."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import BaseRoute, Match

from .paths import NamedPath, check_path

# No application has as many middlewares; only wrappers that form a circle have.
_MAX_WRAPPERS = 100


def root_path(app: Any) -> str:
    """Return the ``root_path`` that FastAPI sets inside itself, which the scope does not show."""
    fastapi = sys.modules.get("fastapi")
    for found in _unwrapped(app):
        if fastapi is not None and isinstance(found, fastapi.FastAPI):
            return str(found.root_path)
    return ""


def hidden_routes(app: Any, kind: str, own: Iterable[str]) -> list[str]:
    """Return those paths of ``own`` that are routes of a Starlette or FastAPI application too.

    ``kind`` is the type of the scopes, http or websocket. A route for very many paths, such as that
    of a single-page application, does not count: it is meant to leave some to others.
    """
    routes = _routes(app)
    return [
        path
        for path in own
        if any(_is_hidden(route, kind, NamedPath("", path)) for route in routes)
    ]


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
    """Return whether the path of a single route is one that ``own`` matches."""
    path = getattr(route, "path", None)
    if (
        not isinstance(path, str)
        or hasattr(route, "routes")
        or hasattr(route, "methods") != (kind == "http")
    ):
        return False
    try:
        check_path(path)
    except ValueError:
        return False
    return own.matches(NamedPath("", path).example) and not _is_wide(path)


def _is_wide(path: str) -> bool:
    return ":path}" in path


def _takes(route: BaseRoute, scope: dict[str, Any], own: NamedPath) -> bool:
    """Return whether a route, or one below it, matches a path, but not almost any path."""
    whole = {"root_path": "", "method": "GET", "headers": [], "path_params": {}, **scope}
    match, child = route.matches(whole)
    if match is Match.NONE:
        return False
    below = getattr(route, "routes", None)
    # A mounted application; of one without routes, such as files, nothing is known.
    if below is not None:
        return any(_takes(item, {**whole, **child}, own) for item in below)
    values = child.get("path_params") or {}
    return len(values) <= own.path.count("{") and not any(
        "/" in str(value) for value in values.values()
    )
