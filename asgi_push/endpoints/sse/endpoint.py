"""``GET {http_path}/events``: a session over one HTTP response, from the request to its end."""

import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ... import clock
from ...connection import Connection
from ...core import Core
from ...disconnect import Disconnect
from ...heartbeat import UnansweredPings
from ...hub.hub import Hub
from ...logs import logger, printable
from ...protocols.since import Since
from ...protocols.sse import CODEC, STAY_AWAY, LastEventId
from ...recovery.page_client import PageClient
from ...recovery.page_protocol import FROM_START, ResumePositions
from ...transports.event_stream import EventStreamTransport, retry
from ...transports.handshake import admit, connection_of, query_parameter
from ...transports.refusal import Refusal
from .cors import check_site, cors_headers, preflight
from .encodings import takes_gzip
from .notices import EventNotices

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    # A proxy must not store the stream, or compress it in its own way, which would delay events.
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",  # nginx
    "x-content-type-options": "nosniff",
}

# Where polyfills that cannot set the header put the id.
_LAST_ID_PARAMETER = "lastEventId"


async def serve_events(
    core: Core, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]
) -> Awaitable[None] | None:
    """Let in the client of one HTTP scope; return its session, to be awaited to its end.

    Returns None for one that is answered at once. Both raise nothing but a cancellation.
    """
    connection = HTTPConnection(scope)
    last_id = _last_event_id(connection)
    cors = cors_headers(core.settings.allowed_origins, connection)
    transport = EventStreamTransport(send, {**_HEADERS, **cors}, gzip=takes_gzip(connection))
    try:
        check_site(core.settings.allowed_origins, connection)
        if (answer := _immediate_response(scope["method"], last_id, cors)) is not None:
            await _respond(answer, scope, receive, send)
            return None
        positions = _positions(core, connection, last_id)
        confirms = _confirms(connection)
        hub, session, channels = await _admit(core, scope, transport)
    except Refusal as refusal:
        refusal.log(scope)
        await _respond(_refusal_response(refusal, connection, cors), scope, receive, send)
        return None
    core.runner.end_streams_at_sigint()
    notices = EventNotices(hub.ack_tokens.make(session.id) if confirms else "")
    session.client = client = PageClient(hub, session, CODEC, notices, positions)
    return _run(hub, session, transport, receive, partial(client.begin, channels))


def _immediate_response(method: str, last_id: str, cors: Mapping[str, str]) -> Response | None:
    """Return the response to a request that gets no stream, whoever sends it; else None."""
    if method == "OPTIONS":
        return preflight(cors)
    if method != "GET":
        return PlainTextResponse("only GET", 405, {"allow": "GET, OPTIONS", **cors})
    return Response(status_code=204, headers=dict(cors)) if last_id == STAY_AWAY else None


def _last_event_id(connection: HTTPConnection) -> str:
    """Return the id of the last event that the client received, empty for a new client."""
    return connection.headers.get("last-event-id") or connection.query_params.get(
        _LAST_ID_PARAMETER, ""
    )


def _positions(core: Core, connection: HTTPConnection, last_id: str) -> ResumePositions:
    """Return the positions that a client sends: those of its last event, else of ``?since=``.

    Raises:
        Refusal: ``since`` cannot be understood.
    """
    max_channels = core.settings.max_channels
    since = connection.query_params.get("since", "")
    if last_id:  # the address stays the same as a browser comes back, and says where it began
        return LastEventId(last_id, max_channels)
    if since == "start":
        return FROM_START
    try:
        return Since(since, max_channels)
    except ValueError as error:
        raise Refusal(400, str(error), "correct the ?since= of the client's address") from None


def _confirms(connection: HTTPConnection) -> bool:
    """Return whether a client asks for what it confirms with, by ``?ack=1``.

    Raises:
        Refusal: it says something else.
    """
    asked = connection.query_params.get("ack", "")
    if asked not in ("", "1"):
        raise Refusal(400, "ack: must be 1", "correct the ?ack= of the client's address")
    return bool(asked)


async def _admit(
    core: Core, scope: Scope, transport: EventStreamTransport
) -> tuple[Hub, Connection, list[str]]:
    """Admit a session for a request, and return it with its channels.

    Raises:
        Refusal: the session is not admitted, or it may not have all of the channels. A WebSocket
            only misses such a channel, but nothing else would tell an event stream's page.
    """
    now = clock.monotonic()
    interval = core.settings.ping_interval
    first = random.uniform(interval / 2, interval)  # noqa: S311  # spreads many clients
    heartbeat = UnansweredPings(interval, now + first)
    connection = connection_of(scope, {})
    hub, session, channels = await admit(core, connection, transport, CODEC, heartbeat)
    asked = (query_parameter(connection, "channels") or "").split(",")
    if any(channel and channel not in channels for channel in asked):
        hub.end(session, Disconnect.PERMISSION_DENIED)
        raise Refusal(403, "a channel is not allowed")
    return hub, session, list(dict.fromkeys([*hub.membership.own_channels(session), *channels]))


def _refusal_response(
    refusal: Refusal, connection: HTTPConnection, cors: Mapping[str, str]
) -> Response:
    """Return the response that tells a refusal.

    A browser's EventSource gives up for ever at any status but 200 (HTML, section 9.2.3). So where
    it should only come back later, it gets a stream that says so and ends. All other clients
    understand the status.
    """
    headers = {**refusal.headers, "cache-control": "no-store", **cors}
    comes_back = refusal.status == 429 or refusal.status >= 500
    if (
        comes_back
        and "sec-fetch-mode" in connection.headers
        and "text/event-stream" in connection.headers.get("accept", "")
    ):
        later = CODEC.end(Disconnect(1013, str(refusal)), 5000 + retry())
        return Response(later.data, headers={**_HEADERS, **headers})
    return PlainTextResponse(str(refusal), refusal.status, headers)


async def _respond(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await response(scope, receive, send)
    except Exception as error:  # noqa: BLE001  # whatever a server raises here: the client has left
        logger.debug("a client left before it was answered: %s", printable(error))


async def _run(
    hub: Hub,
    session: Connection,
    transport: EventStreamTransport,
    receive: Receive,
    opening: Callable[[], Awaitable[None]],
) -> None:
    """Run a session to its end, which is all that its client can tell."""
    # A cancellation means that the server shuts down; every other end sets its own reason.
    disconnect = Disconnect.SHUTDOWN
    transport.attach(hub, session)
    try:
        await hub.open(session, opening)
        del opening  # an idle session does without it
        with transport.interrupt:
            while (await receive())["type"] != "http.disconnect":
                pass
            disconnect = Disconnect.CONNECTION_LOST
    except Exception:  # noqa: BLE001  # whatever a server raises in receive()
        logger.exception("session %s failed", session.id)
        disconnect = Disconnect.SERVER_ERROR
    finally:
        hub.end(session, disconnect)
        transport.forget()
