"""One EventSource: where its stream begins, and what the application does to it later."""

from collections.abc import Iterable
from typing import Any

from anyio.lowlevel import checkpoint

from ...connection import Connection
from ...delivery.undeliverable import without_position
from ...disconnect import Disconnect
from ...errors import BrokerError
from ...hub.hub import Hub
from ...hub.recovery import go_live, new_subscription, track
from ...messages import Payload, StreamPosition
from ...protocols import WireMessage
from ...protocols.sse import CODEC, LastEventId, place
from ...stream import Recovery
from ...subscription import TrackedSubscription
from ...transports.event_stream import retry

# Events of what was missed that are put together before all others have their turn.
_TOGETHER = 200


class EventClient:
    """The other end of an event stream, which keeps a position in each of its channels."""

    __slots__ = ("_connected", "_hub", "_last", "_session")

    opened_by_command = False

    def __init__(self, hub: Hub, session: Connection, last: LastEventId) -> None:
        self._hub = hub
        self._session = session
        self._last = last
        self._connected = False

    async def begin(self, channels: Iterable[str]) -> None:
        """Have the stream begun, ahead of everything that happens to its session from now on."""
        self._hub.call(self._session, self._start, channels)

    async def _start(self, session: Connection, channels: Iterable[str]) -> None:
        """Begin the stream: where its channels are, or where the client was in them, and what it missed since."""
        places, gaps, missed = [], [], []
        try:
            for channel in channels:
                since = self._last.position(channel)
                recovery = await self._begin(channel, since)
                events, whole = await self._events(recovery)
                places.append(_place(channel, since if whole else None, recovery))
                missed += events
                if not whole and self._last.knows(channel):
                    gaps.append(channel)
        except BrokerError:
            self._hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        await self._send(session, retry(), places, gaps, missed)
        self._connected = True
        for channel in channels:
            go_live(self._hub, session, channel)

    async def _send(
        self, session: Connection, retry: int, places: list[bytes], gaps: list[str], missed: list[WireMessage]
    ) -> None:
        """Send what a stream begins with, a part at a time: each event's id says how far it is with that."""
        self._hub.send_wire(session, CODEC.start(retry, places, gaps, missed[:_TOGETHER]))
        for start in range(_TOGETHER, len(missed), _TOGETHER):
            await checkpoint()
            await self._hub.wait_capacity(session)
            for message in CODEC.join(missed[start : start + _TOGETHER]):
                self._hub.send_wire(session, message)

    async def _begin(self, channel: str, since: StreamPosition | None) -> Recovery | None:
        subscription = new_subscription(self._hub, channel, server_side=True)
        subscription.join_leave = False  # of who comes and goes a page is not told
        return await track(self._hub, self._session, channel, subscription, since)

    async def _events(self, recovery: Recovery | None) -> tuple[list[WireMessage], bool]:
        """Return the events of what was missed, and whether that is all of it."""
        if recovery is None or not recovery.recovered:
            return [], False
        publications = recovery.publications
        events: Any = await self._hub.pieces.encoded(CODEC, publications, recovery.encoded)
        if events is not publications or not events:
            return events, True
        # One publication must not take the others with it. They come without their places, or the browser would come
        # back for the missing one.
        rest = self._hub.fanout.undeliverable.carried(CODEC, publications)
        return CODEC.part(list(map(without_position, rest))), False

    def gap(self, channel: str, subscription: TrackedSubscription) -> None:
        """A subscription cannot be continued: the browser comes back with the position that it has."""
        self._hub.close(self._session, Disconnect.INSUFFICIENT_STATE)

    async def subscribe_by_server(self, channel: str, data: Payload | None, since: StreamPosition | None) -> None:
        """The application puts it into a channel; of ``data`` a page is not told."""
        if self._connected:
            await self._subscribe(self._session, channel, since)
        else:
            self._hub.call(self._session, self._subscribe, channel, since)

    async def _subscribe(self, session: Connection, channel: str, since: StreamPosition | None) -> None:
        if not self._connected or channel in session.subscriptions:
            return
        try:
            recovery = await self._begin(channel, since)
        except BrokerError:
            self._hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        if channel in session.subscriptions:  # it may have been taken out again meanwhile
            missed, whole = await self._events(recovery)
            gaps = [channel] if since is not None and not whole else []
            await self._send(session, 0, [_place(channel, since if whole else None, recovery)], gaps, missed)
            go_live(self._hub, session, channel)

    def unsubscribe_by_server(self, channel: str) -> None:
        """The application takes it out of a channel."""
        if self._connected:
            self._unsubscribe(channel)
        else:
            self._hub.call(self._session, self._unsubscribe_later, channel)

    async def _unsubscribe_later(self, session: Connection, channel: str) -> None:
        self._unsubscribe(channel)

    def _unsubscribe(self, channel: str) -> None:
        if channel in self._session.subscriptions:
            self._hub.leave(self._session, channel)
            self._hub.send_wire(self._session, CODEC.left(channel))

    def next_deadline(self) -> float | None:
        """Nothing of it ever ends by itself."""
        return None

    def check(self, now: float) -> None:
        """Nothing is due."""


def _place(channel: str, since: StreamPosition | None, recovery: Recovery | None) -> bytes:
    """Return where a stream is in a channel before the events of what was missed."""
    if recovery is None:
        return place(channel, None)
    return place(channel, since if since is not None and recovery.recovered else recovery.position)
