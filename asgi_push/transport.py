"""What carries a session, as the layers below the transports see it."""

from typing import Literal, Protocol

from .disconnect import Disconnect
from .protocols import Deflate, WireMessage

# How a session's messages are written: to the server's transport, or by ASGI.
Writes = Literal["direct", "ordinary"]


class Transport(Protocol):
    """What carries the messages of one session, such as a WebSocket."""

    @property
    def name(self) -> str:
        """The name that users see as ``session.transport``."""
        ...

    @property
    def writes(self) -> Writes:
        """Whether ``write`` can do anything but refuse."""
        ...

    @property
    def deflate(self) -> Deflate | None:
        """What compresses frames for ``write``; None where that was not agreed on."""

    def write(self, frames: bytes) -> bool:
        """Write frames now and return True; return False, with nothing done, if that cannot be."""
        ...

    def hold(self, held: bool) -> None:
        """Have ``write`` refuse because messages wait that come first, or no longer."""
        ...

    async def send(self, message: WireMessage) -> None:
        """Send one message; any exception means that the peer is gone."""
        ...

    async def flush(self) -> None:
        """Wait until there is room for more of what ``write`` sends."""
        ...

    async def close(self, disconnect: Disconnect) -> None:
        """Close with a code and a reason."""
        ...

    def stop(self, *, abort: bool = False) -> None:
        """End the receive loop; with ``abort`` drop the connection and all that waits in it."""
        ...
