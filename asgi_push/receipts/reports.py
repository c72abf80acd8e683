"""What publishers wait for, in whichever process: that sessions of this one confirm something."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from anyio.lowlevel import checkpoint

from .. import clock
from ..brokers import Broker
from ..brokers.process_messages import tell
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

# Channels in which something is waited for; more at once lose the ones that came first.
_MAX_CHANNELS = 50_000

# Sessions that have left a channel are counted among those that were handed a publication, while
# there are so many of them: whoever asks does so a moment after the publication.
_MAX_LEFT = 1000

# A session in a channel, and what it confirmed there: the offsets after ``since`` up to the last.
_Key = tuple[str, str]
_Confirmed = tuple[str, int, int]  # epoch, since, last


class Watches:
    """Says to publishers who was handed their publications, and who confirms them later.

    Of a channel it is only kept who wants to know, and until when: what a session confirms is told
    once to each publisher, however many of its publications wait.
    """

    def __init__(
        self,
        owner: Owner,
        registry: Registry[Connection, Subscription],
        fanout: Fanout,
        broker: Broker,
    ) -> None:
        self._owner = owner
        self._registry = registry
        self._fanout = fanout
        self._broker = broker
        self._givers: dict[str, dict[str, float]] = {}  # until when, by channel and process
        # By channel and session, and whether that could confirm.
        self._left: dict[str, dict[str, tuple[TrackedSubscription, bool]]] = {}
        self._left_order: deque[tuple[str, str]] = deque()
        self._untold: dict[str, dict[_Key, _Confirmed]] = {}  # by process
        self._telling = False

    async def begin(self, giver: str, requests: Sequence[Sequence[Any]], seconds: float) -> bool:
        """Tell a publisher who was handed its publications, and who has confirmed them.

        From now on, for so many seconds, it is told who confirms more in their channels. Returns
        whether it could be told.

        Args:
            giver: the process that published.
            requests: its number, channel, offset and epoch of each.
            seconds: the longest that any of them is waited for.
        """
        await self._fanout.settled()
        reports = []
        for number, channel, offset, epoch in requests:
            self._watch(channel, giver, clock.monotonic() + seconds)
            reports.append([number, *await self._look(channel, StreamPosition(offset, epoch))])
        try:
            for report in filter(_has_any, reports):
                await self._report(giver, *report)
        except BrokerError as error:
            logger.debug("a publisher could not be told who has its publications: %s", error)
            return False
        return True

    def _watch(self, channel: str, giver: str, until: float) -> None:
        givers = self._givers.setdefault(channel, {})
        givers[giver] = max(until, givers.get(giver, until))
        while len(self._givers) > _MAX_CHANNELS:
            del self._givers[next(iter(self._givers))]

    async def _look(self, channel: str, at: StreamPosition) -> tuple[int, int, list[str]]:
        """Return how many sessions got a publication, how many can confirm it, and which have."""
        able = 0
        handed: dict[str, bool] = {}  # by session, whether it has confirmed
        for number, (session, subscription) in enumerate(self._members(channel), 1):
            if number % _TOGETHER == 0:
                await checkpoint()
            if not isinstance(subscription, TrackedSubscription):
                handed[session.id] = False
            elif _was_handed(subscription, at):
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
        """Note what a session has that leaves a channel now."""
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
        self, giver: str, number: int, handed: int, able: int, confirmed: list[str]
    ) -> None:
        for start in range(0, max(1, len(confirmed)), _IN_ONE_MESSAGE):
            part = confirmed[start : start + _IN_ONE_MESSAGE]
            report = {"number": number, "handed": handed, "able": able, "confirmed": part}
            await tell(self._broker, giver, "handed", **report)
            handed = able = 0

    def on_confirmed(
        self, session: Connection, channel: str, subscription: TrackedSubscription, before: int
    ) -> None:
        """Tell who waits for it that a session has confirmed more in a channel.

        ``before`` is the offset that it had confirmed before.
        """
        givers = self._givers.get(channel)
        if givers is None:
            return
        now = clock.monotonic()
        since = max(before, subscription.start)
        for giver, until in list(givers.items()):
            if until < now:
                del givers[giver]
            else:
                self._note(giver, (channel, session.id), subscription, since)
        if not givers:
            del self._givers[channel]

    def _note(self, giver: str, key: _Key, subscription: TrackedSubscription, since: int) -> None:
        untold = self._untold.setdefault(giver, {})
        if (known := untold.get(key)) is not None and known[0] == subscription.epoch:
            since = known[1]
        untold[key] = (subscription.epoch, since, subscription.confirmed)
        if not self._telling:
            self._telling = True
            self._owner.spawn(self._tell_all)

    async def _tell_all(self) -> None:
        """Tell all publishers what they wait for; what comes meanwhile goes together next."""
        try:
            while self._untold:
                giver, found = self._untold.popitem()
                entries = [[*key, *confirmed] for key, confirmed in found.items()]
                for start in range(0, len(entries), _IN_ONE_MESSAGE):
                    part = entries[start : start + _IN_ONE_MESSAGE]
                    await self._tell(giver, part)
        finally:
            self._telling = False

    async def _tell(self, giver: str, entries: list[list[Any]]) -> None:
        try:
            await tell(self._broker, giver, "confirmed", sessions=entries)
        except BrokerError as error:  # to the publisher they have not confirmed
            logger.debug("a publisher could not be told what was confirmed: %s", error)


def _was_handed(subscription: TrackedSubscription, at: StreamPosition) -> bool:
    """Whether a session is sent what is at a position, and did not begin after it."""
    begun = subscription.positioned and subscription.epoch == at.epoch
    return begun and subscription.start < at.offset <= subscription.offset


def _confirms(session: Connection) -> bool:
    return session.client is not None and session.client.confirms


def _has_any(report: Sequence[Any]) -> bool:
    return bool(report[1])
