"""Many calls are waited for together, whatever becomes of each."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from asgi_push import BrokerError
from asgi_push.brokers.waiting import all_done

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Brokers that are shared need asyncio."""
    return "asyncio"


def futures(many: int) -> list[asyncio.Future[Any]]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(many)]


async def steps() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_are_waited_for() -> None:
    """In whichever order they end, futures and coroutines, and also if one fails."""
    calls = futures(3)

    async def fail() -> None:
        await calls[2]
        raise BrokerError("the second")

    waiting = asyncio.create_task(all_done([calls[0], fail(), calls[1]]))
    calls[1].set_exception(BrokerError("the third"))
    for call in (calls[2], calls[0]):
        await steps()
        assert not waiting.done()
        call.set_result(None)
    with pytest.raises(BrokerError, match="the second"):
        await waiting


async def test_none() -> None:
    """Where nothing is asked there is nothing to wait for."""
    await all_done([])


async def test_calls_that_nobody_waits_for(logged: list[dict[str, Any]]) -> None:
    """They are cancelled with who waits for them, and what they failed by is nobody's business."""

    async def fail(call: asyncio.Future[Any]) -> None:
        try:
            await call
        finally:
            raise BrokerError("while it was cancelled")

    calls = futures(3)
    waiting = asyncio.create_task(all_done([calls[0], calls[1], fail(calls[2])]))
    calls[1].set_exception(BrokerError("before"))
    await steps()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    await steps()
    assert calls[0].cancelled()
    assert calls[2].cancelled()
    del waiting, calls
    gc.collect()
    assert not logged
