"""``GET {http_path}/health``: whether new sessions are taken here, for load balancers, and what does not work."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ..core import Core
from ..errors import NotRunningError


async def serve_health(core: Core, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]) -> None:
    """Answer 200, or 503 from the moment on in which the process is to end.

    A broker that does not do its work is told, in its own words. It is no reason for 503: all processes have the same,
    and sessions that stay get what comes once it is back.
    """
    never_kept = {"Cache-Control": "no-store"}
    if scope["method"] not in ("GET", "HEAD"):
        response = PlainTextResponse("only GET", 405, {"Allow": "GET, HEAD"})
    elif not _serving(core):
        response = PlainTextResponse("draining", 503, never_kept | {"Retry-After": "5"})
    elif problem := core.hub.broker.problem:
        response = PlainTextResponse(f"degraded: {problem}", headers=never_kept)
    else:
        response = PlainTextResponse("ok", headers=never_kept)
    await response(scope, receive, send)


def _serving(core: Core) -> bool:
    try:
        return core.hub.accepting
    except NotRunningError:
        return False
