"""The heartbeats that show whether a peer is alive.

Nothing here reads a clock: ``now`` is a parameter, in seconds of a monotonic clock.
"""

from enum import Enum
from typing import Protocol

from .disconnect import Disconnect


class HeartbeatAction(Enum):
    """What a heartbeat asks its owner to do."""

    NOTHING = 0
    PING = 1
    DEAD = 2


class Heartbeat(Protocol):
    """What all heartbeats have in common.

    Attributes:
        deadline: when to call ``check``; None for never.
        dead: how a session ends whose peer is dead.
        round_trip: how long the last pong took, in seconds; None before the first.
    """

    deadline: float | None
    dead: Disconnect
    round_trip: float | None

    def on_pong(self, now: float) -> bool:
        """Note a pong, or a client's heartbeat; return whether it was expected."""
        ...

    def on_activity(self, now: float) -> None:
        """Note that anything else came."""
        ...

    def check(self, now: float) -> HeartbeatAction:
        """Return what is due at ``now``."""
        ...


class FirstCommand:
    """No heartbeat yet: a client that has sent no command after ``within`` seconds is stale."""

    __slots__ = ("dead", "deadline")

    round_trip: float | None = None

    def __init__(self, within: float, now: float) -> None:
        self.deadline: float | None = now + within
        self.dead = Disconnect.STALE

    def on_pong(self, now: float) -> bool:
        """Return False: no pong was asked for."""
        return False

    def on_activity(self, now: float) -> None:
        """Ignore it: only a first command is enough."""

    def check(self, now: float) -> HeartbeatAction:
        """Return what is due at ``now``."""
        if self.deadline is not None and self.deadline <= now:
            return HeartbeatAction.DEAD
        return HeartbeatAction.NOTHING


class ClientHeartbeat:
    """The client sends the heartbeats: once it has sent one, ``timeout`` of silence means death.

    A client that never sent a heartbeat never counts as dead: many never send any.
    """

    __slots__ = ("_timeout", "dead", "deadline")

    round_trip: float | None = None

    def __init__(self, timeout: float) -> None:
        self.dead = Disconnect.NO_HEARTBEAT
        self._timeout = timeout
        self.deadline: float | None = None

    def on_pong(self, now: float) -> bool:
        """Note a heartbeat, and return True: a client may always send one."""
        self.deadline = now + self._timeout
        return True

    def on_activity(self, now: float) -> None:
        """Note that anything came, which proves life as well as a heartbeat does."""
        if self.deadline is not None:
            self.deadline = now + self._timeout

    def check(self, now: float) -> HeartbeatAction:
        """Return what is due at ``now``."""
        if self.deadline is not None and self.deadline <= now:
            return HeartbeatAction.DEAD
        return HeartbeatAction.NOTHING


class ServerHeartbeat:
    """The server sends a ping every ``interval`` seconds and expects a pong within ``timeout``.

    The first ping comes after ``first`` seconds: give each session another time, so that the
    sessions do not all ping at once.
    """

    __slots__ = ("_asked_at", "_interval", "_timeout", "dead", "deadline", "round_trip")

    def __init__(self, interval: float, timeout: float, now: float, first: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._asked_at: float | None = None
        self.dead = Disconnect.NO_PONG
        self.round_trip: float | None = None
        self.deadline: float | None = now + first

    def on_pong(self, now: float) -> bool:
        """Note a pong; return whether one was asked for."""
        if self._asked_at is None:
            return False
        self.round_trip = now - self._asked_at
        self._asked_at = None
        self.deadline = now + self._interval
        return True

    def on_activity(self, now: float) -> None:
        """Ignore it: it does not replace the pong that is owed."""

    def hurry(self, now: float) -> None:
        """Make the next ``check`` ask for a ping, unless a pong is owed already."""
        if self._asked_at is None:
            self.deadline = now

    def check(self, now: float) -> HeartbeatAction:
        """Return what is due at ``now``; after PING a pong is owed."""
        if self.deadline is None or now < self.deadline:
            return HeartbeatAction.NOTHING
        if self._asked_at is not None:
            return HeartbeatAction.DEAD
        self._asked_at = now
        self.deadline = now + self._timeout
        return HeartbeatAction.PING


class UnansweredPings:
    """The server sends pings that nobody can answer.

    They keep proxies from ending a stream on which nothing is sent.
    """

    __slots__ = ("_interval", "dead", "deadline")

    round_trip: float | None = None

    def __init__(self, interval: float, first: float) -> None:
        self.dead = Disconnect.NO_PONG
        self._interval = interval
        self.deadline: float | None = first

    def on_pong(self, now: float) -> bool:
        """Return False: no pong was asked for."""
        return False

    def on_activity(self, now: float) -> None:
        """Ignore it: a stream of events has nothing to say about its client."""

    def check(self, now: float) -> HeartbeatAction:
        """Return what is due at ``now``."""
        if self.deadline is None or now < self.deadline:
            return HeartbeatAction.NOTHING
        self.deadline = now + self._interval
        return HeartbeatAction.PING
