"""Time on the event loop that tasks of one kind share, however many of them there are."""

import anyio

from .. import clock

# How long all tasks of one kind together may hold the loop before others get their turn, in seconds.
_HOLD = 0.004

# So many pieces of work are done without a look at the clock: who has less to do has its turn in one.
_STRIDE = 16

# A larger piece counts as one for each so many bytes: decoding them takes about as long as a piece that has few.
_PIECE = 4096


class SharedSlice:
    """A time slice: whoever works asks after each piece of work whether it is ``over``, and then waits for ``next``.

    Were each task's time its own, every one that has something to do would hold the loop for as long again.
    """

    __slots__ = ("_count", "_rest", "_until")

    def __init__(self) -> None:
        self._count = 0
        self._until = 0.0
        self._rest = anyio.Lock(fast_acquire=True)  # those who wait go on one after the other, the first first

    def over(self, size: int = 0) -> bool:
        """Count a piece of work that had so many bytes; return whether others come before the next one."""
        self._count += 1 + size // _PIECE
        return self._spent()

    def _spent(self) -> bool:
        return self._count >= _STRIDE and clock.monotonic() > self._until

    async def next(self) -> None:
        """Let all others have their turn, once for all who wait here."""
        async with self._rest:
            if self._spent():
                await anyio.lowlevel.checkpoint()
                self._count = 0
                self._until = clock.monotonic() + _HOLD
