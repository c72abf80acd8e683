"""Time on the event loop that all tasks of one kind share."""

import asyncio

import anyio

from .. import clock
from .event_loop import call_soon, on_trio

# How long all tasks of one kind together may hold the loop before others run, in seconds.
_HOLD = 0.004

# This many pieces of work are done without a look at the clock: a task with fewer is never
# interrupted.
_STRIDE = 16

# A large piece counts as one for each this many bytes: decoding them takes about as long as a
# piece with few bytes does.
_PIECE = 4096


class SharedSlice:
    """A time slice that tasks share; on asyncio it begins anew in each turn of the event loop.

    After each piece of work a task asks whether the slice is ``over``; if it is, it waits for
    ``next``. With a slice for each task, every task with something to do would hold the loop for
    as long again.
    """

    __slots__ = ("_count", "_rest", "_slices", "_until")

    def __init__(self) -> None:
        self._count = 0
        self._slices = 0
        self._until: float | None = None  # None: fewer than _STRIDE pieces were done
        self._rest = anyio.Lock(fast_acquire=True)  # those who wait go on in the order they came

    def over(self, size: int = 0) -> bool:
        """Count a piece of work of ``size`` bytes; return whether the slice is over now."""
        self._count += 1 + size // _PIECE
        if self._count < _STRIDE:
            return False
        if self._until is None:
            self._until = clock.monotonic() + _HOLD
            # trio calls and runs tasks in any order, so there a slice lasts until somebody waits.
            if not on_trio():
                asyncio.get_running_loop().call_soon(self._begin, self._slices)
        return self._spent()

    def _spent(self) -> bool:
        return self._until is not None and clock.monotonic() > self._until

    def _begin(self, ended: int) -> None:
        """Begin anew, unless the slice with this number has been followed by another."""
        if ended == self._slices:
            self._slices += 1
            self._count = 0
            self._until = None

    async def next(self) -> None:
        """Let the other tasks of the loop run, once for all who wait here."""
        async with self._rest:
            if self._spent():
                ended = self._slices
                await anyio.lowlevel.checkpoint()
                self._begin(ended)


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
