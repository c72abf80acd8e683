"""The application's hooks: when they are called, in which order, and what their failures do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import pytest

from asgi_push import Disconnect, Push, PushMiddleware, Session
from asgi_push.hub import hub
from asgi_push.inbound import hooks, intake
from asgi_push.metrics.counters import Counters
from asgi_push.push import core_of
from asgi_push.runtime.failures import Failures
from asgi_push.runtime.tasks import TaskRoot
from asgi_push.runtime.threads import Threads
from tests.asgi import PATIENCE, Closed, nothing, pushing, serve, until

Log = list[tuple[str, Any]]


class Async:
    """Hooks as an object: also a callable object may be async."""

    def __init__(self, log: Log, what: str) -> None:
        self.log, self.what = log, what

    async def __call__(self, session: Session, *args: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.log.append((self.what, *args))  # type: ignore[arg-type]


def sync_hook(log: Log, what: str) -> Callable[..., None]:
    def hook(session: Session, *args: Any) -> None:
        assert threading.current_thread() is not threading.main_thread()
        log.append((what, *args))  # type: ignore[arg-type]

    return hook


def async_hook(log: Log, what: str) -> Callable[..., Any]:
    async def hook(session: Session, *args: Any) -> None:
        await anyio.lowlevel.checkpoint()
        log.append((what, *args))  # type: ignore[arg-type]

    return hook


def awaiting_hook(log: Log, what: str) -> Callable[..., Any]:
    def hook(*args: Any) -> Any:  # not async itself
        return async_hook(log, what)(*args)

    return hook


def partial_hook(log: Log, what: str) -> Callable[..., Any]:
    return partial(async_hook(log, what))


@pytest.mark.parametrize("make", [sync_hook, async_hook, awaiting_hook, partial_hook, Async])
async def test_hooks_are_called_in_order(make: Callable[[Log, str], Any]) -> None:
    """on_connect, each on_message, on_disconnect, one after the other; a sync hook runs in a worker thread."""
    log: Log = []
    names = ("on_connect", "on_message", "on_disconnect")
    async with pushing(**{name: make(log, name) for name in names}) as (_, server):
        client = await server.connect("/ws/alice")
        client.send("one")
        client.send("ping")
        client.send(b"two")
        client.send("")
        client.close(4005, "bye")
        await until(lambda: len(log) == 5)
        assert log == [
            ("on_connect",),
            ("on_message", "one"),
            ("on_message", b"two"),
            ("on_message", ""),
            ("on_disconnect", Disconnect(4005, "bye")),
        ]


async def test_a_slow_hook_holds_up_its_own_session_only() -> None:
    """While one session's hook waits, heartbeats are answered and other sessions' hooks run."""
    go, log = anyio.Event(), Log()

    async def on_message(session: Session, data: str) -> None:
        if session.user == "slow":
            await go.wait()
        log.append((session.user, data))

    async with pushing(on_message=on_message) as (_, server):
        slow, quick = await server.connect("/ws/slow"), await server.connect("/ws/quick")
        slow.send("1")
        slow.send("2")
        slow.send("ping")
        quick.send("3")
        assert await slow.receive() == "pong"
        await until(lambda: log == [("quick", "3")])
        go.set()
        await until(lambda: log[1:] == [("slow", "1"), ("slow", "2")])


@pytest.mark.parametrize("name", ["on_connect", "on_message"])
async def test_a_failing_hook_ends_its_session(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The session is closed with 1011, the error is logged once, and on_disconnect is still called."""
    ends: list[Disconnect] = []

    async def fail(session: Session, *args: Any) -> None:
        if session.user == "bad":
            raise LookupError("a bug of the application")

    options = {name: fail, "on_disconnect": lambda _, disconnect: ends.append(disconnect)}
    async with pushing(**options) as (push, server):
        bad, good = await server.connect("/ws/bad"), await server.connect("/ws/good")
        bad.send("hello")
        assert (await bad.receive_close()).code == 1011
        await until(lambda: ends == [Disconnect.SERVER_ERROR])
        await push.send_to_all("x")
        assert await good.receive() == "x"
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert errors[0].exc_info is not None
    assert "fail failed for session" in errors[0].getMessage()


