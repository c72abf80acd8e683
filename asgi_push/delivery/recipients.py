"""The members of a channel, in the form that a run of the fan-out goes through."""

from collections.abc import Callable, Mapping

from ..connection import Connection
from ..protocols import Codec
from ..registry import Registry
from ..subscription import Subscription

# Fewer members than this are looked at one by one, which costs less than to keep lists of them.
_FEW = 16


class Recipients:
    """The members of a channel: those that need no more than a write, and the others.

    A run spends most of its time on memory that no cache of the processor holds. With 1,000
    sessions, to look at each session and its subscription costs an eighth of a publication. For
    sessions that keep no position there is nothing to see.
    """

    __slots__ = ("codec", "newest", "other_subscriptions", "others", "sessions", "size", "writes")

    def __init__(self, members: Mapping[Connection, Subscription]) -> None:
        self.size = len(members)
        self.codec: Codec | None = None  # of the sessions that need only a write
        self.sessions: list[Connection] = []  # these sessions
        self.writes: list[Callable[[bytes], bool]] = []  # their transports' ``write``
        self.newest = 0  # after this number all of them were there
        # Two lists instead of one of tuples: the garbage collector looks at each tuple, and with
        # 8,000 sessions that took half a second now and then.
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
    """Return the recipients of a channel; None for a small channel.

    They are kept until the members of the channel change.
    """
    recipients = registry.derived.get(channel)
    if isinstance(recipients, Recipients):
        return recipients
    members = registry.members(channel)
    if len(members) < _FEW:
        return None
    recipients = registry.derived[channel] = Recipients(members)
    return recipients
