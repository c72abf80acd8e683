"""Nothing that a hook does ends anything but its own session."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest

from asgi_push import Disconnect, Session
from asgi_push.metrics.counters import Counters
from asgi_push.push import core_of
from asgi_push.runtime.event_loop import on_trio
from asgi_push.runtime.failures import Failures
from asgi_push.runtime.tasks import TaskRoot, supervise
from tests.asgi import Clock, Refused, pushing, until

RAISED: dict[str, Callable[[], BaseException]] = {
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "group": lambda: BaseExceptionGroup("several", [SystemExit(), ValueError()]),
    "own": type("Own", (BaseException,), {}),
    "cancelled": asyncio.CancelledError,
    "a group of cancellations": lambda: BaseExceptionGroup("several", [asyncio.CancelledError()]),
}


def cancellation() -> BaseException:
    """One that nobody asked for."""
    if on_trio():
        import trio

        return trio.Cancelled._create()
    return asyncio.CancelledError()


def make(what: str) -> BaseException:
    if what == "cancelled":
        return cancellation()
    if what.startswith("a group of"):
        return BaseExceptionGroup("several", [cancellation()])
    return RAISED[what]()


def raising(what: str, kind: str) -> Callable[..., Any]:
    """A hook that raises it for the user "bad", or for the one of whom authenticate asks."""

    async def hook(first: Any, *args: Any) -> Any:
        user = first.user if isinstance(first, Session) else first.path_params["user_id"]
        if user == "bad":
            raise make(what)
        return user

    def sync_hook(first: Any, *args: Any) -> Any:
        user = first.user if isinstance(first, Session) else first.path_params["user_id"]
        if user == "bad":
            raise make(what)
        return user

    return hook if kind == "async" else sync_hook


@pytest.mark.parametrize("name", ["on_connect", "on_message", "on_disconnect"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("what", RAISED)
async def test_whatever_a_hook_raises_ends_its_session_only(name: str, kind: str, what: str) -> None:
    """Push runs on, the others get what is published, and on_disconnect is called for the one that ended."""
    ends: list[str] = []
    hooks: dict[str, Any] = {"on_disconnect": lambda session, _: ends.append(session.user)}
    async with pushing(**hooks | {name: raising(what, kind)}) as (push, server):
        hub = core_of(push).hub
        good, bad = await server.connect("/ws/good"), await server.connect("/ws/bad")
        bad.send("hello")
        if name == "on_disconnect":
            bad.close()
            await bad.ended()
            await until(lambda: hub.counters.failures["hook"] == 1)
        else:
            assert (await bad.receive_close()).code == 1011
            await until(lambda: ends == ["bad"])
        await push.send_to_all("still here")
        assert await good.receive() == "still here"
        assert core_of(push).hub is hub
        assert hub.counters.failures["hook"] == 1
        assert [session.user for session in push.sessions()] == ["good"]


@pytest.mark.parametrize("name", ["authenticate", "authorize"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("what", RAISED)
async def test_whatever_decides_about_entry_raises_refuses_one(name: str, kind: str, what: str) -> None:
    """It is answered with 500, and the next one is let in."""
    query = "?channels=news" if name == "authorize" else ""
    async with pushing(**{name: raising(what, kind)}) as (push, server):
        with pytest.raises(Refused, match="500"):
            await server.connect(f"/ws/bad{query}")
        good = await server.connect(f"/ws/good{query}")
        await push.send_to_user("good", "hello")
        assert await good.receive() == "hello"


async def test_a_hook_that_waits_for_a_cancelled_task_ends_its_session_only() -> None:
    """What it gets is a cancellation that nobody asked for."""
    if on_trio():
        pytest.skip("trio has no tasks to wait for")

    async def on_message(session: Session, data: str) -> None:
        task = asyncio.ensure_future(asyncio.sleep(10))
        task.cancel()
        await task

    async with pushing(on_message=on_message) as (push, server):
        good, bad = await server.connect("/ws/good"), await server.connect("/ws/bad")
        bad.send("boom")
        assert (await bad.receive_close()).code == 1011
        await push.send_to_all("x")
        assert await good.receive() == "x"


async def test_a_hook_that_cancels_its_own_task_ends_its_session_only() -> None:
    """Also that is no reason to forget on_disconnect."""
    ends: list[str] = []

    async def on_message(session: Session, data: str) -> None:
        if on_trio():
            anyio.CancelScope().__enter__().cancel()
        else:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await anyio.sleep(10)

    async def on_disconnect(session: Session, disconnect: Any) -> None:
        await anyio.lowlevel.checkpoint()
        ends.append(session.user)

    async with pushing(on_message=on_message, on_disconnect=on_disconnect) as (push, server):
        good, bad = await server.connect("/ws/good"), await server.connect("/ws/bad")
        bad.send("boom")
        assert (await bad.receive_close()).code == 1011
        await until(lambda: ends == ["bad"])
        await push.send_to_all("x")
        assert await good.receive() == "x"


@pytest.mark.parametrize("what", ["scope", "expired scope", "group"])
@pytest.mark.parametrize("name", ["on_connect", "on_message", "on_disconnect"])
async def test_a_scope_that_a_hook_leaves_open_ends_nothing_else(name: str, what: str) -> None:
    """As a context manager of its own does that is entered and never left."""
    kept: list[Any] = []

    async def leak(session: Session, *args: Any) -> None:
        if session.user != "bad":
            return
        if what == "group":
            kept.append(anyio.create_task_group())
            await kept[-1].__aenter__()
        else:
            kept.append(anyio.move_on_after(0.0 if what.startswith("expired") else 10.0))
            kept[-1].__enter__()

    async with pushing(**{name: leak}) as (push, server):
        good, bad = await server.connect("/ws/good"), await server.connect("/ws/bad")
        bad.send("hello")
        if name == "on_disconnect":
            bad.close()
        await until(lambda: kept)
        await anyio.wait_all_tasks_blocked()
        await push.send_to_all("x")
        assert await good.receive() == "x"
        good.send("hello")
        await until(lambda: not core_of(push).hub._calls.running)
        assert (await server.connect("/ws/new")) is not None
        for item in kept:  # the collector would find the coroutine of one that was never left
            with suppress(BaseException):
                await item.__aexit__(None, None, None) if what == "group" else item.__exit__(None, None, None)


@pytest.mark.parametrize("what", [name for name in RAISED if name != "StopIteration"])
async def test_nothing_in_the_background_ends_anything_else(what: str) -> None:
    """Whatever comes out of a task is logged and counted; the others run on."""
    counters, runs = Counters(), []
    background = TaskRoot(Failures(counters))
    await background.start()
    others, go = anyio.Event(), anyio.Event()

    async def fail() -> None:
        runs.append(1)
        raise make(what)

    async def work() -> None:
        await go.wait()
        others.set()

    background.spawn(work)
    background.spawn(fail)
    background.spawn(supervise, "the work", fail)
    await until(lambda: len(runs) >= 3)
    assert background.running
    assert counters.failures["task"] == 1
    go.set()
    await others.wait()
    await background.stop()


async def test_what_is_cancelled_ends_and_is_no_failure() -> None:
    """A stop ends all tasks, one that does not let go too, in a bounded time, and logs none but that one."""
    counters, ended = Counters(), []
    background = TaskRoot(Failures(counters))
    await background.start()

    async def stubborn() -> None:
        try:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1 if "trio" in sys.modules and on_trio() else 100)
        finally:
            ended.append("stubborn")

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("wait")

    background.spawn(stubborn)
    background.spawn(wait)
    background.spawn(supervise, "the work", wait)
    await anyio.wait_all_tasks_blocked()
    await background.stop()
    assert sorted(ended) == ["stubborn", "wait", "wait"]
    assert not counters.failures["task"]


async def test_failures_of_one_kind_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """One client cannot fill the log; the next line says how many there were."""

    async def on_message(session: Session, data: str) -> None:
        raise ValueError("cannot read this")

    async with pushing(on_message=on_message) as (push, server):
        for number in range(20):
            client = await server.connect(f"/ws/{number}")
            client.send("x")
            await client.receive_close()
        assert core_of(push).hub.counters.failures["hook"] == 20
        errors = [record for record in caplog.records if record.levelname == "ERROR"]
        assert 1 <= len(errors) < 20
        core_of(push).hub.failures._quiet._seen.clear()


@pytest.mark.parametrize("how", ["raises", "closes", "is kicked"])
async def test_a_session_that_was_closed_has_nothing_more_to_say(how: str) -> None:
    """What waits for on_message when the server ends a session is dropped; on_disconnect is the last that comes."""
    calls: list[str] = []
    go = anyio.Event()

    async def on_message(session: Session, data: str) -> None:
        calls.append(data)
        await go.wait()
        if how == "raises":
            raise ValueError("cannot read this")
        if how == "closes":
            await session.close()

    hooks = {"on_message": on_message, "on_disconnect": lambda *_: calls.append("end")}
    async with pushing(**hooks) as (push, server):
        client = await server.connect("/ws/alice")
        for number in range(100):
            client.send(str(number))
        client.send("ping")
        assert await client.receive() == "pong"  # all of them have come
        if how == "is kicked":
            await push.disconnect("alice")
        go.set()
        await client.receive_close()
        await until(lambda: "end" in calls)
        assert calls == ["0", "end"]


async def test_one_session_that_the_timer_cannot_look_after_is_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others' heartbeats are looked at in the same turn."""
    clock = Clock(monkeypatch)
    async with pushing(idle_timeout=10.0) as (push, server):
        clients = [await server.connect(f"/ws/{user}") for user in ("one", "bad", "two")]
        for client in clients:
            client.send("ping")
            assert await client.receive() == "pong"
        (bad,) = push.sessions("bad")
        monkeypatch.setattr(type(bad.heartbeat), "check", _failing(type(bad.heartbeat).check, bad.heartbeat))
        await clock.advance(push, 11)
        for client in (clients[0], clients[2]):
            await client.receive_close()
        await until(lambda: not push.sessions())
        assert bad.disconnect == Disconnect.SERVER_ERROR
        assert core_of(push).hub.counters.failures["timer"] == 1
        assert "the timer failed for session" in caplog.text


