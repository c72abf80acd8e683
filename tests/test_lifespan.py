"""Start before the application, stop after it, and answer for one that has no lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from asgi_push import BrokerError, NotRunningError, Push, PushMiddleware, SettingsError
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.push import core_of
from tests.asgi import Lifespan, Refused, Server, lifespan, nothing, serve


async def answer_startup(receive: Receive, send: Send, kind: str = "complete") -> None:
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": f"lifespan.startup.{kind}", **({"message": "no database"} if kind == "failed" else {})})


async def steps_of(run: Lifespan) -> list[str]:
    return [(await run.step(what))["type"] for what in ("startup", "shutdown")]


BOTH = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_push_runs_as_long_as_the_application() -> None:
    """It runs before the application starts up, and until after it has shut down."""
    push = Push()
    ran: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["state"]["push"] is push
        await receive()
        ran.append(push.running)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await push.send_to_all("an application's last words")
        ran.append(push.running)
        await send({"type": "lifespan.shutdown.complete"})

    async with lifespan(PushMiddleware(app, push)) as run:
        assert await steps_of(run) == BOTH
        assert not push.running, "a server may end as soon as it has this answer"
        await run.ended()
    assert ran == [True, True]


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("only HTTP here")  # Django


async def raises_after_receive(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise KeyError("path")  # an application that takes every scope for a request


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def returns_after_receive(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


@pytest.mark.parametrize("app", [raises, raises_after_receive, returns, returns_after_receive])
async def test_an_application_without_a_lifespan(app: Any) -> None:
    """The server is answered in its stead, and Push runs from start-up to shut-down."""
    push = Push()
    async with lifespan(PushMiddleware(app, push)) as run:
        assert (await run.step("startup"))["type"] == "lifespan.startup.complete"
        assert push.running
        assert not run.finished.is_set()
        assert (await run.step("shutdown"))["type"] == "lifespan.shutdown.complete"
        await run.ended()
    assert not push.running


@pytest.mark.parametrize("then", ["returns", "raises"])
async def test_an_application_that_fails_to_start(then: str) -> None:
    """Its words come to the server unchanged, its error too, which some servers want; and Push is stopped."""
    push = Push()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_startup(receive, send, "failed")
        if then == "raises":
            raise LookupError("no database")

    async with lifespan(PushMiddleware(app, push)) as run:
        answer = await run.step("startup")
        assert (answer["type"], answer["message"]) == ("lifespan.startup.failed", "no database")
        await run.ended()
        assert isinstance(run.error, LookupError if then == "raises" else type(None))
    assert not push.running


async def test_a_server_that_raises_at_a_failed_start_is_told() -> None:
    """Hypercorn ends itself by what it raises out of ``send``: swallowed, it would serve the broken application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_startup(receive, send, "failed")

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        raise LookupError(message["message"])

    with pytest.raises(LookupError, match="no database"):
        await PushMiddleware(app)({"type": "lifespan"}, receive, send)