async def test_a_failing_on_disconnect_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing left to end; the next session is served as ever, and the log says it once a second."""

    def fail(session: Session, disconnect: Disconnect) -> None:
        raise LookupError("a bug of the application")

    async with pushing(on_disconnect=fail) as (push, server):
        for _ in range(2):
            client = await server.connect("/ws/alice")
            client.close()
            await client.ended()
        assert push.sessions() == []
        await until(lambda: core_of(push).hub.counters.failures["hook"] == 2)
    assert 1 <= [record.levelname for record in caplog.records].count("ERROR") <= 2


async def test_a_client_that_floods_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for on_message is bounded; a client that sends on while it takes nothing is told 1013."""
    monkeypatch.setattr(intake, "_PATIENCE", 0.01)
    go = anyio.Event()

    async def on_message(session: Session, data: str) -> None:
        await go.wait()

    async with pushing(on_message=on_message, queue_messages=10) as (_, server):
        client = await server.connect("/ws/alice")
        for number in range(50):
            client.send(str(number))
        closed = await client.receive_close()
        assert (closed.code, closed.reason) == (1013, Disconnect.OVERLOADED.reason)
        go.set()


async def test_a_flood_of_bytes_is_closed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one that sends few and large ones."""
    monkeypatch.setattr(intake, "_PATIENCE", 0.01)
    go = anyio.Event()

    async def on_message(session: Session, data: bytes) -> None:
        await go.wait()

    async with pushing(on_message=on_message, queue_bytes=1000) as (_, server):
        client = await server.connect("/ws/alice")
        for _ in range(4):
            client.send(b"x" * 400)
        assert (await client.receive_close()).code == 1013
        go.set()


async def test_without_on_message_a_client_may_say_anything() -> None:
    """Messages that nobody wants are dropped, however many."""
    async with pushing(queue_messages=1) as (_, server):
        client = await server.connect("/ws/alice")
        for number in range(100):
            client.send(str(number))
        client.send("ping")
        assert await client.receive() == "pong"


async def test_no_message_reaches_the_hook_after_the_close() -> None:
    """What a client sends once its session closes is not the application's business any more."""
    log = Log()
    async with pushing(on_message=lambda _, data: log.append(data), on_disconnect=lambda *_: log.append("end")) as (
        push,
        server,
    ):
        client = await server.connect("/ws/alice")
        client.block()
        await push.disconnect("alice")
        client.send("too late")
        client.send("ping")
        await client.blocked()
        client.unblock()
        assert (await client.receive_close()).code == Disconnect.FORCE.code
        await until(lambda: log)
        assert log == ["end"]


