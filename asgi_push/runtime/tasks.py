"""Background tasks, which belong to no caller, and of which none ends another."""

import asyncio
import contextvars
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup

from .. import clock
from ..errors import NotRunningError
from ..logs import logger
from .event_loop import current_task, ends_task, on_trio
from .failures import Failures

Work = Callable[..., Coroutine[Any, Any, None]]

# The time that cancelled tasks get to end, in seconds. They get it twice: on asyncio, the second
# cancellation gets through a shield.
_END_TIME = 1.0

# The shortest and the longest wait after a failure of a supervised task, in seconds: without a
# wait it would spin, and nobody waits for more than 30 s.
_FIRST_BACKOFF = 0.1
_MAX_BACKOFF = 30.0


class TaskRoot:
    """Starts background tasks and ends them all together.

    It is not a task group, in which any task that is cancelled, or that leaves a scope open, ends
    all the others. What a task raises here is logged and goes no further.

    Servers start and stop an application in tasks of their own choice. So the task that notices
    the end of the event loop is one that belongs to none of them.
    """

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._jobs: set[_Job] = set()
        self._group: TaskGroup | None = None  # on trio, where every task belongs to one
        # Makes a scope for the loop that runs. anyio.CancelScope() finds out which one that is
        # each time, which takes three times as long as the scope.
        self._make_scope: Callable[[], anyio.CancelScope] = anyio.CancelScope
        self._started = anyio.Event()
        self._finished = anyio.Event()
        self._empty = anyio.Event()
        # None on trio, which always ends its tasks when its loop ends.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._root_task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def running(self) -> bool:
        """Whether tasks can be started: after ``start``, before ``stop``, while the loop runs."""
        if self._group is None or self._stopping:
            return False
        return self._loop is None or self._loop.is_running()

    @property
    def ending(self) -> bool:
        """Whether all tasks have to end, by ``stop`` or because the event loop ends."""
        cancelled = self._root_task is not None and self._root_task.cancelling() > 0
        return not self.running or cancelled

    async def start(self) -> None:
        """Start on the event loop that runs now."""
        self._loop = None if on_trio() else asyncio.get_running_loop()
        self._make_scope = type(anyio.CancelScope())
        self._root_task = run_detached(self._root)
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

    def spawn(self, work: Work, *args: Any) -> None:
        """Run ``work(*args)`` in the background; log what it raises, and count that as ``task``.

        Raises:
            NotRunningError: it was not started, it was stopped, or its event loop has ended.
        """
        if not self.running or self._group is None:
            raise NotRunningError("Push is not running on this event loop")
        job = _Job(work, args, self._make_scope())
        self._jobs.add(job)
        if self._loop is None:
            self._group.start_soon(self._run, job)
        else:
            job.task = asyncio.get_running_loop().create_task(self._run(job))

    async def _run(self, job: "_Job") -> None:
        here = current_task()
        try:
            with job.scope:
                if self._loop is None:
                    await _run_in_nursery(self._work_there, job)
                else:
                    await self._work(job, here)
        except BaseException as error:  # noqa: BLE001  # nothing may come out of here
            self._report(job, error, here)
        finally:
            self._jobs.discard(job)
            if not self._jobs:
                self._empty.set()

    async def _work_there(self, job: "_Job") -> None:
        await self._work(job, current_task())

    async def _work(self, job: "_Job", here: object) -> None:
        try:
            await job.work(*job.args)
        except BaseException as error:
            if self._is_the_end(error, here):
                raise
            self._report(job, error, here)

    def _report(self, job: "_Job", error: BaseException, here: object) -> None:
        if not self._is_the_end(error, here):
            name = getattr(job.work, "__qualname__", repr(job.work))
            self._failures.report("task", error, name)

    def _is_the_end(self, error: BaseException, task: object) -> bool:
        if self._loop is None:  # on trio, what a job did to itself stays in its own nursery
            return ends_task(error, task)
        return self.ending or current_task() is not task

    async def stop(self) -> None:
        """Cancel all tasks and wait for their end, but for no longer than three seconds.

        A task that ignores two cancellations is logged and left behind.
        """
        if self._group is None:
            return
        self._stopping = True
        for insist in (False, True):
            for job in list(self._jobs):
                job.cancel(insist=insist)
            await self._wait_until_empty()
        for job in self._jobs:
            message = "%s does not end, though it was cancelled; it is left behind"
            logger.error(message, job.work)
        if self._group is not None:
            self._group.cancel_scope.cancel()
        with anyio.move_on_after(_END_TIME):
            await self._finished.wait()

    async def _wait_until_empty(self) -> None:
        self._empty = anyio.Event()
        if self._jobs:
            with anyio.move_on_after(_END_TIME):
                await self._empty.wait()


class _Job:
    """One background task, and the scope that cancels it."""

    __slots__ = ("args", "scope", "task", "work")

    def __init__(self, work: Work, args: tuple[Any, ...], scope: anyio.CancelScope) -> None:
        self.work = work
        self.args = args
        self.scope = scope
        self.task: asyncio.Task[None] | None = None

    def cancel(self, *, insist: bool) -> None:
        """Cancel the scope; with ``insist`` the task too."""
        self.scope.cancel()
        if insist and self.task is not None:
            self.task.cancel()


async def _run_in_nursery(work: Work, *args: Any) -> None:
    """Run ``work`` in a nursery of its own.

    On trio, what a task leaves open is an error of the nursery that the task is in.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(work, *args)


def run_detached(work: Callable[[], Coroutine[Any, Any, None]]) -> "asyncio.Task[None] | None":
    """Run ``work``, which must not raise, in a task that belongs to no caller; return the task.

    Keep the task until it ends, as asyncio does not. On trio it is None. The task has a fresh
    context, so that it does not keep that of one request.
    """
    if on_trio():
        trio = sys.modules["trio"]
        trio.lowlevel.spawn_system_task(work, context=contextvars.Context())
        return None
    return asyncio.get_running_loop().create_task(work(), context=contextvars.Context())


async def supervise(
    name: str, task: Callable[[], Awaitable[None]], count: Callable[[], object] = lambda: None
) -> None:
    """Run a task that never ends by itself, and start it again whenever it fails.

    Each failure is logged with its cause. The wait before the next start doubles each time.

    Args:
        name: what the log calls the task.
        task: runs the task.
        count: is called at each failure.
    """
    backoff = _FIRST_BACKOFF
    here = current_task()
    while True:
        began = clock.monotonic()
        try:
            await task()
        except BaseException as error:
            if ends_task(error, here):
                raise
            ran_long = clock.monotonic() - began > _MAX_BACKOFF
            backoff = _FIRST_BACKOFF if ran_long else min(backoff * 2, _MAX_BACKOFF)
            logger.exception("%s failed; starting it again in %.1f s", name, backoff)
            count()
        jitter = random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        await anyio.sleep(backoff * jitter)
