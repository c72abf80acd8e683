"""Background tasks: supervised, and ended with their root."""

from __future__ import annotations

import anyio
import pytest

from asgi_push import NotRunningError
from asgi_push.metrics.counters import Counters
from asgi_push.push import core_of
from asgi_push.runtime import tasks
from asgi_push.runtime.failures import Failures
from asgi_push.runtime.tasks import TaskRoot, supervise
from tests.asgi import pushing, until


async def test_a_failed_task_is_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure is logged with its cause, and the task runs again after a wait that grows up to a limit."""
    monkeypatch.setattr(tasks, "_FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(tasks, "_MAX_BACKOFF", 0.004)
    runs = []

    async def fail() -> None:
        runs.append(len(runs))
        raise LookupError("a bug")

    async with anyio.create_task_group() as group:
        group.start_soon(supervise, "the work", fail)
        await until(lambda: len(runs) >= 5)
        group.cancel_scope.cancel()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(runs)
    assert all("the work failed" in message for message in messages)
    assert all(record.exc_info and record.exc_info[0] is LookupError for record in caplog.records)


async def test_a_fan_out_that_fails_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in one run loses that run and says so; later publications arrive, and nobody waits for ever."""
    monkeypatch.setattr(tasks, "_FIRST_BACKOFF", 0.001)
    async with pushing(queue_messages=4) as (push, server):
        client = await server.connect("/ws/alice")
        with monkeypatch.context() as broken:
            broken.setattr(type(core_of(push).hub.fanout), "_members", lambda *_: 1 / 0)
            await push.send_to_all("lost")
            await until(lambda: "the fan-out failed" in caplog.text)
            await core_of(push).hub.fanout.settled()
        for number in range(20):
            await push.send_to_all(number)
        assert [await client.receive() for _ in range(20)] == [str(number) for number in range(20)]


async def test_a_failed_task_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """What raises in the background is logged; the rest of the background runs on."""
    background, done = TaskRoot(Failures(Counters())), anyio.Event()
    await background.start()

    async def fail() -> None:
        raise LookupError("a bug")

    async def work() -> None:
        done.set()

    background.spawn(fail)
    await until(lambda: "a bug" in caplog.text)
    background.spawn(work)
    await done.wait()
    await background.stop()


async def test_stop_ends_all_tasks() -> None:
    """When stop returns, every task has ended; then none can be started."""
    background, ended = TaskRoot(Failures(Counters())), []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    assert not background.running
    await background.start()
    for _ in range(3):
        background.spawn(work)
    await anyio.wait_all_tasks_blocked()
    await background.stop()
    assert ended == [True] * 3
    assert not background.running
    with pytest.raises(NotRunningError):
        background.spawn(work)
    await background.stop()


async def test_background_may_be_stopped_by_another_task() -> None:
    """Servers start and stop an application in tasks of their own choice."""
    background = TaskRoot(Failures(Counters()))
    async with anyio.create_task_group() as group:
        group.start_soon(background.start)
    async with anyio.create_task_group() as group:
        group.start_soon(background.stop)
    assert not background.running
