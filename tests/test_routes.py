"""Where the middleware's paths are, however it was put on, and which of the application's own it hides."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asgi_push import PushMiddleware
from tests.asgi import PATIENCE, Refused, serve


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page")


async def talk(websocket: WebSocket) -> None:
    await websocket.close()


# FastAPI would rather have its root_path from a server; many say it to FastAPI.
pytestmark = pytest.mark.filterwarnings("ignore::fastapi.exceptions.FastAPIDeprecationWarning")


# -- root_path --------------------------------------------------------------------------------------------------------


def added(root_path: str) -> ASGIApp:
    app = FastAPI(root_path=root_path)
    app.add_middleware(PushMiddleware)
    app.add_middleware(CORSMiddleware)
    return app


def given(root_path: str) -> ASGIApp:
    return FastAPI(root_path=root_path, middleware=[Middleware(CORSMiddleware), Middleware(PushMiddleware)])


def wrapped(root_path: str) -> ASGIApp:
    return PushMiddleware(FastAPI(root_path=root_path))


def wrapped_far_outside(root_path: str) -> ASGIApp:
    return CORSMiddleware(PushMiddleware(CORSMiddleware(FastAPI(root_path=root_path))))


ARRANGEMENTS = [added, given, wrapped, wrapped_far_outside]

# (what the application says of itself, what the server says, the path that the server hands on, whether that is /ws)
PREFIXES = [
    ("", "", "/ws", True),
    ("", "", "/api/ws", False),
    ("", "/api", "/api/ws", True),  # as uvicorn does
    ("", "/api", "/ws", True),  # as hypercorn and others do
    ("", "/api/", "/api/ws", True),
    ("", "/api", "/api/api/ws", False),
    ("", "/api", "/apiws", False),
    ("", "/a/b", "/a/b/ws", True),
    ("", "/a/b", "/b/ws", False),
    ("/api", "", "/api/ws", True),  # behind a proxy that leaves the prefix there
    ("/api", "", "/ws", True),  # and one that takes it away
    ("/api", "", "/api/api/ws", False),
    ("/api", "/api", "/api/ws", True),
    ("/api", "/other", "/api/ws", True),  # FastAPI's own word counts
    ("/api", "/other", "/other/ws", False),
]


@pytest.mark.parametrize("make", ARRANGEMENTS)
@pytest.mark.parametrize(("own", "root_path", "path", "taken"), PREFIXES)
async def test_a_prefix_is_the_same_however_it_was_put_on(
    make: Callable[[str], ASGIApp], own: str, root_path: str, path: str, taken: bool
) -> None:
    """A path is that below root_path, whoever says that: inside of the application, or around it."""
    async with serve(make(own)) as server:
        if taken:
            await server.connect(path, root_path=root_path)
        else:
            with pytest.raises(Refused):
                await server.connect(path, root_path=root_path)


def mounted_with_it() -> ASGIApp:
    return Starlette(routes=[Mount("/sub", Starlette(middleware=[Middleware(PushMiddleware)]))])


def mounted_wrapped() -> ASGIApp:
    return Starlette(routes=[Mount("/sub", PushMiddleware(Starlette()))])


def mounted_in_fastapi() -> ASGIApp:
    app, sub = FastAPI(), FastAPI()
    sub.add_middleware(PushMiddleware)
    app.mount("/sub", sub)
    return app


def mounted_twice() -> ASGIApp:
    return Starlette(routes=[Mount("/s", Router(routes=[Mount("/ub", PushMiddleware(Starlette()))]))])


@pytest.mark.parametrize("make", [mounted_with_it, mounted_wrapped, mounted_in_fastapi, mounted_twice])
@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_a_mounted_application_has_its_paths_below_its_own(make: Callable[[], ASGIApp], root_path: str) -> None:
    """Behind a prefix of the server's, too; and nowhere else."""
    prefix = "/s/ub" if make is mounted_twice else "/sub"
    async with serve(make()) as server:
        await server.connect(f"{root_path}{prefix}/ws", root_path=root_path)
        for path in ("/ws", f"{prefix}{prefix}/ws"):
            with pytest.raises(Refused):
                await server.connect(root_path + path, root_path=root_path)


