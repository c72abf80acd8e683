"""The one timer that looks after everything with a deadline."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio

from ..heartbeat import Deadlines
from .tasks import Signal

K = TypeVar("K")

# If the timer is so late, in seconds, something has held the loop.
_LATE = 0.05

# What came meanwhile is then read before anything is done about those of whom nothing was heard: servers hand it on
# through a few turns of the loop, some of them from a thread.
_CATCH_UP_TIME, _CATCH_UP_TURNS = 0.1, 3


class Timer(Generic[K]):
    """Calls ``check(item, now)`` when an item's time has come; there is one task for all of them."""

    def __init__(self, check: Callable[[K, float], None]) -> None:
        self._check = check
        self._deadlines: Deadlines[K] = Deadlines()
        self._changed = Signal()
        self._waiting_until = float("inf")

    def schedule(self, item: K, when: float) -> None:
        """Have an item looked at not later than at ``when``, in seconds of ``time.monotonic()``."""
        self._deadlines.schedule(item, when)
        if when < self._waiting_until:
            self._changed.set()

    def cancel(self, item: K) -> None:
        """Forget an item."""
        self._deadlines.cancel(item)

    async def run(self) -> None:
        """Look after the items for ever."""
        while True:
            when = self._deadlines.next()
            self._waiting_until = float("inf") if when is None else when
            with anyio.move_on_after(None if when is None else max(0.0, when - time.monotonic())):
                await self._changed.wait()
            if when is not None and time.monotonic() > when + _LATE:
                await _catch_up()
            now = time.monotonic()
            for item in self._deadlines.due(now):
                self._check(item, now)


async def _catch_up() -> None:
    await anyio.sleep(_CATCH_UP_TIME)
    for _ in range(_CATCH_UP_TURNS):
        await anyio.lowlevel.checkpoint()
