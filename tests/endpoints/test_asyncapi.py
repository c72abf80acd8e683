"""``GET {http_path}/asyncapi.json``: who may read it, and whose description it is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_push import Messages, Push, PushMiddleware
from asgi_push.asyncapi import describe
from tests.asgi import nothing, pushing, serve

PATH = "/push/asyncapi.json"


async def ask(app: ASGIApp, path: str = PATH, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://shop.test") as client:
        return await client.request(method, path, headers={n.replace("_", "-"): v for n, v in headers.items()})


async def test_off_unless_turned_on() -> None:
    """Without the setting the path is the application's, whatever is declared."""
    async with pushing(messages=Messages(to_user=str)) as (_, server):
        with pytest.raises(AssertionError, match="came through to the application"):
            await ask(server.app)


async def test_it_is_the_description() -> None:
    """For the host and the scheme that were asked, and for nobody to keep."""
    async with pushing(messages=Messages(to_user=str), asyncapi=True, http_path="/live") as (push, server):
        answer = await ask(server.app, "/live/asyncapi.json")
    assert answer.json() == describe(push, server="https://shop.test")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x_api_key": "wrong"}, 401),
        ({"x_api_key": "secret"}, 200),
        ({"authorization": "apikey secret"}, 200),
    ],
)
async def test_key(headers: dict[str, str], status: int) -> None:
    """With an api_key only who has it may read."""
    async with pushing(asyncapi=True, api_key="secret") as (_, server):
        assert (await ask(server.app, **headers)).status_code == status


async def test_other_requests() -> None:
    """Only GET and HEAD; where nobody knows the host, that is the client's fault."""
    async with pushing(asyncapi=True) as (_, server):
        assert (await ask(server.app, method="HEAD")).status_code == 200
        assert (await ask(server.app, method="POST")).status_code == 405
        for host in ("", "[", "a/b?c"):  # some versions of Starlette take the server's name then
            assert (await ask(server.app, host=host)).status_code in (200, 400)
        assert (await ask(without_host(server.app))).status_code == 400


def without_host(app: ASGIApp) -> ASGIApp:
    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "headers": [], "server": None}, receive, send)

    return ask


def around() -> tuple[ASGIApp, Any]:
    app = FastAPI(title="Shop", version="2.1")
    app.root_path = "/api"
    return PushMiddleware(app, asyncapi=True), app


def added() -> tuple[ASGIApp, Any]:
    app = FastAPI(title="Shop", version="2.1")
    app.root_path = "/api"
    app.add_middleware(PushMiddleware, asyncapi=True)
    return app, app


@pytest.mark.parametrize("make", [around, added])
async def test_the_application_names_it(make: Any) -> None:
    """Title, version and prefix are the application's, whether it is inside or outside."""
    app, _ = make()
    async with serve(app):
        found = (await ask(app)).json()
    assert (found["info"]["title"], found["info"]["version"]) == ("Shop", "2.1")
    assert found["servers"]["plain"]["pathname"] == "/api/ws"
    assert found["servers"]["plain"]["host"] == "shop.test"


async def test_declared_names_win() -> None:
    """Those of Messages, where it has some; one path for each middleware."""
    push = Push(asyncapi=True, messages=Messages(title="Live", version="7"))
    inner = PushMiddleware(nothing, push, path="/other")
    async with serve(inner):
        found = (await ask(inner)).json()
    assert (found["info"]["title"], found["info"]["version"]) == ("Live", "7")
    assert found["servers"]["plain"]["pathname"] == "/other"
