"""The next deadline of each of many items, so that one timer can serve them all.

Nothing here reads a clock: ``now`` is a parameter, in seconds of a monotonic clock.
"""

import heapq
from typing import Any, Generic, TypeVar

K = TypeVar("K")

# A heap with this many more dead entries than live ones is rebuilt; they take little memory.
_SLACK = 64


class Deadlines(Generic[K]):
    """The next deadline of each of many items.

    A deadline that moves to a later time costs nothing: the entry stays where it is and comes out
    early, and its owner then schedules it again. So a session that sends a heartbeat every second
    is looked at once a timeout, not once a heartbeat.
    """

    __slots__ = ("_count", "_heap", "_when")

    def __init__(self) -> None:
        # Entries of [when, number, item]. The number breaks ties, so that two items are never
        # compared. A dead entry has None for its item: it may stay for long, and would keep a
        # closed session and its connection in memory.
        self._heap: list[list[Any]] = []
        self._when: dict[K, list[Any]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._when)

    def schedule(self, item: K, when: float) -> None:
        """Make ``due`` return ``item`` at ``when``, or at an earlier time that it already has."""
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
        """Forget ``item``; an unknown one is no error."""
        planned = self._when.pop(item, None)
        if planned is not None:
            planned[2] = None
            self._compact()

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._when) + _SLACK:
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            heapq.heapify(self._heap)

    def next(self) -> float | None:
        """Return the earliest deadline; None if there is none."""
        heap = self._heap
        while heap and heap[0][2] is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> list[K]:
        """Remove and return all items whose deadline is not after ``now``, the earliest first."""
        items: list[K] = []
        while (when := self.next()) is not None and when <= now:
            item = heapq.heappop(self._heap)[2]
            del self._when[item]
            items.append(item)
        return items
