"""How a connection that is not accepted is answered, and what the log says of it."""

import logging
import sys

import anyio
from starlette.types import Receive, Scope, Send

from .. import clock
from ..errors import NotRunningError
from ..logs import logger, module_rate_limit, printable

# What a refused client is asked to wait, in seconds, where it honours that.
_RETRY_AFTER = "5"

# Seconds between two lines of one kind: clients that are refused come again, all of them.
_QUIET = 10.0

_refusals = module_rate_limit(_QUIET)

# What a refused client gets to take the answer, in seconds, before the application returns; see _until_closed.
_PARTING_TIME = 3.0

# What whoever runs the server can do about a client that is not who it has to be.
OTHER_CREDENTIALS = "it needs other credentials: see authenticate and token_secret, and what the client sends"

_SANSIO = "uvicorn.protocols.websockets.websockets_sansio_impl"


class Refusal(Exception):
    """The connection is not accepted.

    Args:
        status: the HTTP status that says why; of a WebSocket that was accepted first, its close code.
        reason: what the client is told.
        advice: what whoever runs the server can do about it, a format for ``words``; without it the
            refusal is nobody's fault, and on the level INFO.
        words: words of the client, which the log has in quotes.
    """

    def __init__(self, status: int, reason: str, advice: str = "", *words: str) -> None:
        super().__init__(reason)
        self.status = status
        self._advice = advice
        self._words = words

    @property
    def headers(self) -> dict[str, str]:
        """Those of the answer that say when to come back, if that makes sense."""
        return {"retry-after": _RETRY_AFTER} if self.status in (429, 503) else {}

    def log(self, scope: Scope) -> None:
        """Say it in the log, unless much the same was said not long ago."""
        what = "a WebSocket" if scope["type"] == "websocket" else "an event stream"
        said = what, scope.get("client"), self.status, printable(self), *map(printable, self._words)
        level = logging.WARNING if self._advice else logging.INFO
        message = "refused %s from %s: %d %s" + (f"; {self._advice}" if self._advice else "")
        _refusals.log(level, clock.monotonic(), message, *said)


def not_running(error: NotRunningError) -> Refusal:
    """Return the refusal of a connection that comes on another event loop than the one that push runs on."""
    advice = f"{error}; a test client must be entered: with TestClient(app) as client"
    return Refusal(503, "push runs on another event loop", advice)


def warn(message: str, *words: str) -> None:
    """Log what a client asked for and did not get, unless the same was said not long ago."""
    _refusals.log(logging.WARNING, clock.monotonic(), message, *map(printable, words))


async def refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Answer the handshake with an HTTP status where the server can, else close, which servers turn into a 403."""
    reason = str(refusal)
    refusal.log(scope)
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    try:
        if "websocket.http.response" in (scope.get("extensions") or {}):
            await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": reason.encode()})
            await _until_closed(receive)
        else:
            await send({"type": "websocket.close", "code": 1008})
    except Exception as error:  # noqa: BLE001  # whatever a server raises here: the client has left
        logger.debug("a client left before it was refused: %s", printable(error))


async def _until_closed(receive: Receive) -> None:
    """Wait until uvicorn has closed the connection that was answered, where it is uvicorn that serves.

    Its default implementation takes an application that returns earlier for one that left the
    handshake unfinished, and logs an error for each refusal. It says "disconnect" twice: when the
    answer is written, and when the connection is closed. Other servers say it once, or never.
    """
    if _SANSIO in sys.modules:
        with anyio.move_on_after(_PARTING_TIME):
            await receive()
            await receive()
