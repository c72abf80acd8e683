"""The server and the clients that applications get for their tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_push import AuthenticationError, Disconnect, Push, PushMiddleware, Session
from asgi_push.testing import Refused, serve, server, websocket
from tests.asgi import until


def application(**options: Any) -> PushMiddleware:
    """An application that ships orders, with a user in its path."""

    async def ship(request: Request) -> JSONResponse:
        result = await request.app.state.push.send_to_user("11", {"status": "shipped"})
        return JSONResponse({"reached": result.receivers, "pool": request.state.pool})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"pool": "a pool"}

    async def own(socket: WebSocket) -> None:
        raise LookupError("a fault of the application")

    routes = [Route("/ship", ship, methods=["POST"]), WebSocketRoute("/own", own)]
    return PushMiddleware(Starlette(routes=routes, lifespan=lifespan), **{"path": "/ws/{user_id}"} | options)


async def test_several_users_and_a_request() -> None:
    """Users, requests and the test itself share one event loop."""
    async with (
        serve(application()) as server,
        server.connect("/ws/11") as one,
        server.connect("/ws/11") as other,
        server.connect("/ws/12") as another,
        httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://test") as http,
    ):
        answer = await http.post("/ship")
        assert answer.json() == {"reached": 2, "pool": "a pool"}
        assert await one.receive_json() == await other.receive_json() == {"status": "shipped"}
        await server.push.send_to_user("12", b"\0")
        assert await another.receive_bytes() == b"\0"
        assert another.received == [b"\0"]


async def test_what_a_client_sends() -> None:
    """Text, JSON and bytes reach on_message."""
    heard: list[Any] = []

    async def on_message(session: Session, data: Any) -> None:
        heard.append(data)
        await session.send(f"{len(heard)}")

    async with (
        serve(application(on_message=on_message)) as server,
        server.connect("/ws/11") as client,
    ):
        await client.send_text("hello")
        await client.send_json({"n": 7})
        await client.send_bytes(b"\0")
        assert await client.receive_until(lambda message: message == 3) == 3
    assert heard == ["hello", '{"n": 7}', b"\0"]


async def test_a_handshake() -> None:
    """Cookies, headers, subprotocols and the query are what the application sees."""
    seen: list[Any] = []

    def authenticate(connection: Any) -> str | None:
        seen.append((dict(connection.cookies), connection.headers["x-tab"]))
        if "login" not in connection.cookies:
            raise AuthenticationError("who are you?")
        return str(connection.query_params["user"])

    async with serve(application(path="/ws", authenticate=authenticate)) as server:
        headers = {"X-Tab": "3"}
        async with server.connect(
            "/ws?user=11", headers=headers, cookies={"login": "a", "b": "c"}, subprotocols=["v1"]
        ):
            assert [session.user for session in server.push.sessions()] == ["11"]
        with pytest.raises(Refused, match="401") as refused:
            async with server.connect("/ws?user=11", headers=headers):
                pass
        assert refused.value.status == 401
    assert seen == [({"login": "a", "b": "c"}, "3"), ({}, "3")]


async def test_the_path_is_decoded() -> None:
    """As servers do, so that a test finds the user whom the application finds."""
    async with serve(application()) as server:
        for path in ("/ws/%E4%BD%A0%20%2B", "/ws/\u4f60 +"):
            async with server.connect(path):
                (session,) = server.push.sessions()
                assert session.user == "\u4f60 +"


async def test_a_close_of_the_application() -> None:
    """It is an event to wait for, and an error where a message was expected."""
    async with serve(application()) as server, server.connect("/ws/11") as client:
        await server.push.disconnect("11", disconnect=Disconnect(4500, "enough"))
        with pytest.raises(AssertionError, match=r"the application closed \(4500 enough\)"):
            await client.receive_text()
        assert await client.receive_close() == Disconnect(4500, "enough")


async def test_nothing_comes() -> None:
    """The error says what had come before."""
    async with serve(application()) as server, server.connect("/ws/11") as client:
        with pytest.raises(AssertionError, match=r"nothing came in 0\.01 s; nothing had come to /ws/11"):
            await client.receive_json(timeout=0.01)
        await server.push.send_to_user("11", "hello")
        await server.push.send_to_user("11", {"n": 1})
        await until(lambda: len(client._from_app.items) == 2)
        told = r"""0\.01 s; before, 2 came to /ws/11: 'hello', '\{"n":1\}'"""
        with pytest.raises(AssertionError, match=told):
            await client.receive_until(lambda message: message == {"n": 2}, timeout=0.01)


async def test_something_else_comes() -> None:
    """Each kind of message is told from the others."""
    async with serve(application()) as server, server.connect("/ws/11") as client:
        for data in ("text", b"bytes", "text", "text"):
            await server.push.send_to_user("11", data)
        for receive, error in (
            (client.receive_bytes, "a text came, and no binary message: 'text'"),
            (client.receive_text, "a binary message came, and no text: b'bytes'"),
            (client.receive_json, "a text came that is no JSON: 'text'"),
            (client.receive_close, "a message came, and no close: 'text'"),
        ):
            with pytest.raises(AssertionError, match=re.escape(error)):
                await receive()


async def test_an_error_of_the_application_is_raised() -> None:
    """A test sees it where it waits, and as it is."""
    async with serve(application()) as server:
        with pytest.raises(LookupError, match="a fault of the application"):
            async with server.connect("/own"):
                pass


async def test_the_error_of_the_test_is_the_one_that_is_raised() -> None:
    """What goes wrong after it does not hide it."""
    with pytest.raises(ZeroDivisionError):
        async with serve(application()) as server, server.connect("/ws/11"):
            1 / 0  # noqa: B018


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_left_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would run on into the next test."""
    monkeypatch.setattr(server, "PATIENCE", 0.05)
    tasks: list[asyncio.Task[Any]] = []

    async def leaves_a_task(session: Session) -> None:
        tasks.append(asyncio.create_task(asyncio.Event().wait(), name="a poller"))

    async def use() -> None:
        app = application(on_connect=leaves_a_task)
        async with serve(app) as running, running.connect("/ws/11"):
            await until(lambda: tasks)

    with pytest.raises(AssertionError, match=r"1 of its tasks still run: a poller \(Event\.wait\)"):
        await use()
    tasks[0].cancel()


