"""A WebSocket that carries one session's messages, on any ASGI server."""

from collections.abc import Awaitable, Callable, Iterable, Iterator

import anyio
from starlette.types import Message, Receive, Scope, Send

from ..connection import Connection
from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..logs import logger
from ..protocols import Codec, Deflate, WireMessage
from ..transport import Writes
from .context import keep_context
from .direct_writes import DirectWriter, recognise
from .interrupt import make_interrupt
from .limits import check_server, closed_by_server
from .offer import take_offered
from .wrappers import unwrap

# Takes a client's message in pieces, and yields the size of each: other tasks may run between two.
# What it yields beside sizes is awaited before it goes on.
Take = Callable[[Hub, Connection, str | bytes], Iterable[int | Awaitable[None]]]

# Servers that name no version of the specification (daphne) send no standard code but 1000, which
# would tell the client to stay away. There these codes of the SDK protocol say the same.
_CODES_WITHOUT_VERSION = {1009: 3009, 1011: 3004, 1012: 3001, 1013: 3008}

# The time that a receive loop gets to end, in seconds: it has nothing to wait for.
_QUIET_TIME = 1.0


class WebSocketTransport(DirectWriter):
    """One WebSocket as a transport: it writes directly where it can, and else sends by ASGI.

    It is both in one object, as each object of an idle session is a hundred thousand of them.
    """

    __slots__ = (
        "_closed",
        "_codec",
        "_offered",
        "_quiet",
        "_reasons",
        "_send",
        "_take",
        "deflate",
        "interrupt",
        "left",
    )

    name = "websocket"

    def __init__(self, scope: Scope, send: Send, codec: Codec) -> None:
        super().__init__()
        self._send = send
        self._offered = take_offered(scope)
        self._codec = codec
        self._reasons = "spec_version" in scope.get("asgi", ())
        self._take: Take | None = None
        self.left: Disconnect | None = None  # why the receive loop has ended
        self._quiet: anyio.Event | None = None  # it was asked to end, and has
        self._closed: anyio.Event | None = None  # the close frame is sent, or never will be
        self.interrupt = make_interrupt()
        self.deflate: Deflate | None = None

    @property
    def writes(self) -> Writes:
        """Whether frames are written to the server's transport."""
        return "direct" if self.direct else "ordinary"

    async def accept(self, subprotocol: str | None, *, direct: bool) -> None:
        """Accept the connection; with ``direct`` write to the server's transport if possible."""
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        protocol = recognise(self._offered or self._send) if direct else None
        self._offered = None
        if protocol is not None:
            self.take(protocol)
            self.forget_handshake()

    async def send(self, message: WireMessage) -> None:
        """Send one message by ASGI."""
        await self._send(
            {"type": "websocket.send", "text" if message.text else "bytes": message.content}
        )

    async def flush(self) -> None:
        """Wait until the server's transport has room for more."""
        if self.direct:
            await super().flush()

    async def close(self, disconnect: Disconnect) -> None:
        """End the receive loop, then send the close frame.

        Granian sends none while a ``receive()`` waits.
        """
        if self.left is not None:
            return
        self._quiet = anyio.Event()
        self._closed = anyio.Event()
        try:
            self.interrupt.cancel()
            with anyio.move_on_after(_QUIET_TIME):
                await self._quiet.wait()
            await self.send_close(disconnect)
        finally:
            self._closed.set()

    async def send_close(self, disconnect: Disconnect) -> None:
        """Send the close frame, while no receive loop runs."""
        code = self._codec.close_code(disconnect)
        message = {"type": "websocket.close", "code": code, "reason": disconnect.reason}
        if not self._reasons:
            message = {"type": "websocket.close", "code": _CODES_WITHOUT_VERSION.get(code, code)}
        await self._send(message)

    def stop(self, *, abort: bool = False) -> None:
        """End the receive loop; with ``abort`` drop the connection, if possible."""
        if abort and self.direct:
            self.abort()
        if abort and self._closed is not None:
            self._closed.set()
        self.interrupt.cancel()

    # -- the receive loop, in pieces that ``run_session`` puts together ----------------------------

    def begin(self, hub: Hub, session: Connection, take: Take) -> None:
        """Begin to receive for a session; whoever calls this must have ``end`` called, too."""
        self.hub = hub
        self.session = session
        self._take = take
        self._attach(hub, session)
        self.interrupt.__enter__()

    async def open(self, opening: Awaitable[None]) -> bool:
        """Await what opens the session; return False if it has ended meanwhile."""
        try:
            await opening
        except BaseException as error:
            if not await self.end(error):
                raise
            return False
        return True

    def _attach(self, hub: Hub, session: Connection) -> None:
        send = self._protocol.send if self.direct else unwrap(self._send)
        check_server(hub, send, session)
        self._send = keep_context(self._send)
        if self.direct and hub.settings.compression == "auto":
            self.deflate = hub.fanout.compression.for_window(self.leave_context())

    def handle(self, event: Message) -> Awaitable[None] | None:
        """Handle what ``receive`` has returned; ``left`` is set if it was the last.

        Returns what must be awaited before the next ``receive``, if anything must: a client is
        given what it sends no faster than that is handled.
        """
        hub = self.hub
        session = self.session
        if hub is None or session is None or self._take is None:
            return None
        if event["type"] == "websocket.disconnect":
            self.left = _reason_of(hub, session, event)
        elif session.disconnect is None:
            pieces = iter(self._take(hub, session, _data_of(event)))
            if (first := _next_wait(hub, session, pieces)) is not None:
                return _wait(hub, session, first, pieces)
        return None

    async def end(self, error: BaseException | None = None) -> bool:
        """End the session: it was left, or an error came out of its receive loop.

        Returns False if the error must go on. It is a cancellation then: the server shuts down.
        """
        hub = self.hub
        session = self.session
        if hub is None or session is None:
            return False
        # Every end that is no cancellation has a reason of its own.
        disconnect = Disconnect.SHUTDOWN
        try:
            if self._is_over(error):
                self.left = disconnect = self.left or disconnect
                await self._finish(hub.settings.send_timeout)
            elif isinstance(error, Exception):  # whatever a server raises in receive()
                logger.error("session %s failed", session.id, exc_info=error)
                disconnect = Disconnect.SERVER_ERROR
            else:
                return False
        finally:
            hub.end(session, disconnect)
            self._forget()
        return True

    def _is_over(self, error: BaseException | None) -> bool:
        """Leave the interrupt; return whether the loop has come to its end, or was interrupted."""
        if error is None:
            self.interrupt.__exit__(None, None, None)
            return True
        return bool(self.interrupt.__exit__(type(error), error, error.__traceback__))

    async def _finish(self, within: float) -> None:
        """Wait until a close frame that is due is sent.

        Servers close the connection as soon as the application returns.
        """
        if self._quiet is not None and self._closed is not None:
            self._quiet.set()
            with anyio.move_on_after(within):
                await self._closed.wait()

    def _forget(self) -> None:
        """Drop the references to the connection and the ended session.

        In a circle they would not be freed at once.
        """
        self.let_go()
        self._take = None
        self._send = send_nowhere