async def test_an_application_that_raises_while_it_runs() -> None:
    """The error is its own, and Push is stopped."""
    push, fail = Push(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_startup(receive, send)
        await fail.wait()
        raise LookupError("a bug")

    async with lifespan(PushMiddleware(app, push)) as run:
        await run.step("startup")
        fail.set()
        await run.ended()
        assert isinstance(run.error, LookupError)
    assert not push.running


async def test_an_application_that_leaves_its_lifespan() -> None:
    """One that has started and returns does not wish the sessions to end: Push runs until the server shuts down."""
    push = Push()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_startup(receive, send)

    async with lifespan(PushMiddleware(app, push)) as run:
        assert (await run.step("startup"))["type"] == "lifespan.startup.complete"
        await anyio.wait_all_tasks_blocked()
        assert push.running
        assert (await run.step("shutdown"))["type"] == "lifespan.shutdown.complete"
        await run.ended()
    assert not push.running


async def test_an_application_that_fails_to_shut_down() -> None:
    """Its words come through, and Push is stopped all the same."""
    push = Push()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_startup(receive, send)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    async with lifespan(PushMiddleware(app, push)) as run:
        await run.step("startup")
        assert await run.step("shutdown") == {"type": "lifespan.shutdown.failed", "message": "stuck"}
        await run.ended()
    assert not push.running


async def test_two_middlewares_share_one_push() -> None:
    """It starts with the first and stops with the last."""
    push = Push()
    first, second = PushMiddleware(nothing, push, path="/a"), PushMiddleware(nothing, push, path="/b")
    async with serve(first) as one:
        async with serve(second) as two:
            a, b = await one.connect("/a"), await two.connect("/b")
            await push.send_to_all("x")
            assert [await a.receive(), await b.receive()] == ["x", "x"]
        assert push.running
        await push.send_to_all("y")
        assert await a.receive() == "y"
    assert not push.running


async def test_one_middleware_in_the_other() -> None:
    """Stacked, they share it as well."""
    push = Push()
    app = PushMiddleware(PushMiddleware(nothing, push, path="/b"), push, path="/a")
    async with serve(app) as server:
        a, b = await server.connect("/a"), await server.connect("/b")
        await push.send_to_all("x")
        assert [await a.receive(), await b.receive()] == ["x", "x"]
    assert not push.running


# -- no lifespan at all -----------------------------------------------------------------------------------------------


async def test_without_lifespan_push_starts_with_the_first_scope() -> None:
    """Daphne sends none; nor do those who mount the application in another one."""
    push = Push()
    app = PushMiddleware(nothing, push, path="/ws")
    async with anyio.create_task_group() as tasks:
        server = Server(app, tasks)
        assert not push.running
        clients = [server.begin("/ws") for _ in range(3)]  # at once: it starts once
        for client in clients:
            await client.open()
        await push.send_to_all("x")
        assert [await client.receive() for client in clients] == ["x"] * 3
        await server.hang_up()
    while push.running:
        await push.stop()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_push_starts_anew_on_another_event_loop(backend: str) -> None:
    """An event loop that ended without a stop is forgotten, with its sessions and what was owed to it."""
    push = Push()
    app = PushMiddleware(nothing, push, path="/ws")

    async def connect_and_leave() -> None:
        async with anyio.create_task_group() as tasks:
            server = Server(app, tasks)
            client = await server.connect("/ws")
            await push.send_to_all("x")
            assert await client.receive() == "x"
            tasks.cancel_scope.cancel()

    async def use_and_stop() -> None:
        async with serve(app) as server:
            client = await server.connect("/ws")
            await push.send_to_all("y")
            assert await client.receive() == "y"
            assert len(push.sessions()) == 1
        assert not push.running

    for _ in range(2):
        anyio.run(connect_and_leave, backend=backend)
        assert not push.running
    anyio.run(use_and_stop, backend=backend)
    anyio.run(use_and_stop, backend="trio" if backend == "asyncio" else "asyncio")


async def test_on_another_event_loop_publishing_works_and_connecting_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where a test client serves each request on a loop of its own: 503, and a line that says what to do."""
    push = Push()
    app = PushMiddleware(nothing, push, path="/ws")
    async with serve(app) as server:
        client = await server.connect("/ws")

        async def elsewhere() -> None:
            await push.send_to_all("from elsewhere")
            assert await push.is_online("nobody") is False
            with pytest.raises(NotRunningError):
                core_of(push).hub  # noqa: B018
            async with anyio.create_task_group() as tasks:
                with pytest.raises(Refused) as caught:
                    await Server(app, tasks).connect("/ws")
            assert caught.value.status == 503

        await anyio.to_thread.run_sync(anyio.run, elsewhere)
        assert await client.receive() == "from elsewhere"
    assert "enter TestClient with `with`" in caplog.text
    assert "asgi_push.testing.serve" in caplog.text


# -- bad settings -----------------------------------------------------------------------------------------------------


def test_outside_of_an_event_loop_a_bad_setting_raises() -> None:
    """Where the mistake is, with the variable's name."""
    with pytest.raises(SettingsError, match="ASGI_PUSH_PONG"):
        PushMiddleware(nothing, pong="no")
    with pytest.raises(SettingsError, match="path"):
        PushMiddleware(nothing, Push(), path="no")


async def test_inside_of_an_event_loop_a_bad_setting_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frameworks build middlewares there, where servers would take an exception for "has no lifespan"."""
    monkeypatch.setenv("ASGI_PUSH_PONG", "no")
    app = PushMiddleware(nothing)
    async with lifespan(app) as run:
        answer = await run.step("startup")
        assert answer["type"] == "lifespan.startup.failed"
        assert "ASGI_PUSH_PONG" in answer["message"]
        await run.ended()
        assert isinstance(run.error, SettingsError)
    with pytest.raises(SettingsError, match="ASGI_PUSH_PONG"):
        await app({"type": "http"}, *[lambda *_: None] * 2)  # type: ignore[list-item]


async def test_a_framework_that_builds_its_middlewares_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starlette does so on the first call, which is the lifespan's: the server is told, and does not go on."""
    monkeypatch.setenv("ASGI_PUSH_MAX_SESSIONS", "many")
    app = Starlette()
    app.add_middleware(PushMiddleware)
    async with lifespan(app) as run:
        answer = await run.step("startup")
        assert answer["type"] == "lifespan.startup.failed"
        assert "ASGI_PUSH_MAX_SESSIONS" in answer["message"]


async def test_a_framework_with_its_own_lifespan() -> None:
    """Push runs in it, from its first line to its last."""
    log: list[bool] = []

    @asynccontextmanager
    async def own_lifespan(app: Starlette) -> AsyncIterator[None]:
        log.append(push.running)
        yield
        log.append(push.running)

    push = Push()
    app = Starlette(lifespan=own_lifespan)
    app.add_middleware(PushMiddleware, push=push)
    async with lifespan(app) as run:
        assert await steps_of(run) == BOTH
    assert log == [True, True]


# -- a broker that is not there ---------------------------------------------------------------------------------------


async def no_broker(*_: object) -> None:
    raise BrokerError("connection refused")


async def test_a_broker_that_is_not_there_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is told, the application is not started, and nothing is left running."""
    monkeypatch.setattr(MemoryBroker, "start", no_broker)
    push, started = Push(), list[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.append((await receive())["type"])

    async with lifespan(PushMiddleware(app, push)) as run:
        answer = await run.step("startup")
        assert answer["type"] == "lifespan.startup.failed"
        assert "connection refused" in answer["message"]
        await run.ended()
        assert isinstance(run.error, BrokerError)
    assert started == []
    assert not push.running


async def test_a_start_that_failed_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """All who wanted it are told; then it is as if nobody had tried."""
    push, errors = Push(), list[type]()

    async def start() -> None:
        try:
            await push.start()
        except (BrokerError, NotRunningError) as error:
            errors.append(type(error))

    with monkeypatch.context() as broken:
        broken.setattr(MemoryBroker, "start", no_broker)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(start)
    assert len(errors) == 3
    assert BrokerError in errors
    async with push:
        assert push.running
    assert not push.running


async def test_a_lifespan_that_is_cancelled_stops_push() -> None:
    """A server that does not wait for the end leaves nothing running."""
    push = Push()
    async with lifespan(PushMiddleware(nothing, push)) as run:
        await run.step("startup")
        assert push.running
    assert not push.running