async def test_a_push_that_is_left_is_an_error() -> None:
    """What starts it has to stop it."""
    push = Push(path="/ws/{user_id}")
    with pytest.raises(AssertionError, match="push still runs"):
        async with serve(PushMiddleware(Starlette(), push)):
            await push.start()
    await push.stop()


async def test_a_socket_that_is_served_on_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application must notice that its client has gone."""
    monkeypatch.setattr(websocket, "PATIENCE", 0.05)

    async def deaf(socket: WebSocket) -> None:
        await socket.accept()
        await anyio.sleep_forever()

    app = Starlette(routes=[WebSocketRoute("/deaf", deaf)])
    with pytest.raises(AssertionError, match="still served /deaf"):
        async with serve(PushMiddleware(app)) as running, running.connect("/deaf"):
            pass


async def test_a_start_that_fails() -> None:
    """The reason is what a server would log, or the exception itself."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    with pytest.raises(LookupError, match="no database"):
        async with serve(PushMiddleware(Starlette(lifespan=lifespan))):
            pass


async def test_without_the_middleware_there_is_no_push() -> None:
    """The error says what is missing."""
    async with serve(Starlette()) as server:
        with pytest.raises(AssertionError, match="no PushMiddleware"):
            server.push  # noqa: B018


async def test_it_may_be_left_in_another_task() -> None:
    """As fixtures of some plugins do."""
    manager = serve(application())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manager.__aenter__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manager.__aexit__, None, None, None)
