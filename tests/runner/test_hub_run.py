"""A start or a stop that is cut off leaves nothing half done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_push import NotRunningError, Push, PushMiddleware
from asgi_push.brokers import Receiver
from asgi_push.brokers.memory import MemoryBroker, MemoryPresence
from asgi_push.push import core_of
from asgi_push.runtime.event_loop import on_trio
from tests.asgi import nothing, serve, until
from tests.servers import PATIENCE, Server


class Gate:
    """Something of a broker that waits until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, verb: str) -> None:
        self.come, self.go, self.calls = anyio.Event(), anyio.Event(), 0
        real = getattr(owner, verb)

        async def wait(broker: Any, *args: Any) -> Any:
            self.calls += 1
            self.come.set()
            await self.go.wait()
            return await real(broker, *args)

        monkeypatch.setattr(owner, verb, wait)


async def cancel_scope(verb: Callable[[], Any], when: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(verb)
        await when.wait()
        tasks.cancel_scope.cancel()


async def cancel_task(verb: Callable[[], Any], when: anyio.Event) -> None:
    if on_trio():
        pytest.skip("trio has no tasks to cancel")
    task = asyncio.ensure_future(verb())
    await when.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


CUT_OFF = pytest.mark.parametrize("cut_off", [cancel_scope, cancel_task])


async def works(push: Push) -> None:
    """It starts and takes sessions as ever."""
    assert not push.running
    async with serve(PushMiddleware(nothing, push)) as server:
        client = await server.connect("/ws/alice")
        await push.send_to_user("alice", "hello")
        assert await client.receive() == "hello"
    assert not push.running


@CUT_OFF
async def test_a_start_that_is_cancelled_is_undone(cut_off: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not count as running, nothing of it is left, and the next start is a whole one."""
    push = Push(path="/ws/{user_id}")
    with monkeypatch.context() as patch:
        await cut_off(push.start, Gate(patch, MemoryBroker, "start").come)
        await until(lambda: core_of(push).runner._run is None)
    await works(push)


@CUT_OFF
async def test_a_start_that_one_gives_up_goes_on_for_the_others(cut_off: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of a server without lifespan wait for one start: the first to come may hang up."""
    push = Push(path="/ws/{user_id}")
    gate, all_wait = Gate(monkeypatch, MemoryBroker, "start"), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cut_off, push.start, all_wait)
        await gate.come.wait()
        tasks.start_soon(push.start)
        tasks.start_soon(push.start)
        await anyio.wait_all_tasks_blocked()
        all_wait.set()
        await anyio.wait_all_tasks_blocked()
        gate.go.set()
    assert push.running
    assert gate.calls == 1
    assert (await push.send_to_all("x")).receivers == 0
    await push.stop()
    assert push.running
    await push.stop()
    assert not push.running


@pytest.mark.parametrize("owner", [MemoryBroker, MemoryPresence])
@CUT_OFF
async def test_a_stop_that_is_cancelled_is_a_whole_one(
    cut_off: Any, owner: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever waits for it, it goes on to its end."""
    push = Push(path="/ws/{user_id}")
    await push.start()
    with monkeypatch.context() as patch:
        gate = Gate(patch, owner, "stop")

        async def let_go() -> None:
            await gate.come.wait()
            await anyio.wait_all_tasks_blocked()
            gate.go.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(let_go)
            await cut_off(push.stop, gate.come)
        await until(lambda: core_of(push).runner._run is None)
    await works(push)


async def test_a_context_that_is_cancelled_is_left_as_ever() -> None:
    """On leaving it all sessions have ended."""
    ends: list[str] = []
    push = Push(path="/ws/{user_id}", on_disconnect=lambda session, _: ends.append(session.user))
    async with serve(PushMiddleware(nothing, push)) as server:
        await push.stop()
        with anyio.CancelScope() as scope:
            async with push:
                await server.connect("/ws/alice")
                scope.cancel()
                await anyio.sleep_forever()
        assert ends == ["alice"]
        assert not push.running
        await push.start()


async def test_what_cannot_be_stopped_keeps_nothing_else_running(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each part is stopped, and the next start is a whole one."""
    push = Push(path="/ws/{user_id}")
    stopped: list[str] = []
    with monkeypatch.context() as patch:

        async def fail(presence: Any) -> None:
            stopped.append("presence")
            raise LookupError("a bug")

        async def stop(broker: Any) -> None:
            stopped.append("broker")

        patch.setattr(MemoryPresence, "stop", fail)
        patch.setattr(MemoryBroker, "stop", stop)
        await push.start()
        await push.stop()
    assert stopped == ["presence", "broker"]
    assert "a bug" in caplog.text
    await works(push)


async def test_a_hook_may_stop_push() -> None:
    """It waits for the stop, which waits for it, but not for ever."""
    push = Push(path="/ws/{user_id}", on_message=lambda *_: push.stop())
    async with serve(PushMiddleware(nothing, push)) as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("asgi_push.hub.hub._SHUTDOWN_TIME", 0.05)
            patch.setattr("asgi_push.runtime.tasks._END_TIME", 0.05)
            client = await server.connect("/ws/alice")
            client.send("stop")
            await until(lambda: core_of(push).runner._run is None)
        await push.start()
        assert push.running


def test_a_start_in_two_threads_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second counts, and the last stop stops it, in whichever thread that is."""
    push = Push()
    starts: list[int] = []
    real = MemoryBroker.start

    async def start(broker: MemoryBroker, receiver: Receiver) -> None:
        starts.append(threading.get_ident())
        await anyio.sleep(0.02)
        await real(broker, receiver)

    monkeypatch.setattr(MemoryBroker, "start", start)
    together, all_run = threading.Barrier(4), threading.Barrier(4)
    failures: list[BaseException] = []

    async def use() -> None:
        async with push:
            await push.publish("news", "x")
            await anyio.to_thread.run_sync(all_run.wait, PATIENCE)
            while threading.get_ident() == starts[0] and core_of(push).runner._starts > 1:  # noqa: ASYNC110
                await anyio.sleep(0.001)

    def run() -> None:
        together.wait()
        try:
            anyio.run(use)
        except BaseException as error:  # noqa: BLE001  # shown below
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failures == []
    assert len(starts) == 1
    assert not push.running


def test_a_thread_that_waits_for_a_stopped_push_is_told() -> None:
    """It gets NotRunningError, not a cancellation."""
    push = Push()
    caught: list[BaseException] = []
    waits = threading.Event()

    def wait() -> None:
        async def for_ever() -> None:
            waits.set()
            await anyio.sleep_forever()

        try:
            core_of(push).runner.run_from_thread(for_ever)
        except BaseException as error:  # noqa: BLE001  # shown below
            caught.append(error)

    with push:
        thread = threading.Thread(target=wait)
        thread.start()
        waits.wait(PATIENCE)
    thread.join(PATIENCE)
    assert [type(error) for error in caught] == [NotRunningError]


def test_over_redis_nothing_is_left(redis: Server) -> None:
    """No task and no connection of a stop, or a start, that was cancelled."""

    def left() -> list[str]:
        return [
            getattr(task.get_coro(), "__qualname__", "")
            for task in asyncio.all_tasks()
            if task is not asyncio.current_task()
        ]

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with Push(broker=redis.redis) as push:
                await push.disconnect(user="nobody")
                scope.cancel()
                await anyio.sleep_forever()
        assert left() == []
        for turns in range(12):
            push = Push(broker=redis.redis)
            starting = asyncio.ensure_future(push.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled():
                await push.stop()
            await until(lambda push=push: core_of(push).runner._run is None)
        assert left() == []

    asyncio.run(main())
