"""Finds the tasks that an application has started and not ended."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import anyio

from ..runtime.event_loop import on_trio

# What the code that runs now adds its new tasks to; set only while the application runs.
_watch: ContextVar["TaskWatch | None"] = ContextVar("asgi_push_testing_watch", default=None)


class TaskWatch:
    """The tasks of an application on asyncio. On trio no task outlives what has started it."""

    def __init__(self) -> None:
        self._tasks: WeakSet[asyncio.Future[Any]] = WeakSet()
        self._loop = None if on_trio() else asyncio.get_running_loop()
        if self._loop is not None:
            self._factory = self._loop.get_task_factory()
            self._loop.set_task_factory(self._make)

    async def run(self, application: Coroutine[Any, Any, None]) -> None:
        """Run a part of the application, whose tasks are watched."""
        token = _watch.set(self)
        try:
            await application
        finally:
            _watch.reset(token)

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        task = (
            asyncio.Task(coro, loop=loop, **options)
            if self._factory is None
            else self._factory(loop, coro, **options)
        )
        if _watch.get() is self:
            self._tasks.add(task)
        return task

    def stop(self) -> None:
        """Watch no more."""
        if self._loop is not None and self._loop.get_task_factory() == self._make:
            self._loop.set_task_factory(self._factory)

    async def left(self, seconds: float) -> list[str]:
        """Return the names of those that still run after so many seconds."""
        with anyio.move_on_after(seconds):
            while self._running():  # noqa: ASYNC110  # there is no event for it
                await anyio.sleep(0.005)
        return self._running()

    def _running(self) -> list[str]:
        return sorted(_name(task) for task in self._tasks if not task.done())


def _name(task: Any) -> str:
    coro = task.get_coro()
    return f"{task.get_name()} ({getattr(coro, '__qualname__', coro)})"
