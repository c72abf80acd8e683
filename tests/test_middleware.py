"""What the middleware takes, what it passes through, and where an application finds push."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_push import Push, PushMiddleware, SettingsError, get_push
from tests.asgi import Refused, nothing, serve

PATH = "/ws/{user_id}"


# -- where push is ----------------------------------------------------------------------------------------------------


def where(connection: HTTPConnection) -> dict[str, bool]:
    """Where a handler finds push."""
    app = connection.app
    return {
        "app.state": hasattr(app.state, "push"),
        "state": hasattr(connection.state, "push"),
        "get_push(request)": find(connection),
        "get_push(scope)": find(connection.scope),
        "get_push(app)": find(app),
    }


def find(source: Any) -> bool:
    try:
        return isinstance(get_push(source), Push)
    except LookupError:
        return False


async def report(request: Request) -> JSONResponse:
    return JSONResponse(where(request))


EVERYWHERE = {"app.state", "state", "get_push(request)", "get_push(scope)", "get_push(app)"}
NOT_ON_APP = EVERYWHERE - {"app.state", "get_push(app)"}


def starlette_added() -> Any:
    app = Starlette(routes=[Route("/where", report)])
    app.add_middleware(PushMiddleware, path=PATH)
    return app


def fastapi_added() -> Any:
    app = FastAPI()
    app.add_middleware(PushMiddleware, path=PATH)
    app.add_api_route("/where", where_fastapi)
    return app


async def where_fastapi(request: Request) -> dict[str, bool]:
    return where(request)


def mounted_in_it() -> Any:
    sub = Starlette(routes=[Route("/where", report)])
    return Starlette(routes=[Mount("/sub", sub)], middleware=[Middleware(PushMiddleware, path=PATH)])


def wrapped() -> Any:
    return PushMiddleware(Starlette(routes=[Route("/where", report)]), path=PATH)


def on_the_mounted_only() -> Any:
    sub = Starlette(routes=[Route("/where", report)], middleware=[Middleware(PushMiddleware, path=PATH)])
    return Starlette(routes=[Mount("/sub", sub)])


@pytest.mark.parametrize(
    ("make", "path", "places"),
    [
        (starlette_added, "/where", EVERYWHERE),
        (fastapi_added, "/where", EVERYWHERE),
        (mounted_in_it, "/sub/where", NOT_ON_APP),  # the sub-application is another request.app
        (wrapped, "/where", EVERYWHERE),
        (on_the_mounted_only, "/sub/where", EVERYWHERE),
    ],
)
@pytest.mark.parametrize("entered", [True, False])
def test_where_push_is(make: Callable[[], Any], path: str, places: set[str], entered: bool) -> None:
    """On the application's state, on the request's, and from all of them by get_push; with or without a lifespan."""
    client = TestClient(make())
    if entered:
        with client:
            found = client.get(path).json()
    else:
        found = client.get(path).json()
    assert {name for name, is_there in found.items() if is_there} == places


def test_an_application_finds_it_before_the_first_request() -> None:
    """Wrapped, an application object has it from the construction on."""
    app = FastAPI()
    push = PushMiddleware(app).push
    assert app.state.push is push
    assert get_push(app) is push


def test_extensions_of_an_application_hold_it() -> None:
    """As Quart has them; a bound method stands for its object."""

    class Quart:
        def __init__(self) -> None:
            self.extensions: dict[str, object] = {}

        async def asgi_app(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    app = Quart()
    push = PushMiddleware(app.asgi_app).push
    assert app.extensions["push"] is push
    assert get_push(app) is push


def test_what_an_application_has_there_already_stays() -> None:
    """Two middlewares with a push each: the first one is the application's, and both are their requests'."""
    app = FastAPI()
    first, second = PushMiddleware(app).push, PushMiddleware(app).push
    assert first is not second
    assert app.state.push is first


@pytest.mark.parametrize("state", [5, SimpleNamespace().__class__, ("a",), object()])
def test_a_state_that_takes_nothing_is_left_alone(state: Any) -> None:
    """An application of its own make may call anything its state."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    holder = SimpleNamespace(state=state, extensions="no dictionary")
    PushMiddleware(holder, path="/ws")  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [{}, {"state": None}, {"state": {}}, None, 5, object(), {"app": object()}])
