"""One timer for all items that have a deadline."""

from typing import Generic, Protocol, TypeVar

import anyio

from .. import clock
from ..deadlines import Deadlines
from ..logs import logger
from .sync import AutoResetEvent

K = TypeVar("K")
K_contra = TypeVar("K_contra", contravariant=True)

# If the timer is later than this, in seconds, something has held the loop.
_LATE = 0.05

# The timer then waits so that what clients sent meanwhile is read before silent ones are closed:
# servers hand it on through a few turns of the loop, some of them from a thread.
_CATCH_UP_TIME = 0.1
_CATCH_UP_TURNS = 3


class TimerOwner(Protocol[K_contra]):
    """Whoever owns the items of a timer."""

    def check(self, item: K_contra, now: float) -> None:
        """Do what is due for an item, and schedule it again if it has another deadline."""
        ...

    def check_failed(self, item: K_contra, error: Exception) -> None:
        """Give up an item that ``check`` raised an error for."""
        ...


class Timer(Generic[K]):
    """Calls ``owner.check(item, now)`` when an item is due; one task does it for all items.

    If that raises, it calls ``owner.check_failed(item, error)`` and goes on with the other items.
    """

    def __init__(self, owner: TimerOwner[K]) -> None:
        self._owner = owner
        self._deadlines: Deadlines[K] = Deadlines()
        self._changed = AutoResetEvent()
        self._waiting_until = float("inf")

    def schedule(self, item: K, when: float) -> None:
        """Check ``item`` at ``when`` or earlier, in seconds of ``time.monotonic()``."""
        self._deadlines.schedule(item, when)
        if when < self._waiting_until:
            self._changed.set()

    def cancel(self, item: K) -> None:
        """Forget ``item``; an unknown one is no error."""
        self._deadlines.cancel(item)

    async def run(self) -> None:
        """Check items when they are due, for ever."""
        while True:
            when = self._deadlines.next()
            self._waiting_until = float("inf") if when is None else when
            with anyio.move_on_after(None if when is None else max(0.0, when - clock.monotonic())):
                await self._changed.wait()
            if when is not None and clock.monotonic() > when + _LATE:
                await _catch_up()
            self._check_due(clock.monotonic())

    def _check_due(self, now: float) -> None:
        # Not in ``run``, whose frame would keep the last item in memory until the next one is due.
        for item in self._deadlines.due(now):
            try:
                self._owner.check(item, now)
            except Exception as error:  # noqa: BLE001  # one item must not reach another
                self._drop(item, error)

    def _drop(self, item: K, error: Exception) -> None:
        try:
            self._owner.check_failed(item, error)
        except Exception:  # noqa: BLE001  # the other items must be checked
            logger.exception("what the timer could not look after cannot be dropped either")


async def _catch_up() -> None:
    await anyio.sleep(_CATCH_UP_TIME)
    for _ in range(_CATCH_UP_TURNS):
        await anyio.lowlevel.checkpoint()
