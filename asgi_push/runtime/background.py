"""Background tasks that belong to no caller: they outlive whoever started them, and none of them ends another."""

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..errors import NotRunningError
from ..logs import logger
from .failures import Failures
from .tasks import current_task, ends_task, on_trio

Work = Callable[..., Coroutine[Any, Any, None]]

# What tasks get to end once they are cancelled, in seconds; twice, as a second attempt gets through
# a shield on asyncio.
_END_TIME = 1.0


class TaskRoot:
    """Tasks of their own, each apart from all others.

    It is no task group, though it ends as one: in a group any task that is cancelled, or that leaves a scope open, ends
    all the others. Whatever comes out of a task here is logged, and goes no further.

    Servers start and stop an application from tasks of their own choice, so what notices the end of the event loop
    lives in a task that belongs to none of them.
    """

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._jobs: set[_Job] = set()
        self._group: TaskGroup | None = None  # on trio, where no task is without one
        self._started = anyio.Event()
        self._finished = anyio.Event()
        self._empty = anyio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # trio ends its tasks with the loop, always
        self._root_task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def running(self) -> bool:
        """Whether tasks can be started; not on an event loop that was left behind, closed or not."""
        if self._group is None or self._stopping:
            return False
        return self._loop is None or self._loop.is_running()

    @property
    def ending(self) -> bool:
        """Whether all tasks are to end: it was stopped, or the event loop ends without a stop."""
        return not self.running or (self._root_task is not None and self._root_task.cancelling() > 0)

    async def start(self) -> None:
        """Start on the event loop that runs now."""
        self._loop = None if on_trio() else asyncio.get_running_loop()
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
        """Run ``work(*args)`` in the background; whatever it raises is logged, and counted as ``task``."""
        if not self.running or self._group is None:
            raise NotRunningError("Push is not running on this event loop")
        job = _Job(work, args)
        self._jobs.add(job)
        if on_trio():
            self._group.start_soon(self._run, job)
        else:
            job.task = asyncio.get_running_loop().create_task(self._run(job))

    async def _run(self, job: "_Job") -> None:
        here = current_task()
        try:
            with job.scope:
                await (_alone(self._work, job) if on_trio() else self._work(job))
        except BaseException as error:  # noqa: BLE001  # nothing may come out of here
            self._report(job, error, here)
        finally:
            self._jobs.discard(job)
            if not self._jobs:
                self._empty.set()

    async def _work(self, job: "_Job") -> None:
        here = current_task()
        try:
            await job.work(*job.args)
        except BaseException as error:
            if self._is_the_end(error, here):
                raise
            self._report(job, error, here)

    def _report(self, job: "_Job", error: BaseException, here: object) -> None:
        if not self._is_the_end(error, here):
            self._failures.report("task", error, getattr(job.work, "__qualname__", repr(job.work)))

    def _is_the_end(self, error: BaseException, task: object) -> bool:
        if on_trio():  # what a job did to itself stays in its own nursery
            return ends_task(error, task)
        return self.ending or current_task() is not task

    async def stop(self) -> None:
        """Cancel all tasks and wait until they are gone; for ever only the event loop waits for one that will not."""
        if self._group is None:
            return
        self._stopping = True
        for insist in (False, True):
            for job in list(self._jobs):
                job.cancel(insist=insist)
            await self._wait_until_empty()
        for job in self._jobs:
            logger.error("%s does not end, though it was cancelled; it is left behind", job.work)
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
    """One task, and the scope that ends it."""

    __slots__ = ("args", "scope", "task", "work")

    def __init__(self, work: Work, args: tuple[Any, ...]) -> None:
        self.work = work
        self.args = args
        self.scope = anyio.CancelScope()
        self.task: asyncio.Task[None] | None = None

    def cancel(self, *, insist: bool) -> None:
        self.scope.cancel()
        if insist and self.task is not None:
            self.task.cancel()


async def _alone(work: Work, *args: Any) -> None:
    """Run it in a nursery of its own: on trio, what a task leaves open is an error of the nursery that it is in."""
    async with anyio.create_task_group() as group:
        group.start_soon(work, *args)


def run_detached(work: Callable[[], Coroutine[Any, Any, None]]) -> "asyncio.Task[None] | None":
    """Run what raises nothing in a task that belongs to nobody who runs now; keep what this returns until it ends.

    The context is a fresh one, which keeps one request's out of it.
    """
    if on_trio():
        sys.modules["trio"].lowlevel.spawn_system_task(work, context=contextvars.Context())
        return None
    return asyncio.get_running_loop().create_task(work(), context=contextvars.Context())