def test_get_push_where_there_is_none(source: Any) -> None:
    """It says what to do."""
    with pytest.raises(LookupError, match="PushMiddleware"):
        get_push(source)


def test_get_push_of_the_middleware_itself() -> None:
    """The object that the server runs is an application too."""
    app = PushMiddleware(nothing)
    assert get_push(app) is app.push


# -- what is passed through -------------------------------------------------------------------------------------------


class Recorder:
    """An application that keeps the scopes that come to it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await nothing(scope, receive, send)
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})


@pytest.mark.parametrize(
    ("own", "path", "taken"),
    [
        ("/ws", "/ws", True),
        ("/ws", "/ws/", False),
        ("/ws", "/wss", False),
        ("/ws", "/other", False),
        ("/ws", "/a/ws", False),
        ("/ws/{user_id}", "/ws/alice", True),
        ("/ws/{user_id}", "/ws/alice/b", False),
        ("/ws/{user_id}", "/ws/", False),
        ("/ws/{user_id:path}", "/ws/alice/b", True),
        ("/ws/{user_id:int}", "/ws/7", True),
        ("/ws/{user_id:int}", "/ws/alice", False),
        ("/ws/{user_id:int}", "/ws/" + "9" * 5000, False),  # more digits than Python reads
    ],
    ids=lambda value: f"{value!r:.30}",
)
async def test_only_its_own_paths_are_taken(own: str, path: str, taken: bool) -> None:
    """A WebSocket of another path is the application's."""
    app = Recorder()
    async with serve(PushMiddleware(app, path=own)) as server:
        if taken:
            await server.connect(path)
        else:
            with pytest.raises(Refused):
                await server.connect(path)
    assert [scope["type"] for scope in app.scopes] == ([] if taken else ["websocket"]) + ["lifespan"]


async def test_the_path_is_the_one_below_a_root() -> None:
    """Mounted, or behind a proxy that takes a prefix off, it is what follows; a root that only looks so is none."""
    app = Recorder()
    async with serve(PushMiddleware(app, path="/ws")) as server:
        await server.connect("/api/ws", root_path="/api")
        await server.connect("/ws", root_path="/api")
        for path, root_path in (("/apiws", "/api"), ("/api/other", "/api"), ("/api/api/ws", "/api")):
            with pytest.raises(Refused):
                await server.connect(path, root_path=root_path)


async def test_a_scope_is_passed_through_as_it_is() -> None:
    """With push in its state; what the server gave is not changed."""
    app, push = Recorder(), Push()
    middleware = PushMiddleware(app, push)
    given: Scope = {"type": "http", "path": "/", "state": {"own": 1}, "key": object()}

    async def receive() -> Any: ...

    async def send(message: Any) -> None: ...

    async with push:
        await middleware(given, receive, send)
        await middleware({"type": "http", "path": "/"}, receive, send)
        with_push: Scope = {"type": "http", "path": "/", "state": {"push": push}}
        await middleware(with_push, receive, send)
        await push.stop()
    first, second, third = app.scopes
    assert first == given | {"state": {"own": 1, "push": push}}
    assert given["state"] == {"own": 1}
    assert second["state"] == {"push": push}
    assert third is with_push


def test_options_and_a_made_push_exclude_each_other() -> None:
    """An option that would have no effect is an error."""
    with pytest.raises(SettingsError, match="pong"):
        PushMiddleware(nothing, Push(), pong="echo")
    with pytest.raises(SettingsError, match="pongs is no setting"):
        PushMiddleware(nothing, pongs="echo")


async def test_a_shared_push_has_paths_of_its_middlewares() -> None:
    """Each takes its own, and the settings' where it has none."""
    push = Push(path="/default")
    async with serve(PushMiddleware(PushMiddleware(nothing, push), push, path="/own/{user_id}")) as server:
        await server.connect("/default")
        await server.connect("/own/alice")
        assert [session.user for session in push.sessions()] == ["", "alice"]


# -- with test clients of frameworks ----------------------------------------------------------------------------------


async def order(request: Request) -> PlainTextResponse:
    result = await request.app.state.push.send_to_user(request.path_params["user"], {"order": 1})
    return PlainTextResponse(str(result.receivers))


