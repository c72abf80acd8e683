"""The verbs of Push from threads that cannot await."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from functools import partial
from textwrap import dedent
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_push import BrokerError, NotRunningError, Push
from asgi_push.blocking import Blocking
from asgi_push.brokers import Receiver
from asgi_push.brokers.memory import MemoryBroker
from tests.asgi import Client, pushing
from tests.asgi import Server as InProcess
from tests.servers import PATIENCE, Server


async def connect(server: InProcess, *users: str) -> list[Client]:
    return [await server.connect(f"/ws/{user}") for user in users]


async def in_thread(verb: Any, *args: Any, **kwargs: Any) -> Any:
    return await anyio.to_thread.run_sync(partial(verb, *args, **kwargs))


async def test_sending_from_a_thread() -> None:
    """Each verb sends what its async twin sends, and answers the same."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        blocking, (session,) = push.blocking, push.sessions()
        results = [
            await in_thread(blocking.send_to_user, "alice", 1),
            (await in_thread(blocking.send_to_users, ["alice"], 2))[0],
            await in_thread(blocking.send_to_all, 3),
            await in_thread(blocking.send_to_session, session.id, 4),
            await in_thread(blocking.publish, "#alice", 5, tags={"n": "5"}, idempotency_key="k"),
        ]
        assert [result.receivers for result in results] == [1] * 5
        assert [await client.receive() for _ in range(5)] == ["1", "2", "3", "4", "5"]
        history = await in_thread(blocking.history, "#alice", limit=1, reverse=True)
        assert [(item.data, item.tags) for item in history.publications] == [(5, {"n": "5"})]


