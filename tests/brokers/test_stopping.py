"""What a broker has begun ends with it, even if a library swallows a cancellation."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, cast

import anyio
import pytest

from asgi_push.brokers import stopping
from asgi_push.brokers.postgres.pipeline import in_time
from asgi_push.brokers.stopping import end_tasks
from tests.asgi import PATIENCE


@pytest.fixture
def anyio_backend() -> str:
    """Brokers that have tasks need asyncio."""
    return "asyncio"


async def test_task_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that goes on after its cancellation is cancelled again, and the others are ended meanwhile."""
    monkeypatch.setattr(stopping, "_AGAIN", 0.01)
    cancellations = 0

    async def go_on() -> None:
        nonlocal cancellations
        while cancellations < 3:
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                cancellations += 1

    tasks = [asyncio.create_task(work()) for work in (go_on, anyio.sleep_forever)]
    await asyncio.sleep(0)
    with anyio.fail_after(PATIENCE):
        await end_tasks(tasks)
    assert [task.done() for task in tasks] == [True, True]
    assert cancellations == 3


async def test_no_tasks() -> None:
    """Where nothing has begun there is nothing to wait for."""
    await end_tasks([])


async def test_failure_that_nobody_waits_for(logged: list[dict[str, Any]]) -> None:
    """Work that fails as its waiter is cancelled is not logged: nobody wants to know of it."""
    failing = asyncio.Event()

    async def fail() -> None:
        await failing.wait()
        raise OSError("lost")

    waiting = asyncio.create_task(in_time(cast(Any, None), fail(), PATIENCE))
    for _ in range(3):
        await asyncio.sleep(0)
    failing.set()
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    del waiting
    gc.collect()
    assert not logged
