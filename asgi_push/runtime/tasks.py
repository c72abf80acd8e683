"""What tasks are made of on both event loops: who is cancelled and who is not, supervision, turns and signals."""

import asyncio
import math
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import current_token

from .. import clock
from ..logs import logger

# Waits after a failure of a supervised task, in seconds: at once would spin, and nobody waits for more than 30 s.
_FIRST_BACKOFF, _MAX_BACKOFF = 0.1, 30.0


def on_trio() -> bool:
    """Whether trio runs here, and not asyncio."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def in_event_loop() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        current_token()
    except RuntimeError:
        return False
    return True


def call_soon() -> Callable[[Callable[[], None]], Any]:
    """Return what runs a function on this event loop, and may be called by a signal's handler."""
    if on_trio():
        run: Callable[[Callable[[], None]], Any] = sys.modules["trio"].lowlevel.current_trio_token().run_sync_soon
        return run
    return asyncio.get_running_loop().call_soon_threadsafe


def current_task() -> object | None:
    """Return the task that runs here, None outside of one."""
    if on_trio():
        try:
            task: object = sys.modules["trio"].lowlevel.current_task()
        except RuntimeError:
            return None
        return task
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def being_cancelled() -> bool:
    """Whether somebody has asked the task that runs here to end, or to leave a scope that it is in."""
    if on_trio():
        return bool(sys.modules["trio"].current_effective_deadline() == -math.inf)
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_task(error: BaseException, task: object) -> bool:
    """Whether ``error`` is the end of ``task``, which was running, and not the failure of something that it called.

    A cancellation that nobody asked for is such a failure: whoever awaits a task that somebody else cancelled gets one.
    """
    if current_task() is not task:  # its event loop has ended, and what is left of it is thrown away
        return True
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(cancelled) is not None and being_cancelled()
    return isinstance(error, cancelled) and being_cancelled()


async def supervise(name: str, task: Callable[[], Awaitable[None]], count: Callable[[], object] = lambda: None) -> None:
    """Run a task that never ends by itself; log its failure with the cause, and start it again after a backoff.

    ``count`` is called at each failure.
    """
    backoff, here = _FIRST_BACKOFF, current_task()
    while True:
        began = clock.monotonic()
        try:
            await task()
        except BaseException as error:
            if ends_task(error, here):
                raise
            backoff = _FIRST_BACKOFF if clock.monotonic() - began > _MAX_BACKOFF else min(backoff * 2, _MAX_BACKOFF)
            logger.exception("%s failed; starting it again in %.1f s", name, backoff)
            count()
        await anyio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret


class KeyedLock:
    """Has callers with the same key go one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._locks: dict[str, anyio.Lock] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for one's turn; it ends with the block."""
        lock = self._locks.setdefault(key, anyio.Lock(fast_acquire=True))
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._locks.pop(key, None)


class AutoResetEvent:
    """Wakes one waiting task, now or when it comes to wait."""

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._set = False

    def set(self) -> None:
        """Wake the waiter."""
        self._set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Return when the signal was set since the last return."""
        if not self._set:
            self._event = anyio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._set = False
