"""Direct writes: the one module that knows uvicorn's insides.

``send`` of uvicorn's own WebSocket protocol (``--ws websockets-sansio``, the default where websockets is installed) is
a bound method of the protocol object, which has the transport. Frames that are ready go straight to that transport.
Where anything about it is not as known here, ``recognise`` returns None and the ordinary path serves.
"""

import asyncio
import os
import sys
from types import MethodType
from typing import Any

from ..hub.hub import Hub
from ..session import Session

_MODULE = "uvicorn.protocols.websockets.websockets_sansio_impl"

# What is used of the protocol object; all of it is there from uvicorn 0.35 to 0.54, and is looked for at each accept.
_NEEDED = ("transport", "conn", "writable", "handshake_complete", "close_sent", "disconnected")

# What a transport may hold besides one write, in bytes: asyncio's own high-water mark, above which uvicorn pauses.
_HIGH_WATER = 64 * 1024


class DirectWriter:
    """Writes frames to the transport of one connection.

    They are never compressed, which is legal on a connection that negotiated permessage-deflate: a message without
    RSV1 is an uncompressed one and leaves the compressor's window alone (RFC 7692, section 6).
    """

    __slots__ = ("_fd", "_protocol", "_transport", "hub", "session")

    def __init__(self, protocol: Any) -> None:
        self.hub: Hub | None = None  # told when the transport has to keep more than it should of what was written ...
        self.session: Session | None = None  # ... to this session
        self._protocol = protocol
        self._transport = protocol.transport
        self._fd = _socket_of(protocol.transport)

    def write(self, frames: bytes) -> bool:
        """Write whole frames now; False, and nothing written, after a close or while the transport is full."""
        transport = self._transport
        # Whatever ends a connection in uvicorn does one of the two before it lets go of the loop.
        if self._protocol.close_sent or transport.is_closing():
            return False
        waiting = transport.get_write_buffer_size()
        if waiting and waiting + len(frames) > _HIGH_WATER:
            return False
        if waiting or self._fd < 0:
            self._write_rest(frames)
            return True
        # What transport.write does first where nothing waits, in half the time; the rest, and all errors, are its own.
        try:
            written = os.write(self._fd, frames)
        except OSError:
            written = 0
        if written < len(frames):
            self._write_rest(frames[written:])
        return True

    def _write_rest(self, frames: bytes) -> None:
        self._transport.write(frames)
        if self.hub is not None and self.session is not None and self._transport.get_write_buffer_size() > _HIGH_WATER:
            self.hub.behind(self.session)

    async def flush(self) -> None:
        """Wait until the transport can take more."""
        if self._transport.get_write_buffer_size() > _HIGH_WATER:
            await self._protocol.writable.wait()

    def abort(self) -> None:
        """Drop the connection and what waits in its transport."""
        self._transport.abort()


def _socket_of(transport: Any) -> int:
    """Return the file descriptor that takes a transport's bytes as they are, or -1: under TLS there is none."""
    if os.name != "posix" or transport.get_extra_info("sslcontext") is not None:
        return -1
    socket = transport.get_extra_info("socket")
    return -1 if socket is None else int(socket.fileno())


def recognise(send: Any) -> DirectWriter | None:
    """Return how to write directly to the connection behind an accepted WebSocket's ``send``, or None."""
    module = sys.modules.get(_MODULE)
    if module is None or type(send) is not MethodType:  # a proxy of one has all of its attributes
        return None
    protocol: Any = send.__self__
    if type(protocol) is not module.WebSocketsSansIOProtocol or send.__name__ != "send":
        return None
    if any(not hasattr(protocol, name) for name in _NEEDED) or not isinstance(protocol.writable, asyncio.Event):
        return None
    if not protocol.handshake_complete or not _only_deflate(protocol.conn):
        return None
    open_state = getattr(sys.modules.get("websockets.protocol"), "OPEN", None)
    if open_state is None or protocol.conn.state is not open_state:
        return None
    return DirectWriter(protocol)


def _only_deflate(conn: Any) -> bool:
    """Whether no extension is in use under which a plain frame would mean something else."""
    extensions = getattr(conn, "extensions", None)
    return extensions is not None and all(type(item).__name__ == "PerMessageDeflate" for item in extensions)
