"""Inboxes: what is published to a user is kept until a session of the user confirms it."""

import logging

import anyio

from .. import clock
from ..brokers.backoff import backoffs
from ..brokers.inbox import Filing, InboxStore, Keep, check_keepable
from ..channels import Namespaces
from ..connection import Connection
from ..delivery.pending import Pending
from ..errors import BrokerError
from ..logs import RateLimit, printable
from ..messages import Publication, PublishResult, StreamPosition
from ..metrics.counters import Counters
from ..names import user_channel
from ..settings import Settings
from ..subscription import TrackedSubscription

# Confirmations that go to the broker at the same time, and those that may wait. Others are dropped:
# the publications stay in the inbox, and come again.
_TOGETHER = 100
_MAX_WAITING = 100_000

# For how long a client waits until the broker knows of what it confirmed, in seconds. A client
# whose commands stand still for 5 seconds is closed.
_PATIENCE = 3.0

# Seconds between two log lines that say the same.
_QUIET = 10.0


class Inbox:
    """Publishes into the inboxes of users, reads them, and confirms for this process's sessions."""

    def __init__(
        self,
        store: InboxStore,
        file: Filing,
        settings: Settings,
        namespaces: Namespaces,
        pending: Pending,
        counters: Counters,
    ) -> None:
        self._store = store
        self._file = file
        self._on = bool(settings.inbox_size)
        self._namespaces = namespaces
        self._pending = pending
        self._counters = counters
        self._quiet = RateLimit(_QUIET)
        self._waiting: dict[tuple[str, str], int] = {}  # offsets, by channel and epoch
        self._sending: dict[tuple[str, str], int] = {}  # those of them on their way to the broker
        self._done: dict[tuple[str, str], anyio.Event] = {}  # what somebody waits for
        self._work = anyio.Event()

    async def publish(self, keep: Keep, publication: Publication, key: str | None) -> PublishResult:
        """Publish to a user, and keep it until it is confirmed; see ``Publisher.publish``.

        Raises:
            ValueError: an inbox cannot hold it.
            BrokerError: the broker did not take it.
        """
        channel = publication.channel
        stream = self._namespaces.stream(channel)
        stream = check_keepable(publication, stream, keep.options)
        if self._pending.full:
            await self._pending.wait_capacity()
        after = keep.undelivered_after
        filed = await self._file(publication, stream, keep.options, after, key)
        if filed.new:
            self._counters.published += 1
            self._counters.inbox["kept"] += 1
        if filed.dropped:
            self._counters.inbox["dropped"] += filed.dropped
            message = "the inbox of channel %s was full: the oldest went (inbox_size, inbox_bytes)"
            self._quiet.log(logging.WARNING, clock.monotonic(), message, printable(channel))
        return filed.result

    async def read(self, user: str) -> list[Publication]:
        """Return what a user has not confirmed, the oldest first."""
        return await self._store.read(user_channel(user))

    async def clear(self, user: str) -> int:
        """Empty a user's inbox; return how many publications there were."""
        many = await self._store.clear(user_channel(user))
        self._counters.inbox["cleared"] += many
        return many

    # -- a session that connects -------------------------------------------------------------------

    def may_hold(
        self, session: Connection, channel: str, up_to: StreamPosition | None = None
    ) -> bool:
        """Whether a channel is that of a session's user, whose inbox may hold something.

        With ``up_to``, whether it may hold something that is not beyond that position. Where it
        says no, that is so until the next publication: one who has joined the channel before asking
        has everything.
        """
        return self._is_own(session, channel) and not self._store.known_empty(channel, up_to)

    def _is_own(self, session: Connection, channel: str) -> bool:
        user = session.user
        return self._on and bool(user) and channel == user_channel(user)

    async def unconfirmed(
        self, session: Connection, channel: str, subscription: TrackedSubscription
    ) -> list[Publication]:
        """Return what of the inbox a session gets first when it joins its user's channel.

        What comes after the session's position is left out: the session is sent it anyway.
        """
        if not subscription.positioned or not self._is_own(session, channel):
            return []
        at = StreamPosition(subscription.offset, subscription.epoch)
        if self._store.known_empty(channel, at):
            return []
        found = [item for item in await self._store.read(channel) if _is_before(item, subscription)]
        subscription.older = frozenset(
            StreamPosition(item.offset, item.epoch)
            for item in found
            if item.epoch != subscription.epoch
        )
        return found

    # -- confirmations -----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether the broker does not know yet of something that was confirmed."""
        return bool(self._sending or self._waiting)

    def on_acknowledged(self, session: Connection, channel: str, position: StreamPosition) -> None:
        """Note what a session confirms; soon it is taken out of its user's inbox."""
        if self.may_hold(session, channel, position):
            self._confirm_soon((channel, position.epoch), position.offset)
            self._work.set()

    def _confirm_soon(self, key: tuple[str, str], offset: int) -> None:
        if key in self._waiting or len(self._waiting) < _MAX_WAITING:
            self._waiting[key] = max(offset, self._waiting.get(key, 0))

    async def wait_confirmed(
        self, session: Connection, channel: str, position: StreamPosition
    ) -> None:
        """Return when the broker knows of what a session has confirmed up to a position.

        Raises:
            BrokerError: it does not answer. What was confirmed is sent again until it does.
        """
        subscription = session.subscriptions.get(channel)
        if isinstance(subscription, TrackedSubscription):
            await self._wait_sent((channel, position.epoch or subscription.epoch))

    async def _wait_sent(self, key: tuple[str, str]) -> None:
        try:
            with anyio.fail_after(_PATIENCE):
                while key in self._waiting or key in self._sending:
                    await self._done.setdefault(key, anyio.Event()).wait()
        except TimeoutError:
            raise BrokerError("the broker does not know yet of what was confirmed") from None
        finally:
            self._wake(key)  # so that nothing is left of an event that nobody waits for

    def _wake(self, key: tuple[str, str]) -> None:
        if (done := self._done.pop(key, None)) is not None:
            done.set()

    async def run(self) -> None:
        """Send confirmations to the broker, for ever."""
        while True:
            self._work = anyio.Event()
            if not self._waiting:
                await self._work.wait()
            for backoff in backoffs():
                if await self._send():
                    break
                await anyio.sleep(backoff)

    async def _send(self) -> bool:
        """Send the confirmations that wait; return False if the broker did not take one."""
        keys = list(self._waiting)[:_TOGETHER]
        self._sending = {key: self._waiting.pop(key) for key in keys}
        try:
            async with anyio.create_task_group() as tasks:
                for key in keys:
                    tasks.start_soon(self._confirm, key)
        finally:
            failed, self._sending = self._sending, {}
            for key, offset in failed.items():
                self._confirm_soon(key, offset)
        return not failed

    async def _confirm(self, key: tuple[str, str]) -> None:
        """Send one confirmation, and take it out of those on their way unless that fails."""
        channel, epoch = key
        try:
            position = StreamPosition(self._sending[key], epoch)
            many = await self._store.confirm(channel, position)
        except BrokerError as error:
            message = "what a user confirmed stays in the inbox for now: %s"
            self._quiet.log(logging.WARNING, clock.monotonic(), message, error)
            return
        del self._sending[key]
        self._counters.inbox["confirmed"] += many
        self._wake(key)


def _is_before(item: Publication, subscription: TrackedSubscription) -> bool:
    return item.epoch != subscription.epoch or item.offset <= subscription.start
