"""``GET {http_path}/metrics``: the metrics, for Prometheus."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ..core import Core
from ..errors import NotRunningError
from ..metrics.exposition import expose
from .api_key import check_reader
from .body import respond

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
    await respond(scope, receive, send, partial(_answer, core))


async def _answer(core: Core, request: Request) -> Response:
    check_reader(core, request, "the metrics", schemes=_SCHEMES)
    try:
        snapshot = await core.hub.stats.everywhere()
    except NotRunningError as error:
        return PlainTextResponse(str(error), 503, {"Retry-After": "1"})
    body, content_type = expose(snapshot, request.headers.get("accept", ""))
    headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
    return Response(body, headers=headers)