@pytest.mark.parametrize("name", ["on_connect", "on_message", "on_disconnect"])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_hook_that_hangs_holds_up_no_shutdown(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping takes a bounded time, whatever the hooks do."""
    monkeypatch.setattr(hub, "_SHUTDOWN_TIME", 0.05)
    let_go, called = threading.Event(), threading.Event()

    def hang(*args: Any) -> None:
        called.set()
        let_go.wait()

    async def hang_async(*args: Any) -> None:
        called.set()
        await anyio.sleep_forever()

    try:
        async with pushing(**{name: hang if kind == "sync" else hang_async}) as (push, server):
            client = await server.connect("/ws/alice")
            client.send("hello")
            if name == "on_disconnect":
                client.close()
            await until(called.is_set)
            with anyio.fail_after(PATIENCE):
                await push.stop()
            assert not push.running
            await push.start()
    finally:
        let_go.set()


async def test_shutdown_waits_for_the_hooks() -> None:
    """A hook that needs a moment gets it: what on_disconnect writes down is written."""
    log = Log()

    async def on_disconnect(session: Session, disconnect: Disconnect) -> None:
        await anyio.sleep(0.02)
        log.append((session.user, disconnect))

    async with pushing(on_disconnect=on_disconnect) as (push, server):
        for user in ("alice", "bob"):
            await server.connect(f"/ws/{user}")
        await push.stop()
        assert sorted(log) == [("alice", Disconnect.SHUTDOWN), ("bob", Disconnect.SHUTDOWN)]
        await push.start()


def test_a_hook_counts_from_when_it_is_asked_for() -> None:
    """So a shutdown never overlooks one whose task has not begun."""
    spawned: list[Any] = []
    failures = Failures(Counters())

    class Spawning(TaskRoot):
        def spawn(self, *args: Any) -> None:
            spawned.append(args)

    calls = hooks.HookCalls(Spawning(failures), Threads("hooks"), hub.Settings(), failures)  # type: ignore[arg-type]

    class Waiting:
        inbox = None

    calls.call(Waiting(), lambda _: None)  # type: ignore[arg-type]
    assert spawned
    assert calls.running == 1


async def test_hooks_may_use_push_itself() -> None:
    """A hook can publish and close, as any code of the application can."""

    async def on_message(session: Session, data: str) -> None:
        await session.send(data.upper())
        await session.close(Disconnect(4000, "done"))

    async with pushing(on_message=on_message) as (_, server):
        client = await server.connect("/ws/alice")
        client.send("hello")
        messages, closed = await client.receive_to_close()
        assert (messages, closed.code) == (["HELLO"], 4000)


async def test_a_sync_hook_may_use_push_blocking() -> None:
    """From its worker thread, through ``push.blocking``."""

    def on_message(session: Session, data: str) -> None:
        push.blocking.send_to_user(session.user, data.upper())

    push = Push(path="/ws/{user_id}", on_message=on_message)
    async with serve(PushMiddleware(nothing, push)) as server:
        client = await server.connect("/ws/alice")
        client.send("hello")
        try:
            assert await client.receive() == "HELLO"
        except Closed as closed:
            pytest.fail(str(closed))


async def test_hooks_may_publish_during_the_shutdown() -> None:
    """Until the last session has ended Push runs: what on_disconnect tells the others has its place in the history."""
    kept: list[Any] = []

    async def on_disconnect(session: Session, disconnect: Disconnect) -> None:
        await push.publish("left", session.user)
        kept.extend((await push.history("left")).publications)

    push = Push(path="/ws/{user_id}", on_disconnect=on_disconnect)
    async with serve(PushMiddleware(nothing, push)) as server:
        await server.connect("/ws/alice")
        await push.stop()
        await push.start()
        assert [item.data for item in kept] == ["alice"]


# -- hooks that wait for nothing ---------------------------------------------------------------------------------------


async def answers(*args: Any) -> bool:
    async def asks() -> None:
        await anyio.lowlevel.checkpoint()

    return bool(asks)


async def awaits(*args: Any) -> bool:
    await anyio.lowlevel.checkpoint()
    return True


async def enters(*args: Any) -> bool:
    async with anyio.create_task_group():
        return True


async def iterates(several: Any) -> bool:
    async for _ in several:
        pass
    return True


@pytest.mark.parametrize(
    ("hook", "at_once"),
    [
        (answers, True),
        (awaits, False),
        (enters, False),
        (iterates, False),
        (lambda *_: True, False),
        (partial(answers, 1), False),
        (Async([], ""), False),
    ],
)
def test_which_hooks_end_at_once(hook: Any, at_once: bool) -> None:
    """Those that are async functions and hold no await of their own, in whatever form."""
    assert hooks.ends_at_once(hook) is at_once


VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="")


async def test_a_hook_that_ends_at_once() -> None:
    """Its result is returned, and a context variable that it sets is gone with it."""

    async def hook(value: str) -> str:
        before = VARIABLE.get()
        VARIABLE.set(value)
        return before + VARIABLE.get()

    assert [hooks.call_at_once(hook, value) for value in ("a", "b")] == ["a", "b"]
    assert VARIABLE.get() == ""


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, anyio.get_cancelled_exc_class, ValueError])
async def test_a_hook_that_fails_at_once(error: Any) -> None:
    """What it raises is an Exception to its caller, whatever it is."""
    raised = error() if error is anyio.get_cancelled_exc_class else error
    if raised.__module__.startswith("trio"):
        pytest.skip("trio lets nobody make one")

    async def hook() -> None:
        raise raised

    with pytest.raises(ValueError if error is ValueError else hooks.HookFailed):
        hooks.call_at_once(hook)


async def test_what_comes_while_a_session_is_busy_is_its_own() -> None:
    """It waits for the work that is carried out at once, and nothing of another session waits with it."""
    log: Log = []

    async def note(session: Session, what: str) -> None:
        log.append((session.user, what))

    async def work(session: Any, what: str) -> None:
        core_of(push).hub.execute(session, note, f"after {what}")
        await note(session, what)

    async with pushing() as (push, server):
        for user in ("alice", "bob"):
            await server.connect(f"/ws/{user}")
        alice, bob = push.sessions()
        for session, what in ((alice, "one"), (bob, "two")):
            await core_of(push).hub.execute_here(session, work, what)  # type: ignore[arg-type]
        await until(lambda: len(log) == 4 and alice.inbox is None)  # type: ignore[attr-defined]
        await core_of(push).hub.execute_here(alice, note, "three")  # type: ignore[arg-type]
        assert [what for user, what in log if user == "alice"] == ["one", "after one", "three"]
        assert [what for user, what in log if user == "bob"] == ["two", "after two"]
