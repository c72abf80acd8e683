"""The registry: sessions by id and by user, and the members of each channel."""

from collections.abc import Collection, Mapping
from typing import Generic, Protocol, TypeVar


class Member(Protocol):
    """What the registry needs of a session: its id, and its user, empty for an anonymous one."""

    id: str
    user: str


S = TypeVar("S", bound=Member)
V = TypeVar("V")


class Registry(Generic[S, V]):
    """Sessions and their channels; a channel exists as long as it has members.

    A channel is a dictionary with a key for each session, so that joining, leaving and finding cost
    the same for ten sessions and for a hundred thousand. ``V`` is kept for a session in a channel.
    One member alone is kept without a dictionary: most users have one session, and most channels
    are those of users.

    Users are kept apart from channels: a session has the same user for its whole life.
    """

    __slots__ = ("_channels", "_sessions", "_users", "derived")

    def __init__(self) -> None:
        self._sessions: dict[str, S] = {}
        self._users: dict[str, S | dict[S, None]] = {}  # a dict keeps their order
        self._channels: dict[str, tuple[S, V] | dict[S, V]] = {}
        # What others derive from the members of a channel; dropped when they change.
        self.derived: dict[str, object] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: S) -> None:
        """Add a session, whose user is known and stays."""
        self._sessions[session.id] = session
        if not session.user:
            return
        known = self._users.get(session.user)
        if isinstance(known, dict):
            known[session] = None
        elif known is None or known is session:
            self._users[session.user] = session
        else:
            self._users[session.user] = {known: None, session: None}

    def remove(self, session: S) -> None:
        """Remove a session; it leaves its channels by ``leave``."""
        self._sessions.pop(session.id, None)
        known = self._users.get(session.user)
        if isinstance(known, dict):
            known.pop(session, None)
            if not known:
                del self._users[session.user]
        elif known is session:
            del self._users[session.user]

    def get(self, session_id: str) -> S | None:
        """Return the session with this id, or None."""
        return self._sessions.get(session_id)

    def sessions(self) -> list[S]:
        """Return all sessions, the oldest first."""
        return list(self._sessions.values())

    def find(self, user: str | None, channel: str | None) -> list[S]:
        """Return all sessions, or a user's, or a channel's, or those in both; the oldest first."""
        if user is None:
            return list(self._sessions.values() if channel is None else self.members(channel))
        found = self.sessions_of(user)
        if channel is None:
            return found
        members = self.members(channel)
        return [session for session in found if session in members]

    def sessions_of(self, user: str) -> list[S]:
        """Return the sessions of a user, the oldest first; anonymous ones are nobody's."""
        known = self._users.get(user)
        if isinstance(known, dict):
            return list(known)
        return [] if known is None else [known]

    def users(self) -> list[str]:
        """Return all users who have sessions."""
        return list(self._users)

    def join(self, session: S, channel: str, value: V) -> None:
        """Put a session in a channel."""
        known = self._channels.get(channel)
        if isinstance(known, dict):
            known[session] = value
        elif known is None or known[0] is session:
            self._channels[channel] = session, value
        else:
            self._channels[channel] = {known[0]: known[1], session: value}
        self.derived.pop(channel, None)

    def leave(self, session: S, channel: str) -> bool:
        """Take a session out of a channel; return whether it was the channel's last."""
        known = self._channels.get(channel)
        if isinstance(known, dict):
            if session not in known:
                return False
            del known[session]
            last = not known
        elif known is None or known[0] is not session:
            return False
        else:
            last = True
        self.derived.pop(channel, None)
        if last:
            del self._channels[channel]
        return last

    def members(self, channel: str) -> Mapping[S, V]:
        """Return the members of a channel in the order in which they joined; do not keep it."""
        known = self._channels.get(channel)
        if isinstance(known, dict):
            return known
        return {} if known is None else {known[0]: known[1]}

    def pairs(self, channel: str) -> Collection[tuple[S, V]]:
        """Return the members of a channel, each with what is kept for it; do not keep it.

        It costs less than ``members``: publications are handed out by it.
        """
        known = self._channels.get(channel)
        if isinstance(known, dict):
            return known.items()
        return () if known is None else (known,)

    @property
    def channel_count(self) -> int:
        """How many channels have members."""
        return len(self._channels)

    def channels(self) -> list[str]:
        """Return the names of all channels that have members."""
        return list(self._channels)
