"""Background tasks that belong to no caller: a root that outlives whoever started it, and supervision."""

import asyncio
import contextvars
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token

from ..errors import NotRunningError
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


class Background:
    """A task group in a task of its own.

    A task group must be left by the task that entered it; servers start and stop an application from tasks of their
    own choice, so the group lives in a task that belongs to none of them.
    """

    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # trio ends its tasks with the loop, always
        self._started = anyio.Event()
        self._finished = anyio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether tasks can be started; not on an event loop that was left behind, closed or not."""
        return self._group is not None and (self._loop is None or self._loop.is_running())

    async def start(self) -> None:
        """Start the root on the event loop that runs now."""
        if on_trio():
            sys.modules["trio"].lowlevel.spawn_system_task(self._root, context=contextvars.Context())
        else:
            self._loop = asyncio.get_running_loop()
            # The reference keeps the task from being collected; a fresh context keeps one request's out of it.
            self._task = self._loop.create_task(self._root(), context=contextvars.Context())
        await self._started.wait()

    async def _root(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                self._started.set()
                await anyio.sleep_forever()
        finally:
            self._group = None
            self._finished.set()

    def spawn(self, task: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run ``task(*args)`` in the background; a failure is logged."""
        if self._group is None:
            raise NotRunningError("Push is not running on this event loop")
        self._group.start_soon(_guarded, task, *args)

    async def stop(self) -> None:
        """Cancel all tasks and wait until they are gone."""
        if self._group is not None:
            self._group.cancel_scope.cancel()
            await self._finished.wait()


async def _guarded(task: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Run a task; its failure must not end the group, and with it all the others."""
    try:
        await task(*args)
    except Exception:  # noqa: BLE001  # whatever it is, it is said here
        logger.exception("%s failed", getattr(task, "__qualname__", task))


async def supervise(name: str, task: Callable[[], Awaitable[None]]) -> None:
    """Run a task that never ends by itself; log its failure with the cause, and start it again after a backoff."""
    backoff = _FIRST_BACKOFF
    while True:
        began = time.monotonic()
        try:
            await task()
        except Exception:  # noqa: BLE001  # that is what it supervises
            backoff = _FIRST_BACKOFF if time.monotonic() - began > _MAX_BACKOFF else min(backoff * 2, _MAX_BACKOFF)
            logger.exception("%s failed; starting it again in %.1f s", name, backoff)
        await anyio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret


class Turns:
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


class Signal:
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
