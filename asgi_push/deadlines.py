"""The next deadline of each of many items, so that one timer can serve them all.

Nothing here reads a clock: ``now`` is a parameter, in seconds of a monotonic clock.
"""

import heapq
import math
from typing import Generic, TypeVar

K = TypeVar("K")

# Deadlines are kept to this part of a second, rounded up. All items of one such moment share one
# entry: a hundred thousand sessions, each with a deadline, have a thousand of them.
_PER_SECOND = 32

# A heap with this many more dead entries than live ones is rebuilt; they take little memory.
_SLACK = 64


class _Moment(Generic[K]):
    """The items that are due at one time."""

    __slots__ = ("items", "when")

    def __init__(self, when: float) -> None:
        self.when = when
        self.items: dict[K, None] = {}  # a dict keeps their order


class Deadlines(Generic[K]):
    """The next deadline of each of many items, to a thirty-second of a second.

    A deadline that moves to a later time costs nothing: the entry stays where it is and comes out
    early, and its owner then schedules it again. So a session that sends a heartbeat every second
    is looked at once a timeout, not once a heartbeat.
    """

    __slots__ = ("_heap", "_moments", "_planned")

    def __init__(self) -> None:
        self._moments: dict[float, _Moment[K]] = {}  # those that have items
        self._heap: list[float] = []  # all of these, and moments that no longer have any
        self._planned: dict[K, _Moment[K]] = {}

    def __len__(self) -> int:
        return len(self._planned)

    def schedule(self, item: K, when: float) -> None:
        """Make ``due`` return ``item`` at ``when``, or at an earlier time that it already has."""
        planned = self._planned.get(item)
        if planned is not None:
            if planned.when <= when:
                return
            self._remove(item, planned)
        when = math.ceil(when * _PER_SECOND) / _PER_SECOND
        moment = self._moments.get(when)
        if moment is None:
            moment = self._moments[when] = _Moment(when)
            heapq.heappush(self._heap, when)
        moment.items[item] = None
        self._planned[item] = moment

    def cancel(self, item: K) -> None:
        """Forget ``item``; an unknown one is no error."""
        planned = self._planned.pop(item, None)
        if planned is not None:
            self._remove(item, planned)

    def _remove(self, item: K, moment: _Moment[K]) -> None:
        del moment.items[item]
        if not moment.items:
            del self._moments[moment.when]
            if len(self._heap) > 2 * len(self._moments) + _SLACK:
                self._heap = sorted(self._moments)  # which is a heap

    def next(self) -> float | None:
        """Return the earliest deadline; None if there is none."""
        heap = self._heap
        while heap and heap[0] not in self._moments:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def due(self, now: float) -> list[K]:
        """Remove and return all items whose deadline is not after ``now``, the earliest first."""
        items: list[K] = []
        while (when := self.next()) is not None and when <= now:
            heapq.heappop(self._heap)
            items += self._moments.pop(when).items
        for item in items:
            del self._planned[item]
        return items
