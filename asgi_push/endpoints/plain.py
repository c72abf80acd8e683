"""The WebSocket endpoint of the plain protocol: one scope, from the handshake to the end."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.types import Receive, Scope, Send

from ..connection import Connection
from ..core import Core
from ..disconnect import Disconnect
from ..heartbeat import ClientHeartbeat
from ..hub.hub import Hub
from ..logs import logger, printable
from ..protocols import plain
from ..transports.handshake import admit, select_subprotocol
from ..transports.keepalive import probe_peers
from ..transports.limits import close_too_large, too_large
from ..transports.refusal import Refusal, refuse
from ..transports.websocket import WebSocketTransport, run_session


async def serve_websocket(
    core: Core, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]
) -> None:
    """Serve one WebSocket scope to its end. Raises nothing but a cancellation."""
    if (await receive())["type"] != "websocket.connect":
        return
    transport = WebSocketTransport(scope, send, plain.CODEC)
    heartbeat = ClientHeartbeat(core.settings.idle_timeout)
    try:
        hub, session, channels = await admit(
            core, scope, path_params, transport, plain.CODEC, heartbeat
        )
    except Refusal as refusal:
        await refuse(scope, receive, send, refusal)
        return
    probe_peers(hub, scope)
    if await _accept(hub, session, transport, channels, select_subprotocol(scope)):
        opening = partial(hub.open, session, partial(hub.join_all, session, channels))
        await run_session(hub, session, transport, receive, partial(_take, hub), opening)


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
        await hub.prepare(session, channels)
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
