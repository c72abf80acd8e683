"""The time that one run of the fan-out may hold the event loop."""

import anyio

from .. import clock
from ..metrics.counters import Histogram

# How long a run may hold the event loop before other tasks run, in seconds.
_HOLD = 0.004

# The clock is read once for this many sessions: each takes about 8 us, more with a large batch.
STRIDE = 8

# The most sessions in one slice. Some transports (uvloop's) only queue a write until other tasks
# run, so the clock would not show how much there is still to do.
_MAX_SESSIONS = 400


class TimeSlice:
    """A run's time on the event loop; each slice's length goes into ``holds``."""

    __slots__ = ("_began", "_count", "_holds", "_until")

    def __init__(self, holds: Histogram) -> None:
        self._holds = holds
        self._begin()

    def _begin(self) -> None:
        now = clock.monotonic()
        self._count = 0
        self._began = now
        self._until = now + _HOLD

    def over(self, more: int = 1) -> bool:
        """Count one more session, or ``STRIDE``; return whether the slice is over before it."""
        self._count = count = self._count + more
        if count % STRIDE:
            return False
        return count >= _MAX_SESSIONS or clock.monotonic() > self._until

    async def next(self) -> None:
        """Let other tasks run, and begin the next slice."""
        self.end()
        await anyio.lowlevel.checkpoint()
        self._begin()

    def end(self) -> float:
        """End the last slice; return when that was."""
        now = clock.monotonic()
        self._holds.observe(now - self._began)
        return now
