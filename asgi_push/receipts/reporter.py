"""Reports to publishers in any process what the sessions of this process have confirmed."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from anyio.lowlevel import checkpoint

from .. import clock
from ..brokers import Broker
from ..brokers.process_messages import ProcessMessages, tell
from ..connection import Connection, Owner
from ..delivery.fanout import Fanout
from ..errors import BrokerError
from ..logs import logger
from ..messages import StreamPosition
from ..registry import Registry
from ..subscription import Subscription, TrackedSubscription

# Sessions that are looked at in one turn of the event loop.
_TOGETHER = 500

# Sessions in one message to a publisher: about 100 bytes each, in the longest channels 300.
_IN_ONE_MESSAGE = 500

# Channels with reports to make. With more at once the first ones are forgotten.
_MAX_CHANNELS = 50_000

# The last sessions that left a channel. They count among those that were handed a publication, as
# the question who was comes a moment after it.
_MAX_LEFT = 1000

# A session in a channel, and what it confirmed there: the offsets after ``since`` up to the last.
_Key = tuple[str, str]
_Confirmed = tuple[str, int, int]  # epoch, since, last


class ReceiptReporter:
    """Reports who was handed a publication, who has confirmed it, and who confirms it later.

    For each channel it keeps which processes want reports, and until when. What a session confirms
    is reported once to each process, however many publications of it wait.
    """

    def __init__(
        self,
        owner: Owner,
        registry: Registry[Connection, Subscription],
        fanout: Fanout,
        broker: Broker,
        messages: ProcessMessages,
    ) -> None:
        self._owner = owner
        self._registry = registry
        self._fanout = fanout
        self._broker = broker
        self._messages = messages
        self._publishers: dict[str, dict[str, float]] = {}  # until when, by channel and process
        # By channel and session, with whether the session could confirm.
        self._left: dict[str, dict[str, tuple[TrackedSubscription, bool]]] = {}
        self._left_order: deque[tuple[str, str]] = deque()
        self._unreported: dict[str, dict[_Key, _Confirmed]] = {}  # by process
        self._reporting = False

    async def begin(self, reply_to: str, requests: Sequence[Sequence[Any]], seconds: float) -> bool:
        """Report who was handed some publications, and who has confirmed them.

        For the next ``seconds`` it also reports who confirms more in their channels.

        Args:
            reply_to: the id of the process that published, which gets the reports.
            requests: number, channel, offset and epoch of each publication.
            seconds: the longest time that its publisher waits for any of them.

        Returns:
            whether the reports are on their way.
        """
        await self._fanout.settled()
        reports = []
        for number, channel, offset, epoch in requests:
            self._watch(channel, reply_to, clock.monotonic() + seconds)
            reports.append([number, *await self._look(channel, StreamPosition(offset, epoch))])
        try:
            for report in filter(_has_any, reports):
                await self._report(reply_to, *report)
        except BrokerError as error:
            logger.debug("a publisher could not be told who has its publications: %s", error)
            return False
        return True

    def _watch(self, channel: str, reply_to: str, until: float) -> None:
        publishers = self._publishers.setdefault(channel, {})
        publishers[reply_to] = max(until, publishers.get(reply_to, until))
        while len(self._publishers) > _MAX_CHANNELS:
            del self._publishers[next(iter(self._publishers))]

    async def _look(self, channel: str, at: StreamPosition) -> tuple[int, int, list[str]]:
        """Return how many sessions were handed a publication, how many can confirm, and who has."""
        able = 0
        handed: dict[str, bool] = {}  # by session, whether it has confirmed
        for number, (session, subscription) in enumerate(self._members(channel), 1):
            if number % _TOGETHER == 0:
                await checkpoint()
            if not isinstance(subscription, TrackedSubscription):
                handed[session.id] = False
            elif _was_handed(subscription, at):
                # Acknowledgements before this moment are seen here, those after it are reported.
                subscription.awaited = max(subscription.awaited, at.offset)
                handed[session.id] = subscription.confirmed >= at.offset
                able += _confirms(session)
        for session_id, (left, confirms) in self._left.get(channel, {}).items():
            if session_id not in handed and _was_handed(left, at):
                handed[session_id] = left.confirmed >= at.offset
                able += confirms
        return len(handed), able, [name for name, confirmed in handed.items() if confirmed]

    def _members(self, channel: str) -> list[tuple[Connection, Subscription]]:
        return list(self._registry.members(channel).items())

    def on_left(self, session: Connection, channel: str, subscription: TrackedSubscription) -> None:
        """Remember what a session was handed in a channel that it leaves."""
        if not subscription.positioned or subscription.offset == subscription.start:
            return  # it was sent nothing
        self._left.setdefault(channel, {})[session.id] = (subscription, _confirms(session))
        self._left_order.append((channel, session.id))
        if len(self._left_order) > _MAX_LEFT:
            first, oldest = self._left_order.popleft()
            left = self._left.get(first, {})
            left.pop(oldest, None)
            if not left:
                self._left.pop(first, None)

    async def _report(
        self, reply_to: str, number: int, handed: int, able: int, confirmed: list[str]
    ) -> None:
        for start in range(0, max(1, len(confirmed)), _IN_ONE_MESSAGE):
            part = confirmed[start : start + _IN_ONE_MESSAGE]
            report = {"number": number, "handed": handed, "able": able, "confirmed": part}
            await self._send(reply_to, "handed", **report)
            handed = able = 0

    def on_confirmed(
        self, session: Connection, channel: str, subscription: TrackedSubscription, before: int
    ) -> None:
        """Report that a session has confirmed more in a channel than the offset ``before``."""
        publishers = self._publishers.get(channel)
        if publishers is None:
            return
        now = clock.monotonic()
        since = max(before, subscription.start)
        for reply_to, until in list(publishers.items()):
            if until < now:
                del publishers[reply_to]
            else:
                self._note(reply_to, (channel, session.id), subscription, since)
        if not publishers:
            del self._publishers[channel]

    def _note(
        self, reply_to: str, key: _Key, subscription: TrackedSubscription, since: int
    ) -> None:
        if reply_to == self._broker.process_id:
            entry = [*key, subscription.epoch, since, subscription.confirmed]
            self._messages.receive_own("confirmed", sessions=[entry])
            return
        unreported = self._unreported.setdefault(reply_to, {})
        if (known := unreported.get(key)) is not None and known[0] == subscription.epoch:
            since = known[1]
        unreported[key] = (subscription.epoch, since, subscription.confirmed)
        if not self._reporting:
            self._reporting = True
            self._owner.spawn(self._report_all)

    async def _report_all(self) -> None:
        """Report to all publishers. What comes meanwhile goes together in the next message."""
        try:
            while self._unreported:
                reply_to, found = self._unreported.popitem()
                entries = [[*key, *confirmed] for key, confirmed in found.items()]
                for start in range(0, len(entries), _IN_ONE_MESSAGE):
                    part = entries[start : start + _IN_ONE_MESSAGE]
                    await self._tell(reply_to, part)
        finally:
            self._reporting = False

    async def _tell(self, reply_to: str, entries: list[list[Any]]) -> None:
        try:
            await self._send(reply_to, "confirmed", sessions=entries)
        except BrokerError as error:  # to the publisher they have not confirmed
            logger.debug("a publisher could not be told what was confirmed: %s", error)

    async def _send(self, reply_to: str, about: str, **fields: Any) -> None:
        """Send a message to a process; this one gets it without the broker."""
        if reply_to == self._broker.process_id:
            self._messages.receive_own(about, **fields)
        else:
            await tell(self._broker, reply_to, about, **fields)


def _was_handed(subscription: TrackedSubscription, at: StreamPosition) -> bool:
    """Whether a session is sent what is at a position, and did not begin after it."""
    begun = subscription.positioned and subscription.epoch == at.epoch
    return begun and subscription.start < at.offset <= subscription.offset


def _confirms(session: Connection) -> bool:
    return session.client is not None and session.client.confirms


def _has_any(report: Sequence[Any]) -> bool:
    return bool(report[1])
