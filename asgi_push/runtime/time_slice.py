"""Time on the event loop that all tasks of one kind share."""

import anyio

from .. import clock
from .event_loop import call_soon

# How long all tasks of one kind together may hold the loop before others run, in seconds.
_HOLD = 0.004

# This many pieces of work are done without a look at the clock: a task with fewer is never
# interrupted.
_STRIDE = 16

# A large piece counts as one for each this many bytes: decoding them takes about as long as a
# piece with few bytes does.
_PIECE = 4096


class SharedSlice:
    """A time slice that tasks share.

    After each piece of work a task asks whether the slice is ``over``; if it is, it waits for
    ``next``. With a slice for each task, every task with something to do would hold the loop for
    as long again.
    """

    __slots__ = ("_count", "_rest", "_until")

    def __init__(self) -> None:
        self._count = 0
        self._until = 0.0
        self._rest = anyio.Lock(fast_acquire=True)  # those who wait go on in the order they came

    def over(self, size: int = 0) -> bool:
        """Count a piece of work of ``size`` bytes; return whether the slice is over now."""
        self._count += 1 + size // _PIECE
        return self._spent()

    def _spent(self) -> bool:
        return self._count >= _STRIDE and clock.monotonic() > self._until

    async def next(self) -> None:
        """Let the other tasks of the loop run, once for all who wait here."""
        async with self._rest:
            if self._spent():
                await anyio.lowlevel.checkpoint()
                self._count = 0
                self._until = clock.monotonic() + _HOLD


class TurnSlice:
    """A time slice that tasks share, and that begins anew in each turn of the event loop.

    Who begins in a new turn has not held the loop yet, however long others did before.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: float | None = None  # None: nobody has used this turn's

    def over(self) -> bool:
        """Return whether this turn's slice is over."""
        if self._until is None:
            self._until = clock.monotonic() + _HOLD
            call_soon()(self._begin)
            return False
        return clock.monotonic() > self._until

    def _begin(self) -> None:
        self._until = None
