"""The console over ASGI: its page, and the WebSocket that feeds it."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from ... import clock
from ...connection import Connection
from ...core import Core
from ...disconnect import Disconnect
from ...errors import NotRunningError
from ...heartbeat import ClientHeartbeat
from ...hub.hub import Hub
from ...logs import logger, printable
from ...protocols import plain
from ...randomness import random_text
from ...runner.processes.view import View
from ...schema import Invalid
from ...transports.handshake import peer_address
from ...transports.limits import close_too_large, too_large
from ...transports.refusal import Refusal, refuse
from ...transports.websocket import WebSocketTransport, run_session
from ..body import check_method, respond
from .actions import act
from .assets import HEADERS, document, file
from .feed import MAX_SUBSCRIBERS, Feed, Subscriber, send
from .login import (
    check_same_origin,
    is_same_origin,
    log_in,
    log_out,
    logged_in_until,
    login_page,
)
from .requests import Action, read

# Actions of one console that may run at a time; a drain takes its time.
_MAX_ACTIONS = 8


class Console:
    """The console of one middleware. It serves only clients that logged in with the api_key."""

    def __init__(self) -> None:
        self._feeds: WeakKeyDictionary[Hub, Feed] = WeakKeyDictionary()

    # -- the page ----------------------------------------------------------------------------------

    async def serve_page(
        self,
        core: Core,
        scope: Scope,
        receive: Receive,
        send: Send,
        path_params: Mapping[str, Any],
    ) -> None:
        """Serve one HTTP scope."""
        answer = partial(_answer, core, path_params.get("name"))
        await respond(scope, receive, send, answer, HEADERS)

    # -- the WebSocket -----------------------------------------------------------------------------

    async def serve_live(
        self,
        core: Core,
        scope: Scope,
        receive: Receive,
        send: Send,
        path_params: Mapping[str, Any],
    ) -> None:
        """Serve one WebSocket scope to its end."""
        if (await receive())["type"] != "websocket.connect":
            return
        transport = WebSocketTransport(scope, send, plain.CODEC)
        try:
            hub, session = self._admit(core, scope, transport)
        except Refusal as refusal:
            await refuse(scope, receive, send, refusal)
            return
        try:
            await transport.accept(None, direct=hub.settings.direct_writes)
        except Exception as error:  # noqa: BLE001  # whatever a server raises: the client has left
            logger.debug("a console left during the handshake: %s", printable(error))
            return
        await self._run(core, hub, session, transport, receive)

    def _admit(
        self,
        core: Core,
        scope: Scope,
        transport: WebSocketTransport,
    ) -> tuple[Hub, Connection]:
        """Return the hub and a console's session, which is in no registry and in no channel.

        Raises:
            Refusal: the client is not logged in, or there are too many consoles.
        """
        connection = HTTPConnection(scope)
        until = _check_login(core, connection)
        try:
            hub = core.hub
        except NotRunningError:
            raise Refusal(503, "push runs on another event loop") from None
        if len(self._feed(hub).subscribers) >= MAX_SUBSCRIBERS:
            raise Refusal(503, f"{MAX_SUBSCRIBERS} consoles are open")
        now = clock.monotonic()
        heartbeat = ClientHeartbeat(hub.settings.idle_timeout)
        session_id = random_text(12)
        session = Connection(session_id, "", transport, plain.CODEC, hub, heartbeat, now)
        session.remote = peer_address(scope)
        session.expires_at = now + until - clock.now()
        return hub, session

    def _feed(self, hub: Hub) -> Feed:
        feed = self._feeds.get(hub)
        if feed is None:
            feed = Feed(hub)
            self._feeds[hub] = feed
        return feed

    async def _run(
        self,
        core: Core,
        hub: Hub,
        session: Connection,
        transport: WebSocketTransport,
        receive: Receive,
    ) -> None:
        feed = self._feed(hub)
        subscriber = Subscriber(session)

        def take(hub: Hub, session: Connection, data: str | bytes) -> Iterable[int]:
            _on_message(core, hub, subscriber, data)
            return (len(data),)

        feed.add(subscriber)
        hub.look_after(session)
        try:
            transport.begin(hub, session, take)
            await run_session(transport, receive)
        finally:
            feed.remove(subscriber)


# -- the page --------------------------------------------------------------------------------------


async def _answer(core: Core, name: str | None, request: Request) -> Response:
    if name in ("login", "logout"):
        check_method(request, "POST")
        check_same_origin(request)
        return await log_in(core, request) if name == "login" else log_out()
    check_method(request, "GET", "HEAD")
    if name is None:
        return _page(core, request)
    found = file(request, name)
    if found is None:
        raise HTTPException(404, "no such file")
    return found


def _page(core: Core, request: Request) -> Response:
    if request.url.path.endswith("/"):  # the page's relative addresses need its path without one
        return RedirectResponse("../console", 308, HEADERS)
    if logged_in_until(core, request) is None:
        return login_page(request)
    return document("index.html")


# -- the WebSocket ---------------------------------------------------------------------------------


def _check_login(core: Core, connection: HTTPConnection) -> float:
    """Return the Unix time at which a login ends.

    Raises:
        Refusal: the client is not logged in, or another page than the console's opens this.
    """
    if not is_same_origin(connection):
        raise Refusal(403, "a console is opened by its own page")
    try:
        until = logged_in_until(core, connection)
    except HTTPException as refusal:
        raise Refusal(refusal.status_code, refusal.detail) from None
    if until is None:
        raise Refusal(401, "not logged in")
    return until


def _on_message(core: Core, hub: Hub, subscriber: Subscriber, data: str | bytes) -> None:
    """Handle one message of a console; an invalid one closes its session."""
    session = subscriber.session
    limit = hub.settings.max_message_bytes
    if too_large(data, limit):
        close_too_large(hub, session, len(data), limit, "max_message_bytes")
        return
    text = data if isinstance(data, str) else ""
    answer = plain.heartbeat_answer(text, "pong")
    if answer is not None:
        hub.heartbeat(session, answer)
        return
    hub.on_activity(session)
    try:
        request = read(text)
    except Invalid as wrong:
        reason = f"bad request: {wrong}"
        hub.close(session, Disconnect(Disconnect.BAD_REQUEST.code, reason))
        return
    _on_request(core, hub, subscriber, request)


def _on_request(core: Core, hub: Hub, subscriber: Subscriber, request: View | Action) -> None:
    if isinstance(request, View):
        subscriber.show(request)
    elif subscriber.running_actions >= _MAX_ACTIONS:
        failure = {"number": request.number, "failed": "too much is under way"}
        send(hub, subscriber.session, {"answer": failure})
    else:
        subscriber.running_actions += 1
        hub.spawn(_act, core, hub, subscriber, request)


async def _act(core: Core, hub: Hub, subscriber: Subscriber, action: Action) -> None:
    answer = {"number": action.number, "failed": "it failed; the log says why"}
    try:
        answer = await act(core, action)
    finally:
        subscriber.running_actions -= 1
        send(hub, subscriber.session, {"answer": answer})
        subscriber.changed.set()
