"""One event stream, as the hub sees it: an HTTP response whose body goes on."""

import random
from collections.abc import Mapping

from starlette.types import Send

from ..connection import Connection
from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..protocols import WireMessage
from ..protocols.sse import CODEC, EventIds
from .interrupt import make_interrupt
from .uvicorn import StreamWriter, recognise_stream
from .websocket import send_nowhere

# After how long a browser comes back to a stream that was cut off, in seconds; each gets a time of its own, so that all
# who are cut off together do not come together. Browsers' own is 3 to 5 s, the same for all.
_RETRY = 1.0, 4.0

# The same for a stream that the server ends because it shuts down: mostly another one takes over, or comes soon.
_RETRY_ELSEWHERE = 1.0, 8.0


def retry(disconnect: Disconnect | None = None) -> int:
    """Return when a browser is to come back, in milliseconds."""
    between = _RETRY_ELSEWHERE if disconnect == Disconnect.SHUTDOWN else _RETRY
    return round(1000 * random.uniform(*between))  # noqa: S311  # jitter, not a secret


class EventStreamTransport:
    """One response that is a stream of events, and the ids that they get.

    It starts with the first event: when a page sees its stream open, its session is in all its channels.
    """

    __slots__ = ("_direct", "_headers", "_held", "_places", "_send", "_session", "hub", "interrupt")

    name = "sse"

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self._headers: Mapping[str, str] | None = headers  # None once they are sent
        self._places = EventIds()
        self._direct: StreamWriter | None = None
        self._held = False  # whether something waits that comes first, such as what starts it
        self._session: Connection | None = None
        self.hub: Hub | None = None
        self.interrupt = make_interrupt()

    def attach(self, hub: Hub, session: Connection) -> None:
        """Have the hub told when more was written to the session than its peer takes."""
        self.hub, self._session = hub, session

    async def _start(self) -> None:
        if self._headers is None:
            return
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self._headers.items()]
        self._headers = None
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if self.hub is not None and self.hub.settings.direct_writes:
            self._direct = recognise_stream(self._send)
        if self._direct is not None and self.hub is not None:
            self._direct.hub, self._direct.session = self.hub, self._session
            self._direct.held = self._held
            self._direct.limit_silence(self.hub.settings.send_timeout)

    def write(self, frames: bytes) -> bool:
        """Write whole events now; False, and nothing done, where that cannot be."""
        if self._direct is None or not self._direct.write(self._places.stamp(frames)):
            return False
        self._places.advance(frames)
        return True

    def hold(self, held: bool) -> None:
        """Have ``write`` refuse, as something waits that comes first; or no more."""
        self._held = held
        if self._direct is not None:
            self._direct.held = held

    async def send(self, message: WireMessage) -> None:
        """Send events the way of ASGI."""
        await self._start()
        body = self._places.stamp(message.data)
        self._places.advance(message.data)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def flush(self) -> None:
        """Wait until the peer has taken enough of what was written for there to be room; only then is it in time."""
        if self._direct is not None:
            await self._direct.flush()

    async def close(self, disconnect: Disconnect) -> None:
        """Say why, and when to come back, and end the response."""
        await self._start()
        body = CODEC.end(disconnect, retry(disconnect)).data
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def forget(self) -> None:
        """Let go of the connection and of the session, which has ended: as a circle they would not be freed at once."""
        direct, self._direct = self._direct, None
        if direct is not None:
            direct.held = True
            direct.hub = direct.session = None
        self.hub = self._session = None
        self._send = send_nowhere

    def stop(self, *, abort: bool = False) -> None:
        """Have the waiting for the client's end, and with it the response, end; with ``abort`` the connection too."""
        if abort and self._direct is not None:
            self._direct.abort()
        self.interrupt.cancel()
