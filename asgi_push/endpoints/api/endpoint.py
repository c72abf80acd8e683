"""``POST {http_path}/api/{method}``: checks the key, reads the body, and sends the answer."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...core import Core
from ...errors import NotRunningError
from ...schema import Invalid
from ..api_key import require_key
from ..body import check_method, read_body, respond
from .dispatch import carry_out
from .fields import METHODS

# The smallest limit of a body, in bytes: a thousand channels with the longest names, several times.
_MIN_BODY = 1024 * 1024


async def serve_api(
    core: Core,
    scope: Scope,
    receive: Receive,
    send: Send,
    path_params: Mapping[str, Any],
) -> None:
    """Serve one HTTP scope of the API."""
    await respond(scope, receive, send, partial(_answer, core, path_params["method"]))


async def _answer(core: Core, method: str, request: Request) -> Response:
    if method not in METHODS:
        raise HTTPException(404, "no such method")
    check_method(request, "POST")
    require_key(core, request, "the API")
    try:
        core.hub  # noqa: B018  # raises where it does not run, or on another event loop
        answer = await carry_out(core, method, await read_body(request, _max_body(core)))
    except Invalid as wrong:
        raise HTTPException(400, str(wrong)) from None
    except NotRunningError as error:
        raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
    return Response(answer, media_type="application/json")


def _max_body(core: Core) -> int:
    """Return how many bytes a body may have: room for the largest data in base64, and the rest."""
    return max(_MIN_BODY, 2 * core.settings.queue_bytes)
