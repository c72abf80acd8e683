"""The one timer that looks after everything with a deadline."""

from collections.abc import Callable
from typing import Generic, TypeVar

import anyio

from .. import clock
from ..deadlines import Deadlines
from ..logs import logger
from .tasks import AutoResetEvent

K = TypeVar("K")

# If the timer is so late, in seconds, something has held the loop.
_LATE = 0.05

# What came meanwhile is then read before anything is done about those of whom nothing was heard: servers hand it on
# through a few turns of the loop, some of them from a thread.
_CATCH_UP_TIME, _CATCH_UP_TURNS = 0.1, 3


class Timer(Generic[K]):
    """Calls ``check(item, now)`` when an item's time has come; there is one task for all of them.

    Where that raises, ``failed(item, error)`` is called, and the others are looked at all the same.
    """

    def __init__(self, check: Callable[[K, float], None], failed: Callable[[K, Exception], None]) -> None:
        self._check = check
        self._failed = failed
        self._deadlines: Deadlines[K] = Deadlines()
        self._changed = AutoResetEvent()
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
            with anyio.move_on_after(None if when is None else max(0.0, when - clock.monotonic())):
                await self._changed.wait()
            if when is not None and clock.monotonic() > when + _LATE:
                await _catch_up()
            self._check_due(clock.monotonic())

    def _check_due(self, now: float) -> None:
        # Not in ``run``, whose frame would keep the last item until the next is due.
        for item in self._deadlines.due(now):
            try:
                self._check(item, now)
            except Exception as error:  # noqa: BLE001  # one item must not reach another
                self._drop(item, error)

    def _drop(self, item: K, error: Exception) -> None:
        try:
            self._failed(item, error)
        except Exception:  # noqa: BLE001  # the others are to be looked at
            logger.exception("what the timer could not look after cannot be dropped either")


async def _catch_up() -> None:
    await anyio.sleep(_CATCH_UP_TIME)
    for _ in range(_CATCH_UP_TURNS):
        await anyio.lowlevel.checkpoint()
