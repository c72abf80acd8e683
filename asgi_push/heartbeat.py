"""The heartbeats that show whether a peer is alive.

Nothing here reads a clock: ``now`` is a parameter, in seconds of a monotonic clock.
"""

from enum import Enum
from typing import Protocol

from .disconnect import Disconnect


class HeartbeatAction(Enum):
    """What a heartbeat asks for."""

    NOTHING = 0
    PING = 1
    DEAD = 2


class Heartbeat(Protocol):
    """What both ways have in common, and what death by each is called."""

    deadline: float | None
    dead: Disconnect
    round_trip: float | None

    def on_pong(self, now: float) -> bool: ...

    def on_activity(self, now: float) -> None: ...

    def check(self, now: float) -> HeartbeatAction: ...


class FirstCommand:
    """No heartbeat yet: a client that has not said who it is ``within`` seconds is stale."""

    __slots__ = ("dead", "deadline")

    round_trip: float | None = None

    def __init__(self, within: float, now: float) -> None:
        self.deadline: float | None = now + within
        self.dead = Disconnect.STALE

    def on_pong(self, now: float) -> bool:
        """A pong came, which nobody asked for."""
        return False

    def on_activity(self, now: float) -> None:
        """Something came, which is not enough."""

    def check(self, now: float) -> HeartbeatAction:
        """Say what is due at ``now``."""
        return HeartbeatAction.DEAD if self.deadline is not None and self.deadline <= now else HeartbeatAction.NOTHING


class ClientHeartbeat:
    """The client sends the heartbeats. One that has ever sent one and then falls silent is dead after ``timeout``.

    A client that never sent a heartbeat is left alone: many never do.
    """

    __slots__ = ("_timeout", "dead", "deadline")

    round_trip: float | None = None

    def __init__(self, timeout: float) -> None:
        self.dead = Disconnect.NO_HEARTBEAT
        self._timeout = timeout
        self.deadline: float | None = None

    def on_pong(self, now: float) -> bool:
        """A heartbeat came; it is always welcome."""
        self.deadline = now + self._timeout
        return True

    def on_activity(self, now: float) -> None:
        """Anything came: it proves life as well as a heartbeat does."""
        if self.deadline is not None:
            self.deadline = now + self._timeout

    def check(self, now: float) -> HeartbeatAction:
        """Say what is due at ``now``."""
        return HeartbeatAction.DEAD if self.deadline is not None and self.deadline <= now else HeartbeatAction.NOTHING


class ServerHeartbeat:
    """The server sends the pings, ``interval`` seconds apart, and wants each answered within ``timeout`` seconds.

    The first ping comes after ``first`` seconds; spread that over the sessions, so that they do not ping in step.
    ``round_trip`` is how long the last pong took, None before the first.
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
        """A pong came; return whether one was asked for."""
        if self._asked_at is None:
            return False
        self.round_trip = now - self._asked_at
        self._asked_at = None
        self.deadline = now + self._interval
        return True

    def on_activity(self, now: float) -> None:
        """Anything else came: it does not stand for the pong that is owed."""

    def hurry(self, now: float) -> None:
        """Ping at once, unless a pong is owed already."""
        if self._asked_at is None:
            self.deadline = now

    def check(self, now: float) -> HeartbeatAction:
        """Say what is due at ``now``; after PING the pong is waited for."""
        if self.deadline is None or now < self.deadline:
            return HeartbeatAction.NOTHING
        if self._asked_at is not None:
            return HeartbeatAction.DEAD
        self._asked_at = now
        self.deadline = now + self._timeout
        return HeartbeatAction.PING


class UnansweredPings:
    """The server sends pings that nobody can answer: they keep proxies from ending a stream that says nothing."""

    __slots__ = ("_interval", "dead", "deadline")

    round_trip: float | None = None

    def __init__(self, interval: float, first: float) -> None:
        self.dead = Disconnect.NO_PONG
        self._interval = interval
        self.deadline: float | None = first

    def on_pong(self, now: float) -> bool:
        """A pong came, which nobody asked for."""
        return False

    def on_activity(self, now: float) -> None:
        """Something came."""

    def check(self, now: float) -> HeartbeatAction:
        """Say what is due at ``now``."""
        if self.deadline is None or now < self.deadline:
            return HeartbeatAction.NOTHING
        self.deadline = now + self._interval
        return HeartbeatAction.PING
