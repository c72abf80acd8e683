"""The answer to a connection that is not accepted, and its line in the log."""

import logging
import sys

import anyio
from starlette.types import Receive, Scope, Send

from .. import clock
from ..errors import NotRunningError
from ..logs import logger, module_rate_limit, printable

# The time that a refused client is asked to wait, in seconds.
_RETRY_AFTER = "5"

# The time between two log lines of one kind, in seconds: all refused clients come again.
_QUIET = 10.0

_refusals = module_rate_limit(_QUIET)

# The time that a refused client gets to take the answer, in seconds; see _until_closed.
_PARTING_TIME = 3.0

# What the log advises about a client with the wrong credentials.
OTHER_CREDENTIALS = (
    "it needs other credentials: see authenticate and token_secret, and what the client sends"
)

_SANSIO = "uvicorn.protocols.websockets.websockets_sansio_impl"


class Refusal(Exception):
    """The connection is not accepted.

    Args:
        status: the HTTP status; for a WebSocket that was accepted first, the close code.
        reason: what the client is told.
        advice: what the log advises whoever runs the server to do, a format for ``words``. Without
            advice the refusal is nobody's fault, and is logged on the level INFO.
        words: words of the client, which the log shows in quotes.
    """

    def __init__(self, status: int, reason: str, advice: str = "", *words: str) -> None:
        super().__init__(reason)
        self.status = status
        self._advice = advice
        self._words = words

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer that say when to come back, if that makes sense."""
        return {"retry-after": _RETRY_AFTER} if self.status in (429, 503) else {}

    def log(self, scope: Scope) -> None:
        """Log the refusal, unless one of its kind was logged not long ago."""
        what = "a WebSocket" if scope["type"] == "websocket" else "an event stream"
        args = what, scope.get("client"), self.status, printable(self)
        words = map(printable, self._words)
        level = logging.WARNING if self._advice else logging.INFO
        message = "refused %s from %s: %d %s" + (f"; {self._advice}" if self._advice else "")
        _refusals.log(level, clock.monotonic(), message, *args, *words)


def not_running(error: NotRunningError) -> Refusal:
    """Return the refusal of a connection on another event loop than the one that push runs on."""
    return Refusal(503, "push runs on another event loop", advice=str(error))


def warn(message: str, *words: str) -> None:
    """Log a warning with words of a client, unless the same was logged not long ago."""
    _refusals.log(logging.WARNING, clock.monotonic(), message, *map(printable, words))


async def refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Answer the handshake with the refusal's HTTP status, if the server can do that.

    Else close the WebSocket, which servers turn into a 403.
    """
    reason = str(refusal)
    refusal.log(scope)
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    try:
        if "websocket.http.response" in (scope.get("extensions") or {}):
            start = {"type": "websocket.http.response.start", "status": refusal.status}
            await send({**start, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": reason.encode()})
            await _until_closed(receive)
        else:
            await send({"type": "websocket.close", "code": 1008})
    except Exception as error:  # noqa: BLE001  # whatever a server raises here: the client has left
        logger.debug("a client left before it was refused: %s", printable(error))


async def _until_closed(receive: Receive) -> None:
    """Wait until uvicorn has closed the connection that was answered, if uvicorn is the server.

    Its default implementation logs an error for an application that returns earlier: it takes the
    handshake for unfinished. It says "disconnect" twice: when the answer is written, and when the
    connection is closed. Other servers say it once, or never.
    """
    if _SANSIO in sys.modules:
        with anyio.move_on_after(_PARTING_TIME):
            await receive()
            await receive()
