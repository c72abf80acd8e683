"""``GET {http_path}/health``: tells load balancers whether this process accepts sessions."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ..core import Core
from ..errors import NotRunningError


async def serve_health(
    core: Core,
    scope: Scope,
    receive: Receive,
    send: Send,
    path_params: Mapping[str, Any],
) -> None:
    """Answer 200, or 503 as soon as the process drains or stops.

    A problem with the broker is told, but with 200. All processes share the broker, so another one
    would not serve better, and sessions that stay get what is published once it is back.
    """
    no_store = {"Cache-Control": "no-store"}
    if scope["method"] not in ("GET", "HEAD"):
        response = PlainTextResponse("only GET", 405, {"Allow": "GET, HEAD"})
    elif not _accepting(core):
        response = PlainTextResponse("draining", 503, no_store | {"Retry-After": "5"})
    elif problem := core.hub.broker.problem:
        response = PlainTextResponse(f"degraded: {problem}", headers=no_store)
    else:
        response = PlainTextResponse("ok", headers=no_store)
    await response(scope, receive, send)


def _accepting(core: Core) -> bool:
    try:
        return core.hub.accepting
    except NotRunningError:
        return False
