"""The event loop that runs here, asyncio's or trio's, and the task that it runs."""

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import current_token

T = TypeVar("T")


def on_trio() -> bool:
    """Return whether trio runs here, and not asyncio."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def in_event_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    try:
        current_token()
    except RuntimeError:
        return False
    return True


def call_soon() -> Callable[[Callable[[], None]], Any]:
    """Return a function that has this event loop call another one.

    It may be called in another thread, and in a signal's handler.
    """
    if on_trio():
        token = sys.modules["trio"].lowlevel.current_trio_token()
        run: Callable[[Callable[[], None]], Any] = token.run_sync_soon
        return run
    return asyncio.get_running_loop().call_soon_threadsafe


def current_task() -> object | None:
    """Return the task that runs here; None outside of a task."""
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
    """Return whether the task that runs here, or a scope that it is in, was cancelled."""
    if on_trio():
        return bool(sys.modules["trio"].current_effective_deadline() == -math.inf)
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_task(error: BaseException, task: object) -> bool:
    """Return whether ``error`` ends ``task``, and is not a failure of something that it called.

    A cancellation that nobody asked for is such a failure: it is what a task gets that awaits
    another one which was cancelled.
    """
    if current_task() is not task:  # the event loop has ended, and its tasks are thrown away
        return True
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(cancelled) is not None and being_cancelled()
    return isinstance(error, cancelled) and being_cancelled()


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Return what ``work`` returns.

    On asyncio, a scope of anyio's would leave 250 bytes with the task, for as long as it lives: for
    a session, that is until it ends.

    Raises:
        TimeoutError: it took longer than ``seconds``, and was cancelled.
    """
    if on_trio():
        with anyio.fail_after(seconds):
            return await work
    async with asyncio.timeout(seconds):
        return await work
