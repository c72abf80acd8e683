"""Direct writes to uvicorn's transports; only this module knows uvicorn's internals.

The ``send`` of uvicorn's own WebSocket protocol (``--ws websockets-sansio``, the default where
websockets is installed) is a bound method of the protocol object, which has the transport. The
``send`` of both its HTTP protocols is one of the response. Frames go straight to that transport,
past the wrappers of ``send`` that ``wrappers`` knows. If anything about it is unknown,
``recognise`` and ``recognise_stream`` return None, and messages are sent by ASGI.
"""

import asyncio
import os
import sys
from collections.abc import MutableMapping
from operator import attrgetter
from types import MethodType
from typing import Any, TypeVar

from ..connection import Connection
from ..hub.hub import Hub
from .keepalive import limit_silence
from .wrapped import tell_why_not_direct
from .wrappers import unwrap

T = TypeVar("T")

_MODULE = "uvicorn.protocols.websockets.websockets_sansio_impl"

# The attributes of the protocol object; each accept checks for them. uvicorn 0.52.1 to 0.54 have
# them all. `disconnected` came when its `send` began to wait for clients that read slowly, and is
# looked for because without that wait a queue is never full.
_NEEDED = ("transport", "conn", "writable", "handshake_complete", "close_sent", "disconnected")
_needed = attrgetter(*_NEEDED)

# The same for its two HTTP protocols.
_HTTPTOOLS = "uvicorn.protocols.http.httptools_impl"
_H11 = "uvicorn.protocols.http.h11_impl"
_NEEDED_OF_RESPONSES = ("transport", "flow", "scope", "response_started", "response_complete")

# The most that a transport may hold besides one write, in bytes: asyncio's own high-water mark,
# above which uvicorn pauses.
_HIGH_WATER = 64 * 1024


class _Writer:
    """Writes to the transport of one connection, past uvicorn's protocol; held without one."""

    __slots__ = ("_fd", "_protocol", "_transport", "held", "hub", "session")

    def __init__(self, protocol: Any = None) -> None:
        # The hub is told when the transport holds more than it should for the session.
        self.hub: Hub | None = None
        self.session: Connection | None = None
        self.held = True  # whether ``write`` refuses: queued messages come first
        self._protocol: Any = None
        self._transport: Any = None
        self._fd = -1
        if protocol is not None:
            self.take(protocol)

    def take(self, protocol: Any) -> None:
        """Write to this protocol's transport from now on."""
        self.held = False
        self._protocol = protocol
        self._transport = protocol.transport
        self._fd = _socket_of(protocol.transport)

    def let_go(self) -> None:
        """Write nothing any more, and drop the references to the connection and its session."""
        self.held = True
        self.hub = None
        self.session = None
        self._protocol = None
        self._transport = None

    @property
    def direct(self) -> bool:
        """Whether there is something to write to."""
        return self._protocol is not None

    def hold(self, held: bool) -> None:
        """Make ``write`` refuse, or no longer refuse, as queued messages come first."""
        self.held = held or self._protocol is None

    def _put(self, frames: bytes) -> bool:
        transport = self._transport
        waiting = transport.get_write_buffer_size()
        if waiting and waiting + len(frames) > _HIGH_WATER:
            return False
        if waiting or self._fd < 0:
            self._write_rest(frames)
            return True
        # This is what transport.write does first if nothing waits, in half the time. The rest, and
        # all errors, are left to it.
        try:
            written = os.write(self._fd, frames)
        except OSError:
            written = 0
        if written < len(frames):
            self._write_rest(frames[written:])
        return True

    def _write_rest(self, frames: bytes) -> None:
        self._transport.write(frames)
        behind = self._transport.get_write_buffer_size() > _HIGH_WATER
        if behind and self.hub is not None and self.session is not None:
            self.hub.publisher.behind(self.session)

    def abort(self) -> None:
        """Drop the connection, and what its transport holds."""
        self._transport.abort()


class DirectWriter(_Writer):
    """Writes frames of a WebSocket.

    On a connection that negotiated permessage-deflate they need not be compressed: a message
    without RSV1 is not, and leaves the compressor's window as it is (RFC 7692, section 6).
    """

    __slots__ = ()

    def leave_context(self) -> int:
        """Have the server compress each of its own messages from an empty window from now on.

        Compressed messages that are written here come between them. Returns the bits of the
        client's window; 0 if compression was not agreed on.
        """
        extension: Any = next(iter(self._protocol.conn.extensions), None)
        if not hasattr(extension, "local_no_context_takeover"):
            return 0
        extension.local_no_context_takeover = True
        # It is made anew for each message, in some 5 us. One that is kept holds 38 kB of memory.
        if hasattr(extension, "encoder"):
            del extension.encoder
        return int(getattr(extension, "local_max_window_bits", 0))

    def forget_handshake(self) -> None:
        """Drop what only the handshake needed: uvicorn keeps a third of a connection's objects."""
        for name in ("request", "response"):
            headers = getattr(getattr(self._protocol, name, None), "headers", None)
            if isinstance(headers, MutableMapping):
                headers.clear()
        if hasattr(self._protocol.conn, "available_extensions"):
            self._protocol.conn.available_extensions = None

    def write(self, frames: bytes) -> bool:
        """Write whole frames now; return False, and write nothing, if that is not possible.

        It is not while the writer is held, after a close, and with a full transport.
        """
        transport = self._transport
        # Whatever ends a connection in uvicorn sets one of the last two before other tasks run.
        if self.held or self._protocol.close_sent or transport.is_closing():
            return False
        if self._fd < 0 or transport.get_write_buffer_size():
            return self._put(frames)
        # The usual case of _put without its call, which is 2 to 6 % of what a message costs.
        try:
            written = os.write(self._fd, frames)
        except OSError:
            written = 0
        if written < len(frames):
            self._write_rest(frames[written:])
        return True

    async def flush(self) -> None:
        """Wait until the transport can take more."""
        if self._transport.get_write_buffer_size() > _HIGH_WATER:
            await self._protocol.writable.wait()


