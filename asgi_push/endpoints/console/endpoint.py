"""The console over ASGI: its page, its login, and the WebSocket that feeds it."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from ... import clock
from ...auth import origin_allowed
from ...disconnect import Disconnect
from ...errors import NotRunningError
from ...heartbeat import ClientHeartbeat
from ...hub.hub import Hub
from ...logs import logger, printable
from ...protocols import plain
from ...push import Push
from ...session import Session
from ...transports.handshake import peer_address
from ...transports.limits import close_too_large, too_large
from ...transports.refusal import Refusal, refuse
from ...transports.websocket import WebSocketTransport, run_session
from ..api_key import is_key, refuse_wrong_key
from ..body import read_body
from .actions import act
from .assets import HEADERS, document, file
from .feed import MAX_WATCHERS, Feed, Subscriber, send
from .login import COOKIE, LIFETIME, Forged, expiry, issue
from .requests import Action, Unclear, read

# A key, and JSON around it, in bytes.
_MAX_LOGIN = 4096

# Actions of one console that may be under way; a drain takes its time.
_MAX_ACTIONS = 8


class Console:
    """The console of one middleware; it serves only who has logged in with the api_key."""

    def __init__(self) -> None:
        self._feeds: WeakKeyDictionary[Hub, Feed] = WeakKeyDictionary()

    # -- the page and the login -------------------------------------------------------------------------------------

    async def serve_page(
        self, push: Push, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]
    ) -> None:
        """Serve one HTTP scope."""
        request = Request(scope, receive)
        try:
            response = await self._answer(push, request, path_params.get("name"))
        except ClientDisconnect:
            return
        except HTTPException as refusal:
            headers = {**HEADERS, **(refusal.headers or {})}
            response = PlainTextResponse(refusal.detail, refusal.status_code, headers)
        await response(scope, receive, send)

    async def _answer(self, push: Push, request: Request, name: str | None) -> Response:
        if name in ("login", "logout"):
            if request.method != "POST":
                raise HTTPException(405, "only POST", {"Allow": "POST"})
            check_same_origin(request)
            return await self._login(push, request) if name == "login" else _logout()
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405, "only GET", {"Allow": "GET, HEAD"})
        if name is None and request.url.path.endswith(
            "/"
        ):  # its addresses are relative to a page without a slash at its end
            return RedirectResponse("../console", 308, HEADERS)
        if name is None:
            return document("index.html") if logged_in_until(push, request) is not None else _login_page(request)
        if (found := file(request, name)) is None:
            raise HTTPException(404, "no such file")
        return found

    async def _login(self, push: Push, request: Request) -> Response:
        key = push.settings.api_key or ""
        if not is_key(_offered_key(await read_body(request, _MAX_LOGIN)), key):
            refuse_wrong_key(push, request, "the console")
            raise HTTPException(401, "this is not the api_key")
        logger.info("a login to the console from %s", printable(request.client.host if request.client else ""))
        response = Response(status_code=204, headers=HEADERS)
        # Without a path: the browser's own for it is the console's, whatever a proxy makes of it.
        value, secure = issue(key, clock.now()), _is_secure(request)
        response.set_cookie(COOKIE, value, LIFETIME, path=None, secure=secure, httponly=True, samesite="strict")
        return response

    # -- the WebSocket ----------------------------------------------------------------------------------------------

    async def serve_live(
        self, push: Push, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]
    ) -> None:
        """Serve one WebSocket scope to its end."""
        if (await receive())["type"] != "websocket.connect":
            return
        try:
            hub, session = self._admit(push, scope, carrier := WebSocketTransport(scope, send, plain.CODEC))
        except Refusal as refusal:
            await refuse(scope, receive, send, refusal)
            return
        try:
            await carrier.accept(None, direct=hub.settings.direct_writes)
        except Exception as error:  # noqa: BLE001  # whatever a server raises here: the client has left
            logger.debug("a console left during the handshake: %s", printable(error))
            return
        await self._run(push, hub, session, carrier, receive)

    def _admit(self, push: Push, scope: Scope, carrier: WebSocketTransport) -> tuple[Hub, Session]:
        """Return the session of a console, which is in no list and in no channel; or raise Refusal."""
        connection = HTTPConnection(scope)
        if not connection.headers.get("origin") or not _same_origin(connection):
            raise Refusal(403, "a console is opened by its own page")
        try:
            until = logged_in_until(push, connection)
        except HTTPException as refusal:
            raise Refusal(refusal.status_code, refusal.detail) from None
        if until is None:
            raise Refusal(401, "not logged in")
        try:
            hub = push.hub
        except NotRunningError:
            raise Refusal(503, "push runs on another event loop") from None
        if len(self._feed(hub).watchers) >= MAX_WATCHERS:
            raise Refusal(503, f"{MAX_WATCHERS} consoles are open")
        now = clock.monotonic()
        session = Session(
            secrets.token_urlsafe(12), "", carrier, plain.CODEC, hub, ClientHeartbeat(hub.settings.idle_timeout), now
        )
        session.remote = peer_address(scope)
        session.expires_at = now + until - clock.now()
        return hub, session

    def _feed(self, hub: Hub) -> Feed:
        feed = self._feeds.get(hub)
        if feed is None:
            feed = self._feeds[hub] = Feed(hub)
        return feed

    async def _run(self, push: Push, hub: Hub, session: Session, carrier: WebSocketTransport, receive: Receive) -> None:
        feed, watcher = self._feed(hub), Subscriber(session)

        def take(session: Session, data: str | bytes) -> Iterable[int]:
            _take(push, hub, watcher, data)
            return (len(data),)

        feed.add(watcher)
        hub.look_after(session)
        try:
            await run_session(hub, session, carrier, receive, take)
        finally:
            feed.remove(watcher)


def _take(push: Push, hub: Hub, watcher: Subscriber, data: str | bytes) -> None:
    """Take what a console says."""
    session = watcher.session
    limit = hub.settings.max_message_bytes
    if too_large(data, limit):
        close_too_large(hub, session, len(data), limit, "max_message_bytes")
        return
    text = data if isinstance(data, str) else ""
    if (answer := plain.heartbeat_answer(text, "pong")) is not None:
        hub.heartbeat(session, answer)
        return
    hub.on_activity(session)
    try:
        wish = read(text)
    except Unclear as wrong:
        hub.close(session, Disconnect(Disconnect.BAD_REQUEST.code, f"bad request: {wrong}"))
        return
    if not isinstance(wish, Action):
        watcher.look(wish)
    elif watcher.acting >= _MAX_ACTIONS:
        send(hub, session, {"answer": {"number": wish.number, "failed": "too much is under way"}})
    else:
        watcher.acting += 1
        hub.spawn(_act, push, hub, watcher, wish)


async def _act(push: Push, hub: Hub, watcher: Subscriber, action: Action) -> None:
    answer = {"number": action.number, "failed": "it failed; the log says why"}
    try:
        answer = await act(push, action)
    finally:
        watcher.acting -= 1
        send(hub, watcher.session, {"answer": answer})
        watcher.changed.set()


# -- who it is, and from where -----------------------------------------------------------------------------------------


def logged_in_until(push: Push, connection: HTTPConnection) -> float | None:
    """Return until when whoever sends this is logged in, as a Unix time; None if not at all.

    Raises:
        HTTPException: it sends what another key has signed, too often (429): who looks for the key can do it so, too.
    """
    value, key = connection.cookies.get(COOKIE), push.settings.api_key
    if not value or not key:
        return None
    try:
        return expiry(key, value, clock.now())
    except Forged:
        refuse_wrong_key(push, connection, "the console")
        return None


def check_same_origin(request: Request) -> None:
    """Raise HTTPException unless one of this server's own pages sends this: browsers say so of every POST."""
    if not request.headers.get("origin") or not _same_origin(request):
        raise HTTPException(403, "this is for the console's own page")
    # A form of another site can send JSON as text/plain; it cannot send this type without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "content-type: must be application/json")


def _same_origin(connection: HTTPConnection) -> bool:
    """Other origins than its own never may, whatever ``allowed_origins`` lets in."""
    return origin_allowed("same-host", connection.scope.get("scheme", "http"), connection.headers)


def _is_secure(request: Request) -> bool:
    """Whether the browser came by https, as the server or, behind a proxy that ends TLS, the browser itself says."""
    return "https" in (request.url.scheme, urlsplit(request.headers.get("origin", "")).scheme)


def _offered_key(body: bytes) -> bytes:
    try:
        key = orjson.loads(body)["key"]
        return key.encode() if isinstance(key, str) else b""
    except (orjson.JSONDecodeError, KeyError, TypeError, UnicodeEncodeError):
        return b""


def _login_page(request: Request) -> Response:
    response = document("login.html")
    return _without_cookie(response) if COOKIE in request.cookies else response  # what it has is good no more


def _logout() -> Response:
    return _without_cookie(Response(status_code=204, headers=HEADERS))


def _without_cookie(response: Response) -> Response:
    response.delete_cookie(COOKIE, path=None, httponly=True, samesite="strict")  # type: ignore[arg-type]  # no path
    return response
