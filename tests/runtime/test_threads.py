"""Threads: those that run hooks, and those of an application that look at sessions."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from asgi_push import Push, PushMiddleware, Session
from asgi_push.push import core_of
from asgi_push.runtime.threads import MOST, Threads
from tests.asgi import nothing, pushing, serve, until


def hook_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("asgi_push ")]


@pytest.mark.parametrize("busy", ["on_connect", "on_message", "on_disconnect", "authorize", "authenticate"])
async def test_hooks_that_are_busy_keep_nobody_from_coming_in(busy: str) -> None:
    """Whoever decides about entry has threads of its own, and so many of them that some are never enough."""
    go, calls = threading.Event(), []

    def hold(first: Any, *args: Any) -> Any:
        user = first.user if isinstance(first, Session) else first.path_params["user_id"]
        if user.startswith("busy"):
            calls.append(user)
            go.wait(30)
        return user

    count = MOST + 5 if busy.startswith("on_") else MOST - 1
    options: dict[str, Any] = {"authenticate": lambda connection: connection.path_params["user_id"]}
    async with pushing(**options | {busy: hold}) as (_, server):
        try:
            for number in range(count):
                client = server.begin(f"/ws/busy{number}?channels=news")
                if busy.startswith("on_"):
                    await client.open()
                    client.send("work")
                    if busy == "on_disconnect":
                        client.close()
                else:
                    client._in.put({"type": "websocket.connect"})
            await until(lambda: len(calls) == min(count, MOST))
            client = await server.connect("/ws/new?channels=news")
            client.send("ping")
            assert await client.receive() == "pong"
        finally:
            go.set()
        await until(lambda: len(calls) == count)


async def test_threads_end_with_push() -> None:
    """None is left after the stop, and none is there for hooks before it is needed."""
    before = set(hook_threads())  # of tests before this one, which may be ending
    async with pushing(on_message=lambda *_: None) as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(10)]
        assert len(set(hook_threads()) - before) <= 1  # that which asks the kernel to probe peers
        for client in clients:
            client.send("x")
        await until(lambda: not core_of(push).hub._calls.running and core_of(push).hub.threads.others._count)
        mine = set(hook_threads()) - before
        assert mine
        await push.stop()
        await until(lambda: not any(thread.is_alive() for thread in mine))
        await push.start()


async def test_a_thread_is_used_again() -> None:
    """As long as one is idle no other is started, and there are never more than the most."""
    threads, seen = Threads("test", 2), set[int]()

    def note() -> None:
        seen.add(threading.get_ident())

    for _ in range(10):
        await threads.run(note)
        await until(lambda: threads._idle._value)  # type: ignore[attr-defined]
    assert len(seen) == 1
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(threads.run, note)
    assert len(seen) <= 2
    threads.close()


async def test_what_nobody_waits_for_any_more_is_not_called() -> None:
    """A call that is given up while it waits for a thread never happens; one that runs goes on."""
    threads, go, calls = Threads("test", 1), threading.Event(), []

    def work(number: int) -> None:
        calls.append(number)
        go.wait(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(threads.run, work, 1)
        await until(lambda: calls)
        tasks.start_soon(threads.run, work, 2)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    go.set()
    await threads.run(work, 3)
    assert calls == [1, 3]
    threads.close()


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("stop", [True, False])
def test_a_hook_that_hangs_keeps_no_process_from_ending(loop: str, stop: bool) -> None:
    """With a stop and without one, as under a server that knows no lifespan."""
    script = f"""
        import threading, anyio
        from asgi_push import Push, PushMiddleware
        from asgi_push.hub import hub
        from tests.asgi import Server, nothing

        hub._SHUTDOWN_TIME = 0.05
        called = threading.Event()

        def hang(*args):
            called.set()
            threading.Event().wait()

        async def main():
            push = Push(on_connect=hang)
            await push.start()
            async with anyio.create_task_group() as tasks:
                client = await Server(PushMiddleware(nothing, push), tasks).connect("/ws")
                await anyio.to_thread.run_sync(called.wait)
                if {stop}:
                    await push.stop()
                tasks.cancel_scope.cancel()

        anyio.run(main, backend={loop!r})
        print("ends")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == "ends\n", ended.stderr


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


async def test_sessions_may_be_looked_at_from_threads() -> None:
    """While they come and go, by threads that look at all that is said to be theirs to look at."""
    push, over, failures = Push(path="/ws/{user_id}", authorize=lambda *_: True), threading.Event(), list[Any]()

    def look() -> None:
        try:
            while not over.is_set():
                for found in (
                    push.sessions(),
                    push.sessions("alice"),
                    push.sessions(channel="news"),
                    push.sessions("alice", "news"),
                ):
                    for session in found:
                        assert isinstance(session.channels, list)
                        assert session.dropped == 0
                        assert repr(session)
                        assert (session.protocol, session.transport, session.user) == ("plain", "websocket", "alice")
                assert push.running
                push.blocking.send_to_user("nobody", "x")
                push.blocking.is_online("alice")
                push.blocking.history("news")
        except BaseException as error:  # noqa: BLE001  # shown below
            failures.append(error)

    async with serve(PushMiddleware(nothing, push)) as server:
        threads = [threading.Thread(target=look) for _ in range(3)]
        with switching_often():
            for thread in threads:
                thread.start()
            try:
                for _ in range(30):
                    clients = [await server.connect("/ws/alice?channels=news,other") for _ in range(4)]
                    await push.publish("news", "x")
                    for client in clients:
                        client.close()
                        await client.ended()
            finally:
                over.set()
                for thread in threads:
                    await anyio.to_thread.run_sync(thread.join)
    assert failures == []
