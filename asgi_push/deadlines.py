"""The next deadline of each of many items, so that one timer can serve them all.

Nothing here reads a clock: ``now`` is a parameter, in seconds of a monotonic clock.
"""

import heapq
from typing import Any, Generic, TypeVar

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
