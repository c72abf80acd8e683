"""The paths that the middleware takes, and the endpoint that serves each."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from .core import Core
from .endpoints.centrifuge.endpoint import serve_sdk
from .endpoints.health import serve_health
from .endpoints.plain.endpoint import serve_websocket
from .settings import Settings
from .transports.websocket import WebSocketTransport

# What is left to do for a scope: to await this, or to receive for this session to its end.
Served = Awaitable[None] | WebSocketTransport

Serve = Callable[[Core, Scope, Receive, Send, Mapping[str, Any]], Awaitable[Served | None]]


class EndpointPath:
    """One path in Starlette's syntax, and what serves it."""

    def __init__(self, path: str, serve: Serve) -> None:
        self.path = path
        self.serve = serve
        self._pattern, _, convertors = compile_path(path)
        self._converts = [(name, convertor.convert) for name, convertor in convertors.items()]
        self._prefix = path.partition("{")[0]

    @property
    def fixed(self) -> bool:
        """Whether it has no parameters."""
        return not self._converts

    def match(self, path: str) -> Mapping[str, Any] | None:
        """Return the parameters in a path if it is this one, else None."""
        if not path.startswith(self._prefix):  # most are another's, and need no regular expression
            return None
        match = self._pattern.match(path)
        if match is None:
            return None
        found: dict[str, Any] = match.groupdict()
        try:
            for name, convert in self._converts:
                found[name] = convert(found[name])
        except ValueError:  # such as an int of more digits than Python reads
            return None
        return found


def path_parameters(path: str) -> list[str]:
    """Return the names of the parameters in a path."""
    return list(compile_path(path)[2])


def endpoint_paths(
    settings: Settings, plain_path: str, *, root_path: str = "", app: Any = None
) -> dict[str, list[EndpointPath]]:
    """Return the paths that are turned on, by the type of their scopes, in the order of matching.

    All other paths are the application's. Fixed paths come first. The endpoints that most servers
    do without are imported here, so that only those wait for the import who turn them on.
    """
    base = settings.http_path.rstrip("/")
    http = [EndpointPath(base + "/health", serve_health)]
    websocket = [EndpointPath(plain_path, serve_websocket)]
    if settings.centrifuge_path:
        websocket.append(EndpointPath(settings.centrifuge_path, serve_sdk))
    if settings.api_key:
        from .endpoints.api.endpoint import serve_api  # noqa: PLC0415

        http.append(EndpointPath(base + "/api/{method}", serve_api))
    if settings.sse:
        from .endpoints.sse.ack import serve_ack  # noqa: PLC0415
        from .endpoints.sse.endpoint import serve_events  # noqa: PLC0415

        http.append(EndpointPath(base + "/events", serve_events))
        http.append(EndpointPath(base + "/events/ack", serve_ack))
    if settings.metrics:
        from .endpoints.metrics import serve_metrics  # noqa: PLC0415

        http.append(EndpointPath(base + "/metrics", serve_metrics))
    if settings.asyncapi:
        from .endpoints.asyncapi import AsyncApi  # noqa: PLC0415

        description = AsyncApi(plain_path, root_path, app)
        http.append(EndpointPath(base + "/asyncapi.json", description.serve))
    if settings.console:
        from .endpoints.console.endpoint import Console  # noqa: PLC0415

        console = Console()
        websocket.insert(0, EndpointPath(base + "/console/live", console.serve_live))
        pages = ("/console", "/console/", "/console/{name}")
        http += [EndpointPath(base + path, console.serve_page) for path in pages]
    return {"websocket": sorted(websocket, key=lambda item: not item.fixed), "http": http}
