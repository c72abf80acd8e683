"""A session of the SDK protocol over an ASGI WebSocket."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from ... import clock
from ...connection import Connection
from ...core import Core
from ...errors import NotRunningError
from ...heartbeat import FirstCommand
from ...hub.admission import Refused
from ...hub.hub import Hub
from ...logs import logger, printable
from ...protocols.centrifuge import SdkCodec
from ...protocols.centrifuge.json_codec import CODEC as JSON
from ...randomness import random_text
from ...transports.handshake import (
    check_origin,
    connection_of,
    peer_address,
    query_parameter,
)
from ...transports.refusal import Refusal, not_running, refuse
from ...transports.websocket import WebSocketTransport
from .client import SdkClient

# Seconds until a client that has not sent its connect command is closed.
_FIRST_COMMAND_TIME = 10.0

_JSON = "centrifuge-json"
_PROTOBUF = "centrifuge-protobuf"
_FORMAT_PARAMETERS = ("format", "cf_protocol")


async def serve_sdk(
    core: Core, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]
) -> WebSocketTransport | None:
    """Let in the client of one WebSocket scope; return its transport, to receive from to the end.

    Returns None for one that is not let in. It raises nothing but a cancellation. A client that is
    not admitted is told so after the accept, because the SDKs repeat a failed handshake for ever.
    Only a page of a foreign origin is refused in the handshake.
    """
    if (await receive())["type"] != "websocket.connect":
        return None
    connection = connection_of(scope, path_params)
    try:
        check_origin(core, connection)
        codec, subprotocol = _format(connection)
        transport = WebSocketTransport(scope, send, codec)
        hub, session = _make_session(core, scope, transport, codec, path_params)
        await transport.accept(subprotocol, direct=core.settings.direct_writes)
        try:
            hub.admit(session)
        except Refused as refused:
            told = refused.disconnect
            Refusal(told.code, told.reason, refused.advice).log(scope)
            await transport.send_close(told)
            return None
    except Refusal as refusal:
        await refuse(scope, receive, send, refusal)
        return None
    except Exception as error:  # noqa: BLE001  # whatever a server raises here: the client has left
        logger.debug("a client left during the handshake: %s", printable(error))
        return None
    hub.schedule(session, session.connected_at + _FIRST_COMMAND_TIME)
    session.client = SdkClient(core, hub, session, codec, scope)
    transport.begin(hub, session, _take)
    return transport


def _take(hub: Hub, session: Connection, frame: str | bytes) -> Iterable[int | Awaitable[None]]:
    """Have a session's client handle a frame; its own method would be an object for each."""
    client = session.client
    return client.take(frame) if isinstance(client, SdkClient) else ()


def _make_session(
    core: Core,
    scope: Scope,
    transport: WebSocketTransport,
    codec: SdkCodec,
    path_params: Mapping[str, Any],
) -> tuple[Hub, Connection]:
    try:
        hub = core.hub
    except NotRunningError as error:
        raise not_running(error) from None
    now = clock.monotonic()
    session = Connection(
        random_text(12),
        "",
        transport,
        codec,
        hub,
        FirstCommand(_FIRST_COMMAND_TIME, now),
        now,
    )
    session.path_params = path_params
    session.remote = peer_address(scope)
    return hub, session


def _format(connection: HTTPConnection) -> tuple[SdkCodec, str | None]:
    """Return the codec that a client asked for, and the subprotocol to accept."""
    offered = connection.scope.get("subprotocols") or ()
    asked = connection.scope.get("query_string") and any(
        query_parameter(connection, name) == "protobuf" for name in _FORMAT_PARAMETERS
    )
    if asked or _PROTOBUF in offered:
        # Imported on use: it needs the extra [protobuf], which few servers have.
        try:
            from ...protocols.centrifuge.protobuf_codec import CODEC as PROTOBUF  # noqa: PLC0415
        except ImportError:
            advice = 'pip install "protobuf>=5.29.6"'
            raise Refusal(501, "Protobuf is not installed here", advice) from None
        return PROTOBUF, _PROTOBUF if _PROTOBUF in offered else None
    return JSON, _JSON if _JSON in offered else None
