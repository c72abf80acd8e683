"""What a broker has begun ends with it, even if a library swallows a cancellation."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asgi_push.brokers import stopping
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
