"""``POST {http_path}/events/ack``: the page of an event stream confirms what it has."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ...auth import origin_allowed
from ...core import Core
from ...errors import BrokerError
from ...protocols.sse import LastEventId
from ...transports.refusal import Refusal
from ..body import read_body
from .cors import check_site, cors_headers, preflight

# The most bytes of a body: an id has up to 64 for each of a session's channels.
_MAX_BODY = 64 * 1024


async def serve_ack(
    core: Core, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]
) -> None:
    """Answer one request: 204 when the acknowledgement is on its way to the stream's process."""
    request = Request(scope, receive)
    cors = cors_headers(core.settings.allowed_origins, request)
    try:
        response = await _respond(core, request, cors)
    except ClientDisconnect:
        return
    except HTTPException as error:
        response = PlainTextResponse(error.detail, error.status_code)
    response.headers.update(cors)
    response.headers["cache-control"] = "no-store"
    await response(scope, receive, send)


async def _respond(core: Core, request: Request, cors: Mapping[str, str]) -> Response:
    if request.method == "OPTIONS":
        return preflight(cors, "POST")
    if request.method != "POST":
        return PlainTextResponse("only POST", 405, {"allow": "POST, OPTIONS"})
    _check_origin(core.settings.allowed_origins, request)
    token, last_id = _fields(await read_body(request, _MAX_BODY))
    if LastEventId(last_id, core.settings.max_channels).broken:
        raise HTTPException(400, "id: is not the id of an event")
    try:
        await core.hub.ack_tokens.acknowledge(token, last_id)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    except BrokerError:
        raise HTTPException(503, "the process of the stream cannot be told") from None
    return Response(status_code=204)


def _check_origin(allowed_origins: str, request: Request) -> None:
    """Refuse the pages that may not open a stream: a cookie goes with their requests, too."""
    try:
        check_site(allowed_origins, request)
    except Refusal as refusal:
        raise HTTPException(refusal.status, str(refusal)) from None
    if not origin_allowed(allowed_origins, request.scope.get("scheme", "http"), request.headers):
        raise HTTPException(403, "this origin is not allowed")


def _fields(body: bytes) -> tuple[str, str]:
    try:
        found = orjson.loads(body)
    except ValueError:
        found = None
    match found:
        case {"ack": str(token), "id": str(last_id)}:
            return token, last_id
    raise HTTPException(400, 'the body must be JSON: {"ack": ..., "id": ...}')
