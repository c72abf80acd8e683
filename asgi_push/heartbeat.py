"""Proof that a peer is alive: deadlines for all sessions at once, and the two ways in which a heartbeat can run.

Nothing here knows a clock: ``now`` is a parameter, in seconds of a monotonic clock.
"""

import heapq
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from .disconnect import Disconnect

K = TypeVar("K")

# A heap with this many dead entries above the live ones is rebuilt; small enough that nobody sees it in memory.
_SLACK = 64


class Deadlines(Generic[K]):
    """The next deadline of each of many things, for one timer that serves them all.

    A deadline that moves away costs nothing: the entry stays where it is, comes out early, and its owner, asked then,
    schedules it again. A session that sends a heartbeat every second is so touched once per timeout, not per
    heartbeat.
    """

    __slots__ = ("_count", "_heap", "_when")

    def __init__(self) -> None:
        # Entries of [when, number, item]. The number breaks ties, so that two items are never compared; a dead entry
        # has no item, as it may stay for long and would keep a closed session, and its connection, in memory.
        self._heap: list[list[Any]] = []
        self._when: dict[K, list[Any]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._when)

    def schedule(self, item: K, when: float) -> None:
        """Have ``item`` come out of ``due`` at ``when``, or earlier if it was already scheduled for an earlier time."""
        planned = self._when.get(item)
        if planned is not None and planned[0] <= when:
            return
        self._count += 1
        entry = self._when[item] = [when, self._count, item]
        heapq.heappush(self._heap, entry)
        if planned is not None:
            planned[2] = None
            self._compact()

    def cancel(self, item: K) -> None:
        """Forget ``item``; unknown ones are no error."""
        planned = self._when.pop(item, None)
        if planned is not None:
            planned[2] = None
            self._compact()

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._when) + _SLACK:
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            heapq.heapify(self._heap)

    def next(self) -> float | None:
        """Return the earliest deadline, or None where there is none."""
        heap = self._heap
        while heap and heap[0][2] is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> list[K]:
        """Take out, and return, everything whose deadline is not after ``now``."""
        items: list[K] = []
        while (when := self.next()) is not None and when <= now:
            item = heapq.heappop(self._heap)[2]
            del self._when[item]
            items.append(item)
        return items


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