def order_in_thread(request: Request) -> PlainTextResponse:
    result = request.app.state.push.blocking.send_to_user(request.path_params["user"], {"order": 1})
    return PlainTextResponse(str(result.receivers))


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def shop() -> Starlette:
    app = Starlette(
        routes=[
            Route("/order/{user}", order, methods=["POST"]),
            Route("/thread/{user}", order_in_thread, methods=["POST"]),
            WebSocketRoute("/chat", chat),
        ]
    )
    app.add_middleware(PushMiddleware, path=PATH)
    return app


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("url", ["/order/alice", "/thread/alice"])
def test_an_entered_test_client(backend: Any, url: str) -> None:
    """Connect, push from a handler, receive; one after the other, and two at once."""
    with TestClient(shop(), backend=backend) as client:
        for _ in range(2):
            with client.websocket_connect("/ws/alice") as first, client.websocket_connect("/ws/alice") as second:
                assert client.post(url).text == "2"
                assert first.receive_json() == second.receive_json() == {"order": 1}
            assert client.post(url.replace("alice", "nobody")).text == "0"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("url", ["/order/alice", "/thread/alice"])
def test_a_test_client_that_is_not_entered(backend: Any, url: str) -> None:
    """Each request and each WebSocket has an event loop of its own then: a push still finds the one of the session."""
    client = TestClient(shop(), backend=backend)
    for _ in range(2):
        assert client.post("/order/alice").text == "0"
        with client.websocket_connect("/ws/alice") as session:
            assert client.post(url).text == "1"
            assert session.receive_json() == {"order": 1}
            session.send_text("ping")
            assert session.receive_text() == "pong"


def test_a_test_client_is_told_why_it_is_refused() -> None:
    """As a browser would be."""
    app = shop()
    client = TestClient(app)
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/ws/a", headers={"origin": "https://evil.example"}),
    ):
        pass


def test_the_applications_own_websockets_work() -> None:
    """They pass through."""
    with TestClient(shop()) as client, client.websocket_connect("/chat") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"


def test_a_test_client_shows_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entering it raises what is wrong, and so does the first request where it is not entered."""
    monkeypatch.setenv("ASGI_PUSH_PONG", "no")
    with pytest.raises(SettingsError, match="ASGI_PUSH_PONG"), TestClient(shop()):
        pass
    with pytest.raises(SettingsError, match="ASGI_PUSH_PONG"):
        TestClient(shop()).post("/order/alice")


def test_a_test_client_shows_a_failed_startup() -> None:
    """What the application's own lifespan raises is not hidden by the middleware."""

    async def startup(app: Starlette) -> Any:
        raise LookupError("no database")
        yield

    from contextlib import asynccontextmanager

    app = PushMiddleware(Starlette(lifespan=asynccontextmanager(startup)))
    with pytest.raises(LookupError, match="no database"), TestClient(app):
        pass


def test_a_lifespans_state_reaches_the_requests() -> None:
    """What the application's lifespan yields is beside push in the state of each request."""

    async def lifespan(app: Starlette) -> Any:
        yield {"database": 5}

    async def show(request: Request) -> JSONResponse:
        return JSONResponse([request.state.database, isinstance(request.state.push, Push)])

    from contextlib import asynccontextmanager

    app = PushMiddleware(Starlette(routes=[Route("/", show)], lifespan=asynccontextmanager(lifespan)))
    with TestClient(app) as client:
        assert client.get("/").json() == [5, True]


async def test_cancelling_the_server_leaves_no_session() -> None:
    """A test that ends early takes its sessions along."""
    push = Push(path=PATH)
    async with push:
        with anyio.CancelScope() as scope:
            async with serve(PushMiddleware(nothing, push)) as server:
                await server.connect("/ws/alice")
                scope.cancel()
                await anyio.sleep_forever()
        assert push.sessions() == []


def test_two_pushes_in_one_application_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """What is pushed through one would reach no session of the other, without a word."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("ok"))])
    app.add_middleware(PushMiddleware, path="/one")
    app.add_middleware(PushMiddleware, path="/two")
    with TestClient(app) as client:
        client.get("/")
        client.get("/")
    assert sum("another Push already" in record.message for record in caplog.records) == 1
