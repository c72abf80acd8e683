"""The verbs of Push from threads that cannot await."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_push import NotRunningError, Push
from asgi_push.blocking import Blocking
from tests.asgi import Client, Server, pushing


async def connect(server: Server, *users: str) -> list[Client]:
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
    "verb", [name for name, verb in vars(Push).items() if inspect.iscoroutinefunction(verb) and name[0] != "_"]
)
def test_every_verb_has_a_blocking_twin(verb: str) -> None:
    """With the same arguments; starting and stopping is the event loop's business."""
    if verb in ("start", "stop"):
        assert not hasattr(Blocking, verb)
        return
    theirs, ours = inspect.signature(getattr(Push, verb)), inspect.signature(getattr(Blocking, verb))
    assert [str(item) for item in theirs.parameters.values()] == [str(item) for item in ours.parameters.values()]
    assert theirs.return_annotation == ours.return_annotation