async def send_nowhere(message: Message) -> None:
    """Replace the ``send`` of a connection that has ended."""
    raise ConnectionError("the connection has ended")


async def run_session(transport: WebSocketTransport, receive: Receive) -> None:
    """Receive for a session that has begun, to its end.

    ``PushMiddleware`` does the same in its own frame for all sessions but those of consoles.
    """
    try:
        while transport.left is None:
            if (rest := transport.handle(await receive())) is not None:
                await rest
                del rest
    except BaseException as error:
        if not await transport.end(error):
            raise
    else:
        await transport.end()


def _next_wait(
    hub: Hub, session: Connection, pieces: Iterator[int | Awaitable[None]]
) -> Awaitable[None] | None:
    """Take a client's message on; return what must be awaited before more of it is taken."""
    for piece in pieces:
        if not isinstance(piece, int):
            return piece
        if hub.intake.over(session, piece):
            return hub.intake.hold(session)
    return None


async def _wait(
    hub: Hub,
    session: Connection,
    first: Awaitable[None],
    pieces: Iterator[int | Awaitable[None]],
) -> None:
    """Await ``first``, and take the rest of the message."""
    following: Awaitable[None] | None = first
    while following is not None:
        await following
        following = _next_wait(hub, session, pieces)


def _data_of(event: Message) -> str | bytes:
    text = event.get("text")
    return text if text is not None else event.get("bytes") or b""


def _reason_of(hub: Hub, session: Connection, event: Message) -> Disconnect:
    """Return why a session has ended, as the server's event has it."""
    code = event.get("code")
    if code == Disconnect.MESSAGE_TOO_LARGE.code and session.disconnect is None:
        closed_by_server(hub)
    return Disconnect.of_peer(code, event.get("reason"))
