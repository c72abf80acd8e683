"""``GET {http_path}/health``: whether new sessions are taken here, for load balancers."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ..errors import NotRunningError
from ..push import Push


async def serve_health(push: Push, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]) -> None:
    """Answer 200, or 503 from the moment on in which the process is to end."""
    if scope["method"] not in ("GET", "HEAD"):
        response = PlainTextResponse("only GET", 405, {"Allow": "GET, HEAD"})
    elif _serving(push):
        response = PlainTextResponse("ok", headers={"Cache-Control": "no-store"})
    else:
        response = PlainTextResponse("draining", 503, {"Cache-Control": "no-store", "Retry-After": "5"})
    await response(scope, receive, send)


def _serving(push: Push) -> bool:
    try:
        return push.hub.accepting
    except NotRunningError:
        return False
