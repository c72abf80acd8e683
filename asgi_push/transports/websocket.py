"""A WebSocket that carries one session's messages, on any ASGI server."""

from collections.abc import Callable, Iterable, Sequence

import anyio
from starlette.types import Message, Receive, Scope, Send

from ..connection import Connection, State
from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..logs import logger
from ..protocols import Codec, WireMessage
from .interrupt import make_interrupt
from .limits import check_server, closed_by_server
from .uvicorn import DirectWriter, recognise

# Takes one message of a client in pieces, and yields the size of each: between two of them others may have their turn.
Take = Callable[[Connection, str | bytes], Iterable[int]]


# Servers that name no version of the specification (daphne) send no standard code but 1000, which would mean that the
# client should stay away; there the SDK's codes say the same.
_CODES_OF_OLD = {1009: 3009, 1011: 3004, 1012: 3001, 1013: 3008}

# What a receive loop that was told to end may take for that, in seconds: it has nothing to wait for.
_QUIET_TIME = 1.0


class WebSocketTransport:
    """One WebSocket, as the hub sees it."""

    __slots__ = ("_closed", "_codec", "_direct", "_over", "_quiet", "_reasons", "_send", "interrupt", "write")

    name = "websocket"

    def __init__(self, scope: Scope, send: Send, codec: Codec) -> None:
        self._send = send
        self._codec = codec
        self._direct: DirectWriter | None = None
        self._reasons = "spec_version" in scope.get("asgi", ())
        self._over = False  # the receive loop has ended
        self._quiet: anyio.Event | None = None  # it was asked to end, and has
        self._closed: anyio.Event | None = None  # the close frame is sent, or never will be
        self.interrupt = make_interrupt()
        self.write = _cannot

    async def accept(self, subprotocol: str | None, *, direct: bool) -> None:
        """Accept the connection; ``direct`` has frames written to the server's transport where that is known."""
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        self._direct = recognise(self._send) if direct else None
        if self._direct is not None:
            self.write = self._direct.write

    async def send(self, message: WireMessage) -> None:
        """Send one message the way of ASGI."""
        await self._send({"type": "websocket.send", "text" if message.text else "bytes": message.content})

    def attach(self, hub: Hub, session: Connection) -> None:
        """Have the hub told when more was written to the session than its peer takes."""
        check_server(hub, self._send)
        if self._direct is not None:
            self._direct.hub, self._direct.session = hub, session

    def hold(self, held: bool) -> None:
        """Have ``write`` refuse, as something waits that comes first; or no more."""
        if self._direct is not None:
            self._direct.held = held

    async def flush(self) -> None:
        """Wait until the peer has taken enough of what was written for there to be room; only then is it in time."""
        if self._direct is not None:
            await self._direct.flush()

    async def close(self, disconnect: Disconnect) -> None:
        """End the receive loop and send the close frame; granian sends none while a ``receive()`` waits."""
        if self._over:
            return
        self._quiet, self._closed = anyio.Event(), anyio.Event()
        try:
            self.interrupt.cancel()
            with anyio.move_on_after(_QUIET_TIME):
                await self._quiet.wait()
            await self.send_close(disconnect)
        finally:
            self._closed.set()

    async def send_close(self, disconnect: Disconnect) -> None:
        """Send the close frame of a connection that nothing is received from."""
        code = self._codec.close_code(disconnect)
        message = {"type": "websocket.close", "code": code, "reason": disconnect.reason}
        if not self._reasons:
            message = {"type": "websocket.close", "code": _CODES_OF_OLD.get(code, code)}
        await self._send(message)

    async def finish(self, within: float) -> None:
        """The receive loop has ended: stay until the close frame is sent, as servers close when an application ends."""
        self._over = True
        if self._quiet is not None and self._closed is not None:
            self._quiet.set()
            with anyio.move_on_after(within):
                await self._closed.wait()

    def stop(self, *, abort: bool = False) -> None:
        """End the receive loop; with ``abort`` the transport too, where it is known, and no close frame."""
        if abort and self._direct is not None:
            self._direct.abort()
        if abort and self._closed is not None:
            self._closed.set()
        self.interrupt.cancel()

    def forget(self) -> None:
        """Let go of the connection and of the session, which has ended: as a circle they would not be freed at once."""
        direct, self._direct = self._direct, None
        if direct is not None:
            direct.held = True
            direct.hub = direct.session = None
        self.write = _cannot
        self._send = send_nowhere


def _cannot(frames: bytes) -> bool:
    return False


async def send_nowhere(message: Message) -> None:
    """Stand for the ``send`` of a connection that has ended."""
    raise ConnectionError("the connection has ended")


async def run_session(
    hub: Hub,
    session: Connection,
    transport: WebSocketTransport,
    receive: Receive,
    take: Take,
    channels: Sequence[str] | None = None,
) -> None:
    """Receive for an accepted session to its end; with ``channels`` it enters the registry first."""
    # A cancellation means that the server shuts down; every other end gives its own reason.
    disconnect = Disconnect.SHUTDOWN
    transport.attach(hub, session)
    try:
        with transport.interrupt:
            if channels is not None:
                await hub.open(session, channels)
            disconnect = await _receive_all(hub, session, receive, take)
        await transport.finish(hub.settings.send_timeout)
    except Exception:  # noqa: BLE001  # whatever a server raises in receive()
        logger.exception("session %s failed", session.id)
        disconnect = Disconnect.SERVER_ERROR
    finally:
        hub.ended(session, disconnect)
        transport.forget()


async def _receive_all(hub: Hub, session: Connection, receive: Receive, take: Take) -> Disconnect:
    """Give ``take`` what a client sends, not faster than it is carried out; return why it ended."""
    intake = hub.intake
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            if event.get("code") == Disconnect.MESSAGE_TOO_LARGE.code and session.state is State.OPEN:
                closed_by_server(hub)
            return Disconnect.of_peer(event.get("code"), event.get("reason"))
        if session.state is State.OPEN:
            text = event.get("text")
            for size in take(session, text if text is not None else event.get("bytes") or b""):
                if intake.over(session, size):
                    await intake.hold(session)
