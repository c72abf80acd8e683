"""``GET {http_path}/metrics``: the numbers, for Prometheus."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ..errors import NotRunningError
from ..metrics.exposition import expose
from ..push import Push
from .key import has_key

# Prometheus says "Bearer" where it is told nothing else.
_SCHEMES = ("apikey", "bearer")


async def serve_metrics(push: Push, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]) -> None:
    """Serve one HTTP scope. With an ``api_key`` the reader needs it; without one, whoever gets here may read."""
    await (await _answer(push, Request(scope, receive)))(scope, receive, send)


async def _answer(push: Push, request: Request) -> Response:
    key = push.settings.api_key
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("only GET", 405, {"Allow": "GET, HEAD"})
    if key is not None and not has_key(request.headers, key, schemes=_SCHEMES):
        return PlainTextResponse("the api_key is missing or wrong", 401, {"WWW-Authenticate": "Bearer"})
    try:
        numbers = await push.hub.numbers.everywhere()
    except NotRunningError as error:
        return PlainTextResponse(str(error), 503, {"Retry-After": "1"})
    body, content_type = expose(numbers, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
