"""What is the same on asyncio and on trio."""

from __future__ import annotations

import anyio
import pytest

from asgi_push.runtime.event_loop import within


async def test_what_takes_longer_is_cancelled() -> None:
    """And TimeoutError is raised; the task goes on."""
    ended = []

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        await within(0.01, hang())
    assert ended == [True]
    await anyio.lowlevel.checkpoint()


async def test_what_ends_in_time_is_as_it_is() -> None:
    """Its result is returned, and what it raises is raised."""

    async def work() -> str:
        await anyio.lowlevel.checkpoint()
        return "done"

    async def fail() -> None:
        raise LookupError

    assert await within(60.0, work()) == "done"
    with pytest.raises(LookupError):
        await within(60.0, fail())


async def test_a_cancellation_from_outside_is_none_of_its_own() -> None:
    """It goes on, and is no TimeoutError."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await within(60.0, anyio.sleep_forever())
    assert scope.cancelled_caught
