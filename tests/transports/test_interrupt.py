"""Ending one task's wait from outside."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asgi_push.transports.interrupt import make_interrupt


async def test_the_body_ends_quietly() -> None:
    """What comes after the body runs on, and can wait again."""
    interrupt, steps = make_interrupt(), []

    async def wait() -> None:
        with interrupt:
            await anyio.sleep_forever()
        steps.append("after")
        await anyio.lowlevel.checkpoint()
        steps.append("again")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        interrupt.cancel()
        interrupt.cancel()
    assert steps == ["after", "again"]


async def test_before_and_after_the_body_it_does_nothing() -> None:
    """A late cancel reaches nobody."""
    interrupt = make_interrupt()
    with interrupt:
        await anyio.lowlevel.checkpoint()
    interrupt.cancel()
    await anyio.lowlevel.checkpoint()


async def test_an_error_of_the_body_comes_out() -> None:
    """It hides nothing."""
    interrupt = make_interrupt()
    with pytest.raises(LookupError), interrupt:
        raise LookupError


async def test_a_cancellation_from_outside_goes_on() -> None:
    """Also where both come at once."""
    interrupt, steps = make_interrupt(), []

    async def wait() -> None:
        with interrupt:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        steps.append("after")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        interrupt.cancel()
        tasks.cancel_scope.cancel()
    assert steps == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_plain_asyncio_cancellation_goes_on(anyio_backend: str) -> None:
    """Servers cancel without anyio."""
    interrupt = make_interrupt()

    async def wait() -> None:
        with interrupt:
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    interrupt.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
