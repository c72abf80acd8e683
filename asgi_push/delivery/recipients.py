"""The members of a channel in the form in which a run of the fan-out goes through them; made anew when they change."""

from collections.abc import Callable, Mapping

from ..connection import Connection
from ..protocols import Codec
from ..registry import Registry
from ..subscription import Subscription

# Fewer members than these are looked at one by one: that costs less than to keep more of them.
_FEW = 16


class Recipients:
    """Who is in a channel, parted into those who need no more than a write, and the others.

    A run spends most of its time on memory that no cache of the processor has: with 1,000 sessions, a look at each and
    at its subscription costs an eighth of a publication. Nobody needs that who keeps no position.
    """

    __slots__ = ("codec", "newest", "other_subscriptions", "others", "sessions", "size", "writes")

    def __init__(self, members: Mapping[Connection, Subscription]) -> None:
        self.size = len(members)
        self.codec: Codec | None = None  # of those who need a write
        self.sessions: list[Connection] = []  # they
        self.writes: list[Callable[[bytes], bool]] = []  # how each of them is written to
        self.newest = 0  # the number from which on all of them were there
        # Two lists, and no tuple for each, which the garbage collector would come to look at: with 8,000 sessions that
        # took half a second now and then.
        self.others: list[Connection] = []
        self.other_subscriptions: list[Subscription] = []
        for session, subscription in members.items():
            if not subscription.tracked and self.codec in (None, session.codec):
                self.codec = session.codec
                self.sessions.append(session)
                self.writes.append(session.io.write)
                self.newest = max(self.newest, subscription.since)
            else:
                self.others.append(session)
                self.other_subscriptions.append(subscription)


def recipients_of(registry: Registry[Connection, Subscription], channel: str) -> Recipients | None:
    """Return the recipients of a channel; None for a small one."""
    recipients = registry.derived.get(channel)
    if isinstance(recipients, Recipients):
        return recipients
    members = registry.members(channel)
    if len(members) < _FEW:
        return None
    recipients = registry.derived[channel] = Recipients(members)
    return recipients
