"""Takes HTTP requests: their methods, their bodies up to a limit, and what is answered."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send


async def respond(
    scope: Scope,
    receive: Receive,
    send: Send,
    answer: Callable[[Request], Awaitable[Response]],
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send what ``answer`` returns for a request, or as text the HTTPException that it raises.

    Nothing is sent to a client that left while its request was read. ``headers`` go with refusals.
    """
    try:
        response = await answer(Request(scope, receive))
    except ClientDisconnect:
        return
    except HTTPException as refusal:
        refused = {**(headers or {}), **(refusal.headers or {})}
        response = PlainTextResponse(refusal.detail, refusal.status_code, refused)
    await response(scope, receive, send)


def check_method(request: Request, *allowed: str) -> None:
    """Raise HTTPException (405) for any other method."""
    if request.method not in allowed:
        raise HTTPException(405, f"only {allowed[0]}", {"Allow": ", ".join(allowed)})


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request; no more than ``limit`` bytes are kept.

    Raises:
        HTTPException: the body is larger (413).
        ClientDisconnect: the client has left.
    """
    too_large = HTTPException(413, f"the body is more than {limit} bytes")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise too_large
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                raise too_large
    return bytes(body)
