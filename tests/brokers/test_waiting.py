"""Much is waited for at once, or again and again, and none of it for ever."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from asgi_push import BrokerError
from asgi_push.brokers.waiting import Alarm, Patience, TimeLimit, all_done
from tests.asgi import PATIENCE

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


class Timers:
    """Counts what an event loop is asked to do later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def counted(*args: Any, **options: Any) -> asyncio.TimerHandle:
            self.made += 1
            return call_at(*args, **options)

        monkeypatch.setattr(loop, "call_at", counted)


async def test_an_alarm_that_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come too early, as it has one timer for many times, and never comes too late."""
    event = asyncio.Event()
    alarm = Alarm(event)
    timers = Timers(monkeypatch)
    for _ in range(100):
        alarm.set_within(PATIENCE * 10)
    assert timers.made == 1
    alarm.set_within(0.01)
    async with asyncio.timeout(PATIENCE):
        await event.wait()
    event.clear()
    alarm.set_within(0.01)  # again
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def test_an_alarm_that_is_stopped() -> None:
    """It does not come any more."""
    event, later = asyncio.Event(), asyncio.Event()
    alarm = Alarm(event)
    alarm.set_within(0.01)
    alarm.stop()
    Alarm(later).set_within(0.02)
    async with asyncio.timeout(PATIENCE):
        await later.wait()
    assert not event.is_set()


def late() -> BrokerError:
    return BrokerError("late")


async def test_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each future fails that is not done in its time, and nothing is kept of those that were."""
    patience = Patience(late)
    timers = Timers(monkeypatch)
    for _ in range(100):
        patience.future(0.01).set_result(None)
    assert timers.made == 1
    assert len(patience._waiting) == 1
    first, gone, second = (patience.future(0.01) for _ in range(3))
    gone.cancel()
    for future in (first, second, patience.future(0.01)):
        with pytest.raises(BrokerError, match="late"):
            await asyncio.wait_for(future, PATIENCE)
    assert not patience._waiting
    with pytest.raises(BrokerError, match="late"):
        await asyncio.wait_for(patience.future(0.01), PATIENCE)


async def test_patience_that_is_stopped() -> None:
    """No timer is left if nobody waits; who waits does not wait for ever."""
    patience = Patience(late)
    patience.future(PATIENCE * 10).set_result(None)
    patience.stop()
    assert patience._timer is None
    waiting = patience.future(0.01)
    patience.stop()
    with pytest.raises(BrokerError, match="late"):
        await asyncio.wait_for(waiting, PATIENCE)


async def test_a_limit_that_is_reached() -> None:
    """Who takes too long is told so, each time, and can go on."""
    limit = TimeLimit()
    for _ in range(2):
        with pytest.raises(TimeoutError), limit.within(0.01):
            await asyncio.sleep(PATIENCE)
    await asyncio.sleep(0)
    limit.stop()


async def test_a_limit_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done in time is not ended by the timer of what was done before."""
    limit = TimeLimit()
    timers = Timers(monkeypatch)
    for _ in range(100):
        with limit.within(PATIENCE):
            await asyncio.sleep(0)
    assert timers.made == 1
    with limit.within(0.01):
        pass
    rung = asyncio.Event()
    Alarm(rung).set_within(0.05)
    with limit.within(PATIENCE * 2):
        await asyncio.wait_for(rung.wait(), PATIENCE)
    assert limit._timer is not None  # for what is done next
    limit.stop()
    assert limit._timer is None


async def test_a_limit_of_who_is_cancelled() -> None:
    """That is no lack of time; and what fails in time fails as it does without a limit."""
    limit = TimeLimit()
    with pytest.raises(BrokerError), limit.within(PATIENCE):
        raise late()

    async def wait() -> None:
        with limit.within(PATIENCE):
            await asyncio.sleep(PATIENCE)

    waiting = asyncio.create_task(wait())
    await steps()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    limit.stop()
