"""HTTP requests for the path of a WebSocket: 426, unless the application has a page there."""

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import logger, printable

_NO_WEBSOCKETS = "This server speaks no WebSocket. Its log says what to install."
_NO_UPGRADE = (
    "A proxy on the way took the header Upgrade away, without which nothing becomes a WebSocket."
)
_PLAIN = (
    "This is the address of a WebSocket. Open it in a page with new WebSocket(url), not as a page."
)


class HttpOnWebSocketPaths:
    """Answers the HTTP requests for paths of WebSockets that the application does not answer."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the application, and answer 426 in the place of its 404.

        A handshake that comes as HTTP is answered with 426 at once: no page of the application is
        what its client asked for. The first one of each kind is logged with what to do about it.
        """
        headers = Headers(scope=scope)
        if "sec-websocket-key" not in headers:
            await app(scope, receive, _InsteadOf404(scope, receive, send))
        elif headers.get("upgrade", "").lower() == "websocket":
            self._warn(
                scope,
                "this server speaks no WebSocket: it handed on the handshake for %s as an HTTP "
                "request; uvicorn needs a library for it, pip install 'websockets>=15'",
            )
            await _upgrade_required(scope, _NO_WEBSOCKETS)(scope, receive, send)
        else:
            self._warn(
                scope,
                "the handshake for %s came without the header Upgrade: a proxy in front of this "
                "server takes it away; in nginx, proxy_set_header hands it on",
            )
            await _upgrade_required(scope, _NO_UPGRADE)(scope, receive, send)

    def _warn(self, scope: Scope, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, printable(scope["path"]))


class _InsteadOf404:
    """Sends what an application answers, or 426 in the place of a 404."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 404:
            self._replaced = True
            await _upgrade_required(self._scope, _PLAIN)(self._scope, self._receive, self._send)
        elif not self._replaced:
            await self._send(message)


def _upgrade_required(scope: Scope, reason: str) -> Response:
    headers = {"Cache-Control": "no-store"}
    if scope.get("http_version") == "1.1":  # later versions forbid both
        headers |= {"Upgrade": "websocket", "Connection": "Upgrade"}
    return PlainTextResponse(reason, 426, headers)
