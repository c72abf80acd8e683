"""Ends that are gone through to the end."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

# A task that was cancelled and has not ended is cancelled again after so many seconds.
_AGAIN = 1.0


async def end_tasks(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks, and return when they have ended.

    One cancellation is not enough: in Python 3.11 `asyncio.wait_for`, by which redis-py sends to a
    cluster, swallows the one that comes as it ends.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_AGAIN)


async def run_to_completion(work: Coroutine[Any, Any, None]) -> None:
    """Do something that takes a bounded time, even if the caller is cancelled meanwhile.

    The caller is told of the cancellation afterwards.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