def _failing(real: Callable[..., Any], one: object) -> Callable[..., Any]:
    def check(heartbeat: object, now: float) -> Any:
        if heartbeat is one:
            raise LookupError("a bug")
        return real(heartbeat, now)

    return check


async def test_one_session_or_channel_that_fails_in_a_run_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All others get all that was published in the same run, and the fan-out does not start again."""
    async with pushing() as (push, server):
        fanout, users = core_of(push).hub.fanout, ("one", "bad", "two")
        clients = dict(zip(users, [await server.connect(f"/ws/{user}") for user in users], strict=True))
        for user in users:
            await push.subscribe(user, "news")
            await push.subscribe(user, "broken")
        (bad,) = push.sessions("bad")
        sessions = fanout._sessions
        real_members, real_serve = fanout._members, sessions._serve

        def members(target: Any) -> Any:
            if target == "broken":
                raise LookupError("a bug")
            return real_members(target)

        def serve_one(session: Session, parts: Any) -> None:
            if session is bad:
                raise LookupError("a bug")
            real_serve(session, parts)

        monkeypatch.setattr(fanout, "_members", members)
        monkeypatch.setattr(sessions, "_serve", serve_one)
        await push.publish("news", "first")
        await push.publish("broken", "lost")
        await push.send_to_all("last")
        for user in ("one", "two"):
            assert [await clients[user].receive() for _ in range(2)] == ["first", "last"]
        assert (await clients["bad"].receive_close()).code == 1011
        failures = core_of(push).hub.counters.failures
        assert (failures["publication"], failures["delivery"], failures["task"]) == (1, 1, 0)
        await push.publish("broken", "lost")
        await core_of(push).hub.fanout.settled()
        await push.send_to_user("one", "again")
        assert await clients["one"].receive() == "again"
    assert "starting it again" not in caplog.text


@pytest.mark.parametrize("name", ["authenticate", "authorize", "on_connect", "on_message", "on_rpc"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("what", ["SystemExit", "GeneratorExit", "cancelled", "own"])
async def test_whatever_a_hook_of_an_sdk_session_raises_ends_no_other(name: str, kind: str, what: str) -> None:
    """What answers is answered with error 100, what answers nothing ends the session; the others go on."""
    hook = raising(what, kind)
    options: dict[str, Any] = {"authenticate": lambda connection: connection.path_params["user_id"]}
    async with pushing(**options | {name: hook}, centrifuge_path="/sdk/{user_id}") as (push, server):
        hub = core_of(push).hub
        good, bad = await server.connect("/ws/good"), await server.connect("/sdk/bad")
        for number, command in enumerate(({"connect": {}}, {"subscribe": {"channel": "news"}}, {"rpc": {}}), 1):
            bad.send(json.dumps({"id": number, **command}))
        bad.send(json.dumps({"send": {"data": 1}}))
        await until(lambda: hub.counters.failures["hook"] == 1)
        await push.send_to_user("good", "hello")
        assert await good.receive() == "hello"
        assert core_of(push).hub is hub
