"""Who is in which channel: joining and leaving, a session's own channels, presence and notices."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from .. import clock
from ..brokers import Broker, PresenceStore
from ..channels import Namespaces
from ..connection import Connection, Owner
from ..delivery.fanout import Fanout
from ..errors import BrokerError
from ..logs import RateLimit, logger
from ..messages import Payload, StreamPosition
from ..names import EVERYBODY, USER_PREFIX, own_channels, user_channel, user_of
from ..receipts.reporter import ReceiptReporter
from ..registry import Registry
from ..runtime.sync import KeyedLock
from ..settings import Settings
from ..subscription import SharedSubscription, Subscription, TrackedSubscription
from .join_leave import JoinLeaveNotices

# Seconds between two log lines that say the same of many sessions.
_QUIET = 10.0


class Membership:
    """Puts sessions in channels and takes them out, and tells the broker and the other members."""

    def __init__(
        self,
        owner: Owner,
        settings: Settings,
        registry: Registry[Connection, Subscription],
        broker: Broker,
        presence: PresenceStore,
        namespaces: Namespaces,
        fanout: Fanout,
        reporter: ReceiptReporter,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._broker = broker
        self._presence = presence
        self._namespaces = namespaces
        self._fanout = fanout
        self._reporter = reporter
        self._newest: SharedSubscription | None = None
        self._turns = KeyedLock()
        self._quiet = RateLimit(_QUIET)
        self.notices = JoinLeaveNotices(owner, broker, namespaces)
        # Told of each session that is put in a channel.
        self.listeners: list[Callable[[Connection, str], None]] = []

    # -- joining -----------------------------------------------------------------------------------

    async def prepare(self, session: Connection, channels: Iterable[str]) -> None:
        """Listen to the channels of a session before it is opened, so that it misses nothing."""
        if self._broker.hears_all:
            return
        names = [*self.own_channels(session), *channels]
        try:
            await self._listen(names)
        finally:
            for channel in names:
                if not self._registry.pairs(channel):
                    self._broker.leave(channel)  # the broker goes on listening for a while

    async def join_all(self, session: Connection, channels: Sequence[str]) -> None:
        """Put a new session in its own channels and in ``channels``."""
        own = self._shared(session)
        joined = self._put(session, channels, Subscription, own)
        await self._listen(joined)
        for channel in joined if own is None else channels:
            self.notices.publish_join(session, channel)

    async def join_silently(
        self,
        session: Connection,
        channels: Sequence[str],
        make: Callable[[int], Subscription],
    ) -> list[str]:
        """Do the same with other subscriptions, and tell nobody; return the channels."""
        joined = self._put(session, channels, make)
        await self._listen(joined)
        return joined

    def _put(
        self,
        session: Connection,
        channels: Sequence[str],
        make: Callable[[int], Subscription],
        own: Subscription | None = None,
    ) -> list[str]:
        if own is None:
            own = make(self._fanout.pending.number)  # for all the channels it never leaves
        joined = [name for name in self.own_channels(session) if self.enter(session, name, own)]
        if channels:
            joined += [name for name in channels if self.enter(session, name, make(own.since))]
        return joined

    def _shared(self, session: Connection) -> SharedSubscription | None:
        """Return what new sessions have in common; None for one of which others are to be told."""
        if session.user and self._namespaces.options(user_channel(session.user)).join_leave:
            return None
        number = self._fanout.pending.number
        if self._newest is None or self._newest.since != number:
            self._newest = SharedSubscription(number, everybody=self._settings.everybody)
        return self._newest

    def turn(self, whose: str) -> AbstractAsyncContextManager[None]:
        """Wait until nothing is being subscribed or unsubscribed for a user, or a session.

        While one waits for the broker another must not overtake it.
        """
        return self._turns.turn(whose)

    async def subscribe_session(self, session: Connection, channel: str) -> bool:
        """Put a session in a channel in its turn; see ``subscribe``."""
        async with self.turn(session.user or session.id):
            return await self.subscribe(session, channel)

    async def unsubscribe_session(self, session: Connection, channel: str) -> bool:
        """Take a session out of a channel in its turn; see ``unsubscribe``."""
        async with self.turn(session.user or session.id):
            await self._fanout.settled()  # what was published before is for it
            return self.unsubscribe(session, channel)

    async def subscribe(
        self,
        session: Connection,
        channel: str,
        data: Payload | None = None,
        since: StreamPosition | None = None,
    ) -> bool:
        """Put a session in a channel for the application; a session that is in it is left alone.

        A client whose protocol has a message for it gets ``data`` and what was published after
        ``since``; others get what is published from now on. Returns False, and logs it, if the
        session is in ``max_channels`` already; False too if it ends.
        """
        if session.disconnect is not None:
            return False
        if channel not in session.subscriptions and not self.has_room_for_channel(session):
            message = "session %s is in max_channels channels and was not subscribed to one more"
            logger.warning(message, session.id)
            return False
        if session.client is not None:
            await session.client.subscribe_by_server(channel, data, since)
        elif channel not in session.subscriptions:
            subscription = Subscription(self._fanout.pending.number)
            if self.enter(session, channel, subscription):
                await self._listen((channel,))
                self.notices.publish_join(session, channel)
        return session.disconnect is None

    def enter(self, session: Connection, channel: str, subscription: Subscription) -> bool:
        """Put a session in a channel; return False if the session was closed meanwhile."""
        if session.disconnect is not None:
            subscription.end()
            return False
        session.put(channel, subscription)
        self._registry.join(session, channel, subscription)
        for listener in self.listeners:
            listener(session, channel)
        if _has_members(channel):
            self._presence.add(channel, session)
        return True

    async def _listen(self, channels: Iterable[str]) -> None:
        """Have the broker bring the publications of channels, now or as soon as it is back."""
        if self._broker.hears_all:
            return
        for channel in channels:
            if self._broker.join_now(channel):
                continue
            kept = self._namespaces.stream(channel) is not None
            try:
                await self._broker.join(channel, kept=kept)
            except BrokerError as error:
                message = "a session is in a channel that is not heard yet: %s"
                self._quiet.log(logging.WARNING, clock.monotonic(), message, error)

    # -- leaving -----------------------------------------------------------------------------------

    def unsubscribe(self, session: Connection, channel: str) -> bool:
        """Take a session out of a channel for the application; its client is told if it can be.

        Returns whether it was in the channel.
        """
        was_in = session.disconnect is None and channel in session.subscriptions
        if session.client is not None:
            session.client.unsubscribe_by_server(channel)
        else:
            self.leave(session, channel)
        return was_in

    def leave(self, session: Connection, channel: str) -> None:
        """Take a session out of a channel; one that is not in it is no error."""
        subscription = session.subscriptions.get(channel)
        if subscription is not None:
            self._leave(session, channel, subscription)
            session.drop(channel)

    def leave_all(self, session: Connection) -> None:
        """Take a closing session out of its channels; ``session.channels`` still names them."""
        for channel, subscription in session.subscriptions.items():
            self._leave(session, channel, subscription)

    def _leave(self, session: Connection, channel: str, subscription: Subscription) -> None:
        subscription.end()
        if isinstance(subscription, TrackedSubscription):
            self._reporter.on_left(session, channel, subscription)
        if _has_members(channel):
            self._presence.remove(channel, session)
        if self._registry.leave(session, channel):
            self._broker.leave(channel)
        self.notices.publish_leave(session, channel, subscription)

    # -- what may be known -------------------------------------------------------------------------

    def own_channels(self, session: Connection) -> list[str]:
        """Return the channels that a session is in from the start, and never leaves."""
        return own_channels(session.user, everybody=self._settings.everybody)

    def is_own_channel(self, session: Connection, channel: str) -> bool:
        """Whether a channel is one of ``own_channels``."""
        if channel == EVERYBODY:
            return self._settings.everybody
        return bool(session.user) and user_of(channel) == session.user

    def has_room_for_channel(self, session: Connection) -> bool:
        """Whether a session may be in one more channel."""
        if len(session.subscriptions) < self._settings.max_channels:
            return True
        own = sum(channel in session.subscriptions for channel in self.own_channels(session))
        return len(session.subscriptions) - own < self._settings.max_channels

    def watched(self, channel: str) -> bool:
        """Whether all processes together keep who is in a channel."""
        return user_of(channel) is not None or self._namespaces.options(channel).presence


def _has_members(channel: str) -> bool:
    """Whether presence is told of who enters and leaves a channel.

    Nobody asks who is in everybody's; that of users follows the lives of their sessions.
    """
    return channel != EVERYBODY and not channel.startswith(USER_PREFIX)
