"""The application that a command is told of: imported as a server would, and its ``Push``."""

import importlib
import os
import sys
from typing import Any

from asgi_push import Push, PushMiddleware, get_push

from .failures import Failed

# Where applications and middlewares keep the application inside of them.
_INSIDE = ("app", "asgi_app", "asgi_handler", "application")

# Middlewares that are looked through before there is taken to be no end.
_DEEP = 100


def find_push(target: str) -> Push:
    """Return the ``Push`` of an application, of which ``module:name`` is given as to a server.

    ``module:name()`` calls what makes the application.

    Raises:
        Failed: it cannot be imported, or no PushMiddleware wraps it.
        SettingsError: the application's settings cannot be used.
    """
    return find_application(target)[1]


def find_application(target: str) -> tuple[Any, Push]:
    """Return an application and its ``Push``; the rest is as for ``find_push``."""
    app = _import(target)
    # Starlette makes its middlewares at the first request.
    build = getattr(app, "build_middleware_stack", None)
    found = _look_through(app) or (_look_through(build()) if callable(build) else None)
    if found is not None:
        return app, found
    try:
        return app, get_push(app)
    except LookupError:
        raise Failed(f"{target}: no PushMiddleware wraps it") from None


def _import(target: str) -> Any:
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise Failed(f"{target}: must be like main:app, a module and a name in it")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as servers do
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise Failed(f"{target}: there is no module {error.name}") from None
    for part in name.removesuffix("()").split("."):
        if not hasattr(found, part):
            raise Failed(f"{target}: {module_name} has no {part}")
        found = getattr(found, part)
    return found() if name.endswith("()") else found


def _look_through(app: Any) -> Push | None:
    """Return the ``Push`` of the outermost PushMiddleware among the applications in each other."""
    for _ in range(_DEEP):
        if isinstance(app, PushMiddleware):
            return app.push
        inside = (getattr(app, name, None) for name in _INSIDE)
        app = next((found for found in inside if found is not None), None)
        if app is None:
            return None
    return None
