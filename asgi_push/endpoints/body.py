"""Reads the body of a request up to a limit."""

from contextlib import aclosing

from starlette.exceptions import HTTPException
from starlette.requests import Request


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