async def test_moving_sessions_from_a_thread() -> None:
    """Channels, presence on line and the end."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        await in_thread(push.blocking.subscribe, "alice", "news")
        assert [session.user for session in push.sessions(channel="news")] == ["alice"]
        await in_thread(push.blocking.unsubscribe, "alice", "news")
        assert push.sessions(channel="news") == []
        assert await in_thread(push.blocking.is_online, "alice")
        await in_thread(push.blocking.disconnect, "alice")
        assert (await client.receive_close()).code == 3503
        assert not await in_thread(push.blocking.is_online, "alice")


async def test_errors_come_to_the_thread() -> None:
    """As they would to who awaits."""
    async with pushing() as (push, _):
        with pytest.raises(ValueError, match="data"):
            await in_thread(push.blocking.send_to_all, object())


async def test_the_loops_own_thread_must_not_wait() -> None:
    """It would wait for itself: an error says what to do instead."""
    async with pushing() as (push, _):
        with pytest.raises(NotRunningError, match="await"):
            push.blocking.send_to_all(1)


def test_nothing_runs_before_the_start() -> None:
    """Nor after the stop, nor on an event loop that has ended without one."""
    push = Push()

    async def start() -> None:
        await push.start()

    for ended in (lambda: None, partial(anyio.run, start), partial(anyio.run, start, backend="trio")):
        ended()
        with pytest.raises(NotRunningError):
            push.blocking.send_to_all(1)


async def test_many_threads_at_once() -> None:
    """Every thread's publications arrive, in its own order."""
    async with pushing(queue_messages=10) as (push, server):
        (client,) = await connect(server, "alice")

        def publish(part: int) -> None:
            for number in range(20):
                push.blocking.send_to_user("alice", part * 100 + number)

        async with anyio.create_task_group() as tasks:
            for part in range(5):
                tasks.start_soon(in_thread, publish, part)
            received = [int(await client.receive()) for _ in range(100)]
        for part in range(5):
            own = [number for number in received if number // 100 == part]
            assert own == [part * 100 + number for number in range(20)]


@pytest.mark.parametrize(
    "verb", [name for name, verb in inspect.getmembers(Push) if inspect.iscoroutinefunction(verb) and name[0] != "_"]
)
def test_every_verb_has_a_blocking_twin(verb: str) -> None:
    """With the same arguments."""
    theirs, ours = inspect.signature(getattr(Push, verb)), inspect.signature(getattr(Blocking, verb))
    assert [str(item) for item in theirs.parameters.values()] == [str(item) for item in ours.parameters.values()]
    assert theirs.return_annotation == ours.return_annotation


# -- without an event loop --------------------------------------------------------------------------------------------


def run_script(script: str, **env: str) -> list[str]:
    """The lines that a program prints, which must end by itself, and complain of nothing but being alone."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", dedent(script)]  # of a fork beside a thread
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, **env}
    )
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("a process without sessions")]
    assert (done.returncode, complaints) == (0, [])
    return done.stdout.splitlines()


def test_a_thread_with_an_event_loop_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """``with`` starts one, which ends with the last of several; without Redis that is no use, and it says so."""
    push = Push()
    for _ in range(2):
        with push as same, push:
            assert same is push
            position = push.blocking.publish("news", "x").position
            assert position is not None
            assert position.offset == 1  # nothing in memory outlives a stop
            (thread,) = [thread for thread in threading.enumerate() if thread.name == "asgi_push"]
        assert not thread.is_alive()
        with pytest.raises(NotRunningError):
            push.blocking.send_to_all(1)
    push.blocking.stop()  # too often is no error
    assert "ASGI_PUSH_BROKER" in caplog.text


def test_a_failed_start_comes_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves nothing behind: the next one may succeed."""

    async def fail(self: MemoryBroker, receiver: Receiver) -> None:
        raise BrokerError("no broker")

    push = Push()
    with monkeypatch.context() as patch:
        patch.setattr(MemoryBroker, "start", fail)
        with pytest.raises(BrokerError, match="no broker"), push:
            pass
    assert not [thread for thread in threading.enumerate() if thread.name == "asgi_push"]
    with push:
        push.blocking.send_to_all(1)


async def test_an_event_loop_is_not_blocked() -> None:
    """There ``async with`` is for that."""
    with pytest.raises(NotRunningError, match="async with"), Push():
        pass


async def test_a_thread_of_the_application_needs_none() -> None:
    """There the application's event loop goes on being the one."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")

        def job() -> None:
            with push:
                push.blocking.send_to_user("alice", 1)

        await anyio.to_thread.run_sync(job)
        assert await client.receive() == "1"
        await push.send_to_user("alice", 2)
        assert await client.receive() == "2"


@pytest.mark.parametrize("broker", ["memory", "redis"])
def test_a_process_that_forgets_to_stop_ends(broker: str, redis: Server) -> None:
    """Nothing of it hangs; what was sent is sent."""
    env = {"ASGI_PUSH_BROKER": redis.redis} if broker == "redis" else {}
    script = """
        from asgi_push import Push
        push = Push()
        push.blocking.start()
        print(push.blocking.send_to_all(1).receivers)
    """
    assert run_script(script, **env) == ["None" if broker == "redis" else "0"]


def test_it_starts_again_over_redis(redis: Server) -> None:
    """On the event loop of another thread, with connections of its own."""
    push = Push(broker=redis.redis, redis_prefix="test.blocking.again")
    for offset in (1, 2):
        with push:
            position = push.blocking.publish("news", offset).position
            assert position is not None
            assert position.offset == offset
            push.blocking.disconnect("alice")
            assert not push.blocking.is_online("alice")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_starts_anew(redis: Server) -> None:
    """A worker forked from a process in which it runs is told so, and does not hang; the other runs on."""
    script = """
        import gc
        import os
        from asgi_push import NotRunningError, Push
        push = Push()
        with push:
            print("parent", push.blocking.publish("news", 1).position.offset, flush=True)
            if not (child := os.fork()):
                try:
                    push.blocking.publish("news", 2)
                except NotRunningError as error:
                    print("told", flush=True)
                with push:
                    print("child", push.blocking.publish("news", 2).position.offset, flush=True)
                gc.collect()
            else:
                os.waitpid(child, 0)
                print("parent", push.blocking.publish("news", 3).position.offset)
    """
    env = {"ASGI_PUSH_BROKER": redis.redis, "ASGI_PUSH_REDIS_PREFIX": "test.blocking.fork"}
    assert run_script(script, **env) == ["parent 1", "told", "child 2", "parent 3"]
