"""The event stream as a transport: an HTTP response whose body does not end."""

import random
from collections.abc import Mapping, Sequence

from starlette.types import Send

from ..connection import Connection
from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..protocols import WireMessage
from ..protocols.gzip_stream import GzipStream
from ..protocols.sse import CODEC, MARK, EventIds
from ..transport import Writes
from .context import keep_context
from .direct_writes import StreamWriter, recognise_stream
from .interrupt import make_interrupt
from .websocket import send_nowhere

# The time after which a browser comes back to a stream that was cut off, in seconds. Each one gets
# another time, so that they do not all come at once. A browser's own is 3 to 5 s.
_RETRY = 1.0, 4.0

# The same for a stream of a server that shuts down: mostly another one takes over, or comes soon.
_RETRY_ELSEWHERE = 1.0, 8.0


def retry(disconnect: Disconnect | None = None) -> int:
    """Return the time after which a browser has to come back, in milliseconds."""
    between = _RETRY_ELSEWHERE if disconnect == Disconnect.SHUTDOWN else _RETRY
    return round(1000 * random.uniform(*between))  # noqa: S311  # jitter, not a secret


class EventStreamTransport:
    """One response that is a stream of events, and the ids of its events.

    It starts with the first event. So when a page sees its stream open, its session is in all its
    channels.
    """

    __slots__ = (
        "_direct",
        "_event_ids",
        "_gzip",
        "_headers",
        "_held",
        "_send",
        "_session",
        "_takes_gzip",
        "_wrapped",
        "hub",
        "interrupt",
    )

    name = "sse"
    deflate = None

    def __init__(self, send: Send, headers: Mapping[str, str], *, gzip: bool) -> None:
        self._send = keep_context(send)
        self._wrapped: Send | None = send  # None once it is known how to write
        self._headers: Mapping[str, str] | None = headers  # None once they are sent
        self._event_ids = EventIds()
        self._takes_gzip = gzip
        self._gzip: GzipStream | None = None
        self._direct: StreamWriter | None = None
        self._held = False  # whether queued events, or the start, come first
        self._session: Connection | None = None
        self.hub: Hub | None = None
        self.interrupt = make_interrupt()

    def attach(self, hub: Hub, session: Connection) -> None:
        """Tell the hub when more is written to the session than its peer takes."""
        self.hub = hub
        self._session = session
        if self._takes_gzip and self._headers is not None and hub.settings.compression == "auto":
            compression = hub.fanout.compression
            self._gzip = GzipStream(compression.pieces, compression.blocks)
            self._headers = {**self._headers, "content-encoding": "gzip"}

    async def _start(self) -> None:
        if self._headers is None:
            return
        headers = [
            (name.encode(), value.encode("latin-1")) for name, value in self._headers.items()
        ]
        self._headers = None
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._recognise()

    def _recognise(self) -> None:
        hub = self.hub
        if hub is None or not hub.settings.direct_writes:
            return
        self._direct = recognise_stream(self._wrapped)
        if self._direct is None:
            return
        self._wrapped = None
        self._direct.hub = hub
        self._direct.session = self._session
        self._direct.hold(self._held)
        self._direct.limit_silence(hub.settings.send_timeout)
        if self._session is not None:
            hub.count_as_direct(self._session)

    @property
    def writes(self) -> Writes:
        """Whether events are written to the server's transport, which is known once it starts."""
        return "ordinary" if self._direct is None else "direct"

    def write(self, frames: bytes) -> bool:
        """Write whole events now; return False, and write nothing, if that is not possible."""
        if self._direct is None:
            return False
        text = self._event_ids.stamp(frames)
        if not self._direct.write(text if self._gzip is None else self._compressed(text, frames)):
            return False
        self._advance(text, frames)
        return True

    def _compressed(self, text: bytes, events: bytes, pieces: Sequence[bytes] = ()) -> bytes:
        if self._gzip is None:
            return text
        return self._gzip.encode(text, events, MARK, self._event_ids.id, pieces)

    def _advance(self, text: bytes, events: bytes) -> None:
        self._event_ids.advance(events)
        if self._gzip is not None:
            self._gzip.advance(text)

    def hold(self, held: bool) -> None:
        """Make ``write`` refuse, or no longer refuse, as queued events come first."""
        self._held = held
        if self._direct is not None:
            self._direct.hold(held)

    async def send(self, message: WireMessage) -> None:
        """Send events by ASGI."""
        await self._start()
        text = self._event_ids.stamp(message.data)
        body = self._compressed(text, message.data, message.shared)
        self._advance(text, message.data)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        if self._wrapped is not None:
            self._recognise()  # a middleware may have kept the start until now
            self._wrapped = None

    async def flush(self) -> None:
        """Wait until the server's transport has room for more."""
        if self._direct is not None:
            await self._direct.flush()

    async def close(self, disconnect: Disconnect) -> None:
        """Send why the stream ends and when to come back, and end the response."""
        await self._start()
        text = CODEC.end(disconnect, retry(disconnect)).data
        body = self._compressed(text, text)
        if self._gzip is not None:
            self._gzip.advance(text)
            body += self._gzip.end()
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def forget(self) -> None:
        """Drop the references to the connection and the ended session.

        In a circle they would not be freed at once.
        """
        direct = self._direct
        self._direct = None
        if direct is not None:
            direct.let_go()
        self.hub = None
        self._session = None
        self._wrapped = None
        self._send = send_nowhere

    def stop(self, *, abort: bool = False) -> None:
        """End the response; with ``abort`` the connection too."""
        if abort and self._direct is not None:
            self._direct.abort()
        self.interrupt.cancel()
