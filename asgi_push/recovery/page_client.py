"""Pages: clients that keep positions and send no commands, by an event stream or in envelopes.

A page first gets what it missed in all its channels, and then what is published. It is told if
something is lost.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from anyio.lowlevel import checkpoint

from ..connection import Connection
from ..delivery.undeliverable import without_position
from ..disconnect import Disconnect
from ..errors import BrokerError
from ..hub.hub import Hub
from ..messages import Payload, StreamPosition
from ..protocols import WireMessage
from ..stream import Recovery
from ..subscription import TrackedSubscription
from .page_protocol import PageCodec, PageNotices, ResumedChannel, ResumePositions
from .subscriptions import START, go_live, new_subscription, release, track

# Missed messages that are sent in one turn of the event loop.
_TOGETHER = 200

# The most bytes of messages that are written in one piece.
_PIECE = 32_768

# Nearly all pages come without positions, and share it: each empty set takes 216 bytes.
_NONE: frozenset[str] = frozenset()


class PageClient:
    """The server's side of one page: starts its session, and subscribes it for the application."""

    __slots__ = ("_codec", "_connected", "_hub", "_notices", "_positions", "_session", "_taken")

    opened_by_command = False

    def __init__(
        self,
        hub: Hub,
        session: Connection,
        codec: PageCodec,
        notices: PageNotices,
        positions: ResumePositions,
    ) -> None:
        self._hub = hub
        self._session = session
        self._codec = codec
        self._notices = notices
        self._positions = positions
        self._taken: frozenset[str] = _NONE  # channels whose position was used, and is old now
        self._connected = False

    @property
    def confirms(self) -> bool:
        """Whether its page can confirm what it was sent."""
        return self._notices.confirms

    @property
    def answers(self) -> bool:
        """Whether its page can be asked something."""
        return self._notices.answers

    def send_for_answer(self, message: bytes) -> bool:
        """Send a message that the page answers, after the start; return whether the page can."""
        if not self._notices.answers:
            return False
        if self._connected:
            self._hub.send_wire(self._session, WireMessage(message, text=True))
        else:
            self._hub.execute(self._session, self._send_later, message)
        return True

    async def _send_later(self, session: Connection, message: bytes) -> None:
        self._hub.send_wire(session, WireMessage(message, text=True))

    # -- the start ---------------------------------------------------------------------------------

    async def begin(self, channels: Sequence[str]) -> None:
        """Start the session before anything else that happens to it."""
        self._hub.execute(self._session, self.start, channels)

    async def start(self, session: Connection, channels: Sequence[str]) -> None:
        """Send the positions of the channels and what the page missed, and go live."""
        started: list[ResumedChannel] = []
        missed: list[WireMessage] = []
        inbox: list[WireMessage] = []
        try:
            for channel in channels:
                resumed, messages = await self._subscribe(channel, self._take_position(channel))
                started.append(resumed)
                inbox += await self._unconfirmed(resumed)
                missed += messages
        except BrokerError:
            self._hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        await self._send(started, [*inbox, *missed], first=True)
        await self._welcome(started, first=True)
        self._connected = True
        self._go_live(started)

    async def _unconfirmed(self, resumed: ResumedChannel) -> list[WireMessage]:
        """Return the messages of the user's inbox, if this is the user's channel."""
        channel, subscription = resumed.channel, resumed.subscription
        found = await self._hub.inbox.unconfirmed(self._session, channel, subscription)
        if not found:
            return []
        carried = self._hub.fanout.undeliverable.carried(self._codec, found)
        messages = self._codec.encode_part(carried)
        back = self._notices.back(resumed) if messages else None
        return messages if back is None else [*messages, back]

    def _go_live(self, resumed: Sequence[ResumedChannel]) -> None:
        for item in resumed:
            go_live(self._hub, self._session, item.channel, item.subscription)

    def _take_position(self, channel: str) -> StreamPosition | None:
        """Return the position that the page sent; the first time only, as it is old after that."""
        position = self._positions.position(channel)
        if position is None or channel in self._taken:
            return None
        self._taken |= {channel}
        return position

    async def _subscribe(
        self, channel: str, since: StreamPosition | None
    ) -> tuple[ResumedChannel, list[WireMessage]]:
        """Put the session in a channel, where publications are held back until ``go_live``."""
        came_back = since is not None or (not self._connected and self._positions.knows(channel))
        subscription = new_subscription(self._hub, channel, server_side=True)
        subscription.join_leave = False  # pages are not told
        recovery = await track(self._hub, self._session, channel, subscription, since)
        if recovery is None:
            lost = came_back and since is not START  # who begins has missed nothing
            return ResumedChannel(channel, subscription, None, None, came_back, lost), []
        return await self._resume(channel, subscription, recovery, came_back=came_back)

    async def _resume(
        self,
        channel: str,
        subscription: TrackedSubscription,
        recovery: Recovery,
        *,
        came_back: bool,
    ) -> tuple[ResumedChannel, list[WireMessage]]:
        """Return how a page goes on after what the broker found, and the missed messages."""
        missed, whole = await self._missed(recovery)
        lost = came_back and not (whole and recovery.recovered)
        after = top = recovery.position
        if missed and whole:
            after = StreamPosition(recovery.publications[0].offset - 1, top.epoch)
        return ResumedChannel(channel, subscription, after, top, came_back, lost), missed

    async def _missed(self, recovery: Recovery) -> tuple[list[WireMessage], bool]:
        """Return the messages that were missed, and whether all of them can be sent."""
        publications = recovery.publications
        encoder = self._hub.history_encoder
        messages: Any = await encoder.encode(
            self._codec, publications, recovery.encoded, self._session.io.deflate
        )
        if messages is not publications or not messages:
            return messages, True
        # One bad publication must not cost the others. They come without positions, or the page
        # would come back for the missing one.
        rest = self._hub.fanout.undeliverable.carried(self._codec, publications)
        return self._codec.encode_part(list(map(without_position, rest))), False

    async def _send(
        self, resumed: Sequence[ResumedChannel], missed: list[WireMessage], *, first: bool = False
    ) -> None:
        """Send what is lost, and then what the page missed, a part at a time.

        Each message has its position, so a disconnection between two of them loses nothing.
        """
        if told := self._notices.start(resumed, missed[:_TOGETHER], first=first):
            await self._send_all(told)
        for start in range(_TOGETHER, len(missed), _TOGETHER):
            await checkpoint()
            await self._send_all(self._codec.join(missed[start : start + _TOGETHER]))

    async def _welcome(self, resumed: Sequence[ResumedChannel], *, first: bool) -> None:
        await self._hub.wait_capacity(self._session)
        if (told := self._notices.welcome(self._session, resumed, first=first)) is not None:
            self._hub.send_wire(self._session, told)

    async def _send_all(self, messages: Sequence[WireMessage]) -> None:
        """Send messages, not more than the session has room for."""
        for part in _parts(messages):
            if len(part) > 1 and self._hub.publisher.write_wires(self._session, part):
                continue
            for message in part:
                await self._hub.wait_capacity(self._session)
                self._hub.send_wire(self._session, message)

    # -- a gap -------------------------------------------------------------------------------------

    def gap(self, channel: str, subscription: TrackedSubscription) -> None:
        """Recover from the last publication that the page got, or tell it what is lost."""
        if not self._notices.goes_on or subscription.buffer is not None:
            self._hub.close(self._session, Disconnect.INSUFFICIENT_STATE)
        elif not subscription.positioned:
            lost = ResumedChannel(channel, subscription, None, None, came_back=True, lost=True)
            for message in self._notices.start([lost], [], first=False):
                self._hub.send_wire(self._session, message)
        else:
            subscription.hold()
            self._hub.spawn(self._recover, channel, subscription)

    async def _recover(self, channel: str, subscription: TrackedSubscription) -> None:
        """Send what the page missed since its position, and go live again."""
        since = StreamPosition(subscription.offset, subscription.epoch)
        try:
            recovery = await self._hub.broker.recover(channel, since)
        except BrokerError:
            self._hub.close(self._session, Disconnect.INSUFFICIENT_STATE)
            return
        resumed, missed = await self._resume(channel, subscription, recovery, came_back=True)
        if subscription.active:  # else the session has left the channel, or is closed
            await self._send([resumed], missed)
            if resumed.lost:
                await self._welcome([resumed], first=False)
        if subscription.active:
            subscription.move(recovery.position, lost=resumed.lost)
            release(self._hub, self._session, subscription)

    # -- what the application does -----------------------------------------------------------------

    async def subscribe_by_server(
        self, channel: str, data: Payload | None, since: StreamPosition | None
    ) -> None:
        """Subscribe the session for the application; pages are not told ``data``.

        A page that sent a position in the channel gets what it missed: it was subscribed before
        its connection was lost.
        """
        if self._connected:
            await self._subscribe_now(self._session, channel, since)
        else:
            self._hub.execute(self._session, self._subscribe_now, channel, since)

    async def _subscribe_now(
        self, session: Connection, channel: str, since: StreamPosition | None
    ) -> None:
        if not self._connected or channel in session.subscriptions:
            return
        place = self._take_position(channel)
        try:
            resumed, missed = await self._subscribe(channel, place if since is None else since)
        except BrokerError:
            self._hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        if resumed.subscription.active:  # the application may have unsubscribed it meanwhile
            await self._send([resumed], missed)
            await self._welcome([resumed], first=False)
            self._go_live([resumed])

    def unsubscribe_by_server(self, channel: str) -> None:
        """Unsubscribe the session for the application."""
        if self._connected:
            self._unsubscribe(channel)
        else:
            self._hub.execute(self._session, self._unsubscribe_later, channel)

    async def _unsubscribe_later(self, session: Connection, channel: str) -> None:
        self._unsubscribe(channel)

    def _unsubscribe(self, channel: str) -> None:
        if channel in self._session.subscriptions:
            self._hub.membership.leave(self._session, channel)
            if (told := self._notices.unsubscribed(channel)) is not None:
                self._hub.send_wire(self._session, told)

    # -- what only SDK clients have ----------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return None: no subscription of it expires."""
        return None

    def check(self, now: float) -> None:
        """Do nothing: nothing is ever due."""


def _parts(messages: Sequence[WireMessage]) -> Iterator[list[WireMessage]]:
    """Yield messages in lists that are each written in one piece."""
    part: list[WireMessage] = []
    size = 0
    for message in messages:
        part.append(message)
        size += message.size
        if size >= _PIECE:
            yield part
            part = []
            size = 0
    yield part
