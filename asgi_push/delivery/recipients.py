"""The members of a channel, in the form that a run of the fan-out goes through."""

from collections.abc import Mapping

from ..connection import Connection
from ..protocols import Codec, Deflate
from ..registry import Registry
from ..subscription import Place, Subscription, TrackedSubscription
from ..transport import Transport
from .time_slice import STRIDE

# Fewer members than this are looked at one by one, which costs less than to keep lists of them.
_FEW = 16


class Group:
    """Sessions of one codec, with windows of one size, that need no more than a write.

    If they keep positions they are in step: each ``STRIDE`` of them, which are written to without
    a pause, share one place, which moves with them. A stride whose place is broken is looked at one
    by one.
    """

    __slots__ = ("codec", "deflate", "places", "sessions", "subscriptions", "tracked", "transports")

    def __init__(self, codec: Codec, deflate: Deflate | None, *, tracked: bool) -> None:
        self.codec = codec
        self.deflate = deflate
        self.tracked = tracked
        self.sessions: list[Connection] = []
        self.transports: list[Transport] = []
        self.subscriptions: list[Subscription] = []  # only of those that keep positions
        self.places: list[Place] = []  # of the strides

    def add(self, session: Connection, subscription: Subscription) -> bool:
        """Add a session; return False if it is not in step with the others."""
        if isinstance(subscription, TrackedSubscription) and not self._share(subscription):
            return False
        self.sessions.append(session)
        self.transports.append(session.io)
        return True

    def _share(self, subscription: TrackedSubscription) -> bool:
        offset = subscription.offset
        epoch = subscription.epoch
        if self.places and (self.places[0].offset, self.places[0].epoch) != (offset, epoch):
            return False
        if len(self.sessions) % STRIDE == 0:
            self.places.append(Place(offset, epoch))
        subscription.go_with(self.places[-1])
        self.subscriptions.append(subscription)
        return True


class Recipients:
    """The members of a channel: those that need no more than a write, and the others.

    A run spends most of its time on memory that no cache of the processor holds. With 1,000
    sessions, to look at each session and its subscription costs an eighth of a publication. For
    sessions that keep no position, and for those that are in step, there is nothing to see.
    """

    __slots__ = ("groups", "newest", "other_subscriptions", "others", "out_of_step", "size")

    def __init__(self, members: Mapping[Connection, Subscription]) -> None:
        self.size = len(members)
        self.groups: dict[tuple[Codec, Deflate | None, bool], Group] = {}
        self.newest = 0  # after this number all in the groups were there
        self.out_of_step = 0  # how many of the others may be in step some time
        # Two lists instead of one of tuples: the garbage collector looks at each tuple, and with
        # 8,000 sessions that took half a second now and then.
        self.others: list[Connection] = []
        self.other_subscriptions: list[Subscription] = []
        for session, subscription in members.items():
            self._add(session, subscription)

    def _add(self, session: Connection, subscription: Subscription) -> None:
        if _can_be_in_step(subscription):
            key = session.codec, session.io.deflate, subscription.tracked
            group = self.groups.get(key)
            if group is None:
                group = self.groups[key] = Group(*key[:2], tracked=subscription.tracked)
            if group.add(session, subscription):
                self.newest = max(self.newest, subscription.since)
                return
        if isinstance(subscription, TrackedSubscription) and subscription.positioned:
            self.out_of_step += 1
        self.others.append(session)
        self.other_subscriptions.append(subscription)

    @property
    def stale(self) -> bool:
        """Whether so many are out of step that all had better be looked at anew."""
        return self.out_of_step >= _FEW or any(
            place.broken for group in self.groups.values() for place in group.places
        )


def _can_be_in_step(subscription: Subscription) -> bool:
    if not isinstance(subscription, TrackedSubscription):
        return True
    return subscription.positioned and subscription.buffer is None


def recipients_of(registry: Registry[Connection, Subscription], channel: str) -> Recipients | None:
    """Return the recipients of a channel; None for a small channel.

    They are kept until the members of the channel change, or too many are out of step.
    """
    recipients = registry.derived.get(channel)
    if isinstance(recipients, Recipients) and not recipients.stale:
        return recipients
    if len(registry.pairs(channel)) < _FEW:
        return None
    recipients = registry.derived[channel] = Recipients(registry.members(channel))
    return recipients
