"""What is looked at again: one task a channel at a time, and not too many together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from ... import clock
from ...errors import BrokerError
from ...logs import RateLimit

# How many are under way together.
_MAX_TOGETHER = 200

# At most one line in so many seconds, of all failures.
_quiet = RateLimit(10.0)

Check = Callable[[str], Awaitable[None]]


class Checks:
    """Has channels checked; one that is wanted while it is under way is checked again."""

    def __init__(self, check: Check, again: float) -> None:
        self._check = check
        self._again = again  # after how many seconds one that failed is checked again
        self._wanted: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._work = asyncio.Event()
        self._slots = asyncio.Semaphore(_MAX_TOGETHER)

    @property
    def busy(self) -> bool:
        """Whether any is wanted or under way."""
        return bool(self._wanted or self._running)

    def want(self, channel: str) -> None:
        """Have a channel checked."""
        self._wanted.add(channel)
        self._work.set()

    async def run(self) -> None:
        """Check what is wanted, for ever."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                for channel in self._wanted - self._running.keys():
                    await self._slots.acquire()
                    self._wanted.discard(channel)
                    self._running[channel] = asyncio.create_task(self._one(channel))
        finally:
            for task in self._running.values():
                task.cancel()

    async def _one(self, channel: str) -> None:
        try:
            await self._check(channel)
        except BrokerError:
            await self._later(channel)
        # One channel's failure must not keep the others from being checked.
        except Exception:  # noqa: BLE001
            message = "the position of a channel could not be checked"
            _quiet.log(logging.ERROR, clock.monotonic(), message, exc_info=True)
            await self._later(channel)
        finally:
            del self._running[channel]
            self._slots.release()
            if channel in self._wanted:
                self._work.set()

    async def _later(self, channel: str) -> None:
        await asyncio.sleep(self._again)
        self._wanted.add(channel)

    async def others(self, channel: str, patience: float) -> None:
        """Wait until no other channel is being checked, or wants to be, but not for ever."""
        until = clock.monotonic() + patience
        while (tasks := [*self._others(channel)]) and (left := until - clock.monotonic()) > 0:
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _others(self, channel: str) -> Iterator[asyncio.Task[None]]:
        return (task for name, task in self._running.items() if name != channel)
