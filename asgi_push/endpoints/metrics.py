"""``GET {http_path}/metrics``: the metrics, for Prometheus."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ..core import Core
from ..errors import NotRunningError
from ..metrics.exposition import expose
from .api_key import require_key

# "Bearer" is what Prometheus sends unless its configuration says otherwise.
_SCHEMES = ("apikey", "bearer")


async def serve_metrics(
    core: Core,
    scope: Scope,
    receive: Receive,
    send: Send,
    path_params: Mapping[str, Any],
) -> None:
    """Serve one HTTP scope; only to readers with the ``api_key`` if one is set."""
    response: Response
    try:
        response = await _answer(core, Request(scope, receive))
    except HTTPException as refusal:
        response = PlainTextResponse(refusal.detail, refusal.status_code, refusal.headers)
    await response(scope, receive, send)


async def _answer(core: Core, request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("only GET", 405, {"Allow": "GET, HEAD"})
    if core.settings.api_key is not None:
        require_key(core, request, "the metrics", schemes=_SCHEMES)
    try:
        snapshot = await core.hub.stats.everywhere()
    except NotRunningError as error:
        return PlainTextResponse(str(error), 503, {"Retry-After": "1"})
    body, content_type = expose(snapshot, request.headers.get("accept", ""))
    headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
    return Response(body, headers=headers)
