"""One EventSource: the start of its stream, and what the application does to it later."""

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
from ...protocols.sse import CODEC, LastEventId, position_token
from ...stream import Recovery
from ...subscription import TrackedSubscription
from ...transports.event_stream import retry

# Missed events that are joined in one turn of the event loop.
_TOGETHER = 200


class EventClient:
    """The client of an event stream, which keeps a position in each of its channels."""

    __slots__ = ("_connected", "_hub", "_last_event_id", "_session")

    opened_by_command = False

    def __init__(self, hub: Hub, session: Connection, last_event_id: LastEventId) -> None:
        self._hub = hub
        self._session = session
        self._last_event_id = last_event_id
        self._connected = False

    async def begin(self, channels: Iterable[str]) -> None:
        """Start the stream before anything else that happens to the session from now on."""
        self._hub.call(self._session, self._start, channels)

    async def _start(self, session: Connection, channels: Iterable[str]) -> None:
        """Start the stream: with the positions of its channels, and what the client missed."""
        tokens: list[bytes] = []
        gaps: list[str] = []
        missed: list[WireMessage] = []
        try:
            for channel in channels:
                since = self._last_event_id.position(channel)
                recovery = await self._recover(channel, since)
                events, whole = await self._missed_events(recovery)
                tokens.append(_start_token(channel, since if whole else None, recovery))
                missed += events
                if not whole and self._last_event_id.knows(channel):
                    gaps.append(channel)
        except BrokerError:
            self._hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        await self._send(session, retry(), tokens, gaps, missed)
        self._connected = True
        for channel in channels:
            go_live(self._hub, session, channel)

    async def _send(
        self,
        session: Connection,
        retry: int,
        tokens: list[bytes],
        gaps: list[str],
        missed: list[WireMessage],
    ) -> None:
        """Send the first events of a stream, or of a new channel, a part at a time.

        The id of each event tells what came so far, so a cut between two parts loses nothing.
        """
        self._hub.send_wire(session, CODEC.start(retry, tokens, gaps, missed[:_TOGETHER]))
        for start in range(_TOGETHER, len(missed), _TOGETHER):
            await checkpoint()
            await self._hub.wait_capacity(session)
            for message in CODEC.join(missed[start : start + _TOGETHER]):
                self._hub.send_wire(session, message)

    async def _recover(self, channel: str, since: StreamPosition | None) -> Recovery | None:
        subscription = new_subscription(self._hub, channel, server_side=True)
        subscription.join_leave = False  # pages are not told
        return await track(self._hub, self._session, channel, subscription, since)

    async def _missed_events(self, recovery: Recovery | None) -> tuple[list[WireMessage], bool]:
        """Return the events that were missed, and whether these are all."""
        if recovery is None or not recovery.recovered:
            return [], False
        publications = recovery.publications
        events: Any = await self._hub.history_encoder.encode(CODEC, publications, recovery.encoded)
        if events is not publications or not events:
            return events, True
        # One bad publication must not cost the others. They come without tokens, or the browser
        # would come back for the missing one.
        rest = self._hub.fanout.undeliverable.carried(CODEC, publications)
        return CODEC.encode_part(list(map(without_position, rest))), False

    def gap(self, channel: str, subscription: TrackedSubscription) -> None:
        """Close the session: the browser comes back with the position that it has."""
        self._hub.close(self._session, Disconnect.INSUFFICIENT_STATE)

    async def subscribe_by_server(
        self, channel: str, data: Payload | None, since: StreamPosition | None
    ) -> None:
        """Subscribe the session for the application; pages are not told ``data``."""
        if self._connected:
            await self._subscribe(self._session, channel, since)
        else:
            self._hub.call(self._session, self._subscribe, channel, since)

    async def _subscribe(
        self, session: Connection, channel: str, since: StreamPosition | None
    ) -> None:
        if not self._connected or channel in session.subscriptions:
            return
        try:
            recovery = await self._recover(channel, since)
        except BrokerError:
            self._hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        if channel in session.subscriptions:  # the application may have unsubscribed it meanwhile
            missed, whole = await self._missed_events(recovery)
            gaps = [channel] if since is not None and not whole else []
            await self._send(
                session,
                0,
                [_start_token(channel, since if whole else None, recovery)],
                gaps,
                missed,
            )
            go_live(self._hub, session, channel)

    def unsubscribe_by_server(self, channel: str) -> None:
        """Unsubscribe the session for the application."""
        if self._connected:
            self._unsubscribe(channel)
        else:
            self._hub.call(self._session, self._unsubscribe_later, channel)

    async def _unsubscribe_later(self, session: Connection, channel: str) -> None:
        self._unsubscribe(channel)

    def _unsubscribe(self, channel: str) -> None:
        if channel in self._session.subscriptions:
            self._hub.leave(self._session, channel)
            self._hub.send_wire(self._session, CODEC.unsubscribed(channel))

    def next_deadline(self) -> float | None:
        """Return None: no subscription of it expires."""
        return None

    def check(self, now: float) -> None:
        """Do nothing: nothing is ever due."""


def _start_token(channel: str, since: StreamPosition | None, recovery: Recovery | None) -> bytes:
    """Return the position token of a channel before the missed events."""
    if recovery is None:
        return position_token(channel, None)
    return position_token(
        channel, since if since is not None and recovery.recovered else recovery.position
    )