class StreamWriter(_Writer):
    """Writes parts of a response's body, each as one chunk (RFC 9112, section 7.1)."""

    __slots__ = ()

    def write(self, body: bytes) -> bool:
        """Write a part now; return False, and write nothing, if that is not possible.

        It is not while the writer is held, after the end, and with a full transport.
        """
        if self.held or self._protocol.response_complete or self._transport.is_closing():
            return False
        # A chunk without any bytes would be the end of the body.
        return not body or self._put(b"%x\r\n%b\r\n" % (len(body), body))

    def limit_silence(self, seconds: float) -> None:
        """End the connection when nothing that was sent is acknowledged for ``seconds``."""
        limit_silence(self._transport.get_extra_info("socket"), seconds)

    async def flush(self) -> None:
        """Wait until the transport can take more."""
        if self._transport.get_write_buffer_size() > _HIGH_WATER:
            await self._protocol.flow.drain()


def _socket_of(transport: Any) -> int:
    """Return the file descriptor that takes a transport's bytes as they are; -1 under TLS."""
    if os.name != "posix" or transport.get_extra_info("sslcontext") is not None:
        return -1
    peer = transport.get_extra_info("socket")
    return -1 if peer is None else int(peer.fileno())


_classes: set[type[Any]] = set()


def trusted(cls: type[T]) -> type[T]:
    """Let a subclass of uvicorn's WebSocket protocol be written to as uvicorn's own is."""
    _classes.add(cls)
    return cls


def recognise(send: Any) -> Any:
    """Return what a ``DirectWriter`` takes, behind an accepted WebSocket's ``send``; else None.

    If uvicorn is the server and the reason can be changed, it is logged.
    """
    protocol = _recognise(send)
    if protocol is None and (inner := unwrap(send)) is not send:
        send = inner
        protocol = _recognise(send)
    if protocol is None:
        tell_why_not_direct(send, (_MODULE,), _NEEDED, by_name=True)
    return protocol


def _recognise(send: Any) -> Any:
    module = sys.modules.get(_MODULE)
    if module is None or type(send) is not MethodType:  # a proxy of one has all of its attributes
        return None
    protocol: Any = send.__self__
    known = type(protocol) is module.WebSocketsSansIOProtocol or type(protocol) in _classes
    if not known or send.__name__ != "send":
        return None
    try:
        _needed(protocol)
    except AttributeError:
        return None
    if not isinstance(protocol.writable, asyncio.Event):
        return None
    conn = protocol.conn
    extensions = getattr(conn, "extensions", None)
    if not protocol.handshake_complete or extensions is None:
        return None
    # With any other extension a plain frame might not mean what it says.
    if any(type(item).__name__ != "PerMessageDeflate" for item in extensions):
        return None
    open_state = getattr(sys.modules.get("websockets.protocol"), "OPEN", None)
    return protocol if open_state is not None and conn.state is open_state else None


def recognise_stream(send: Any) -> StreamWriter | None:
    """Return a writer to the started response behind a ``send``; None if unknown.

    If uvicorn is the server and the reason can be changed, it is logged.
    """
    send = unwrap(send)
    writer = _recognise_stream(send)
    if writer is None:
        tell_why_not_direct(send, (_HTTPTOOLS, _H11), _NEEDED_OF_RESPONSES)
    return writer


def _recognise_stream(send: Any) -> StreamWriter | None:
    if type(send) is not MethodType or send.__name__ != "send":
        return None
    response: Any = send.__self__
    if any(not hasattr(response, name) for name in _NEEDED_OF_RESPONSES):
        return None
    if not hasattr(response.flow, "drain") or response.scope["method"] != "GET":
        return None
    if not response.response_started or response.response_complete:
        return None
    chunked = _is_chunked_by_httptools(response) or _is_chunked_by_h11(response)
    return StreamWriter(response) if chunked else None


def _is_chunked_by_httptools(response: Any) -> bool:
    module = sys.modules.get(_HTTPTOOLS)
    return (
        module is not None
        and type(response) is module.RequestResponseCycle
        and getattr(response, "chunked_encoding", None) is True
    )


def _is_chunked_by_h11(response: Any) -> bool:
    """Return whether a body without a length is sent in chunks.

    h11's state stays the same from the first to the last part of a body.
    """
    module = sys.modules.get(_H11)
    h11 = sys.modules.get("h11")
    if module is None or h11 is None or type(response) is not module.RequestResponseCycle:
        return False
    conn = getattr(response, "conn", None)
    # h11 does so for a body without a length, if the client knows chunks (RFC 9112, section 6.1).
    version = getattr(conn, "their_http_version", b"")
    return getattr(conn, "our_state", None) is h11.SEND_BODY and version == b"1.1"