@contextmanager
def uvicorn_at(app: ASGIApp, root_path: str) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, root_path=root_path, log_level="critical"))
    started = threading.Event()
    startup = server.startup

    async def report(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = report  # type: ignore[method-assign]
    thread = threading.Thread(target=asyncio.run, args=[server.serve()])
    thread.start()
    assert started.wait(PATIENCE)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("make", ARRANGEMENTS)
@pytest.mark.parametrize("own", ["", "/api"])
def test_behind_uvicorn_with_a_root_path(make: Callable[[str], ASGIApp], own: str) -> None:
    """A proxy takes the prefix away and uvicorn puts it there again."""
    with uvicorn_at(make(own), "/api") as port:
        with connect(f"ws://127.0.0.1:{port}/ws"):
            pass
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{port}/api/ws"):
            pass


# -- what is hidden ---------------------------------------------------------------------------------------------------


def router(prefix: str, *paths: str) -> FastAPI:
    app, inner = FastAPI(), APIRouter(prefix=prefix)
    for path in paths:
        inner.add_api_websocket_route(path, talk)
        inner.add_api_route(path, page)
    app.include_router(inner)
    return app


HIDDEN = [
    (Starlette(routes=[WebSocketRoute("/ws", talk)]), {}, ["/ws"]),
    (Starlette(routes=[WebSocketRoute("/ws/{name}", talk)]), {"path": "/ws/{user_id}"}, ["/ws/{user_id}"]),
    (Starlette(routes=[WebSocketRoute("/ws/admin", talk)]), {"path": "/ws/{user_id}"}, ["/ws/{user_id}"]),
    (Starlette(routes=[WebSocketRoute("/connection/websocket", talk)]), {}, ["/connection/websocket"]),
    (Starlette(routes=[Mount("/push", routes=[Route("/health", page)])]), {}, ["/push/health"]),
    (Starlette(routes=[Route("/health", page, methods=["POST"])]), {"http_path": "/"}, ["/health"]),
    (Starlette(routes=[Route("/push/events", page)]), {"sse": True}, ["/push/events"]),
    (router("", "/ws", "/push/health"), {}, ["/ws", "/push/health"]),
    (router("/push", "/api/{verb}"), {"api_key": "k" * 40}, ["/push/api/{method}"]),
    (router("/v1", "/ws"), {"path": "/v1/ws"}, ["/v1/ws"]),
]
NOT_HIDDEN = [
    (Starlette(routes=[WebSocketRoute("/ws/{name}", talk), WebSocketRoute("/other", talk)]), {}),
    (Starlette(routes=[Route("/ws", page)]), {}),  # a page may have the path of a WebSocket
    (Starlette(routes=[Mount("/", StaticFiles(directory="."))]), {}),
    (Starlette(routes=[Route("/{rest:path}", page), WebSocketRoute("/{rest:path}", talk)]), {}),
    (Starlette(routes=[WebSocketRoute("/{room}", talk)]), {}),  # it has all rooms but one
    (Starlette(routes=[Route("/push", page), Route("/push/other", page), Route("/push/events", page)]), {}),
    (Starlette(routes=[Host("ws.example.org", Router(routes=[WebSocketRoute("/ws", talk)]))]), {}),
    (router("/v1", "/ws", "/push/health"), {}),
]


def warnings_of(app: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING, "asgi_push"), TestClient(app):
        return [record.args[1] for record in caplog.records if "which this middleware takes" in record.msg]  # type: ignore[index,misc]


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("app", "options", "hidden"), HIDDEN, ids=range(len(HIDDEN)))
def test_routes_that_it_hides(
    app: Any, options: dict[str, Any], hidden: list[str], inside: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """They are warned of at the start, once, whether it stands inside of the application or around it."""
    assert warnings_of(put_on(app, options, inside=inside), caplog) == hidden


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("app", "options"), NOT_HIDDEN, ids=range(len(NOT_HIDDEN)))
def test_routes_that_it_does_not_hide(
    app: Any, options: dict[str, Any], inside: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Other paths, other kinds of scopes, and routes that take whatever is left."""
    assert warnings_of(put_on(app, options, inside=inside), caplog) == []


def put_on(app: Any, options: dict[str, Any], *, inside: bool) -> Any:
    if not inside:
        return PushMiddleware(app, **options)
    return type(app)(routes=app.routes, middleware=[Middleware(CORSMiddleware), Middleware(PushMiddleware, **options)])


async def test_an_application_without_routes_is_not_looked_at() -> None:
    """One of its own make, whose ``app`` is itself and whose routes are anything."""

    class Odd:
        routes = "none"

        @property
        def app(self) -> Odd:
            return self

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await anyio.lowlevel.checkpoint()

    async with serve(PushMiddleware(Odd())) as server:
        await server.connect("/ws")


@pytest.mark.parametrize(("path", "warned"), [("/ws/{userId}", True), ("/ws/{user}", True), ("/ws/{room}", False)])
def test_a_parameter_that_is_nearly_the_user(path: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Everybody would be anonymous, and nobody is told."""
    with caplog.at_level(logging.WARNING, "asgi_push"):
        PushMiddleware(Starlette(), path=path)
        assert ("names nobody" in caplog.text) is warned
        caplog.clear()
        PushMiddleware(Starlette(), path=path, authenticate=lambda connection: None)
        assert caplog.text == ""
