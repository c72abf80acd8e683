"""The WebSocket endpoint of the plain protocol: one scope, from the handshake to the end."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from ...connection import Connection
from ...core import Core
from ...disconnect import Disconnect
from ...heartbeat import ClientHeartbeat
from ...hub.hub import Hub
from ...logs import logger, printable
from ...protocols import Codec, envelope, plain
from ...protocols.since import Since
from ...transports.handshake import admit, connection_of, query_parameter, select_subprotocol
from ...transports.keepalive import probe_peers
from ...transports.limits import close_too_large, too_large
from ...transports.refusal import Refusal, refuse
from ...transports.websocket import Take, WebSocketTransport
from .envelopes import Join, with_envelopes


async def serve_websocket(
    core: Core, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]
) -> WebSocketTransport | None:
    """Let in the client of one WebSocket scope; return its transport, to receive from to the end.

    Returns None for one that is not let in, or has ended. It raises nothing but a cancellation.
    """
    if (await receive())["type"] != "websocket.connect":
        return None
    connection = connection_of(scope, path_params)
    try:
        since = _since(core, connection)
        codec: Codec = plain.CODEC if since is None else envelope.CODEC
        transport = WebSocketTransport(scope, send, codec)
        heartbeat = ClientHeartbeat(core.settings.idle_timeout)
        hub, session, channels = await admit(core, connection, transport, codec, heartbeat)
    except Refusal as refusal:
        await refuse(scope, receive, send, refusal)
        return None
    probe_peers(hub, scope)
    if not await _accept(hub, session, transport, channels, select_subprotocol(scope)):
        return None
    join: Join = partial(hub.inbox_replay.join_all, session, channels)
    take: Take = _take
    if since is not None:
        join, take = with_envelopes(hub, session, channels, since)
    transport.begin(hub, session, take)
    return transport if await transport.open(hub.open(session, join)) else None


def _since(core: Core, connection: HTTPConnection) -> Since | None:
    """Return the positions of ``?since=``; None without it, for a page that wants no envelopes.

    Raises:
        Refusal: it cannot be understood.
    """
    text = query_parameter(connection, "since")
    try:
        return None if text is None else Since(text, core.settings.max_channels)
    except ValueError as error:
        raise Refusal(400, str(error), "correct the ?since= of the client's address") from None


async def _accept(
    hub: Hub,
    session: Connection,
    transport: WebSocketTransport,
    channels: Sequence[str],
    subprotocol: str | None,
) -> bool:
    """Accept the connection of an admitted session.

    Returns False, and releases the session's place, if the client has left or the hub shuts down.
    """
    accepted = False
    try:
        await hub.membership.prepare(session, channels)
        await transport.accept(subprotocol, direct=hub.settings.direct_writes)
        accepted = hub.accepting
        if not accepted:  # the shutdown began meanwhile
            await transport.send_close(Disconnect.SHUTDOWN)
    except Exception as error:  # noqa: BLE001  # whatever a server raises here: the client has left
        logger.debug("a client left during the handshake: %s", printable(error))
    finally:
        if not accepted:
            hub.end(session, Disconnect.CONNECTION_LOST)
    return accepted


def _take(hub: Hub, session: Connection, data: str | bytes) -> Iterable[int]:
    """Answer a heartbeat, give any other message to the application; return the message's size."""
    limit = hub.settings.max_message_bytes
    if too_large(data, limit):
        close_too_large(hub, session, len(data), limit, "max_message_bytes")
    elif (
        isinstance(data, str)
        and (answer := plain.heartbeat_answer(data, hub.settings.pong)) is not None
    ):
        hub.heartbeat(session, answer)
    else:
        hub.message(session, data)
    return (len(data),)
