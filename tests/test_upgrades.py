"""HTTP on the path of a WebSocket: told what it is, unless the application has a page there."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asgi_push import PushMiddleware
from tests.servers import Serve


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page")


async def none(request: Request) -> PlainTextResponse:
    return PlainTextResponse("no such order", 404)


def client_of(routes: Sequence[BaseRoute] = (), *, path: str = "/ws/{user_id}") -> TestClient:
    return TestClient(PushMiddleware(Starlette(routes=routes), path=path))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/ws/11", "/connection/websocket"])
def test_it_is_told_what_is_there(method: str, path: str) -> None:
    """426 with the header that this status must have, and a sentence; once, and nothing behind it."""
    answer = client_of().request(method, path)
    assert answer.status_code == 426
    assert (answer.headers["upgrade"], answer.headers["connection"]) == ("websocket", "Upgrade")
    assert answer.text.count("new WebSocket(url)") == 1
    assert "Not Found" not in answer.text


@pytest.mark.parametrize("route", [Route("/ws/{name}", page), Mount("/ws", routes=[Route("/11", page)])])
def test_a_page_of_the_application_stays(route: BaseRoute) -> None:
    """A page may have the path of a WebSocket."""
    assert client_of([route]).get("/ws/11").text == "page"


def test_other_answers_of_the_application_stay() -> None:
    """Its 404 for another path, and its 405 for this one."""
    client = client_of([Route("/orders", none), Route("/ws/{name}", page, methods=["POST"])])
    assert (client.get("/orders").status_code, client.get("/orders").text) == (404, "no such order")
    assert client.get("/nothing").status_code == 404
    assert client.get("/ws/11").status_code == 405


def test_a_path_that_takes_all_leaves_pages_alone() -> None:
    """With it every missing page would be called a WebSocket."""
    assert client_of(path="/{rest:path}").get("/favicon.ico").status_code == 404


def test_other_versions_of_http_have_no_such_header() -> None:
    """HTTP/2 forbids it."""
    scope = {"type": "http", "method": "GET", "path": "/ws/1", "headers": [], "http_version": "2"}
    app = PushMiddleware(Starlette(), path="/ws/{user_id}")

    async def as_http2(_scope: object, receive: object, send: object) -> None:
        await app(scope, receive, send)  # type: ignore[arg-type]

    answer = TestClient(as_http2).get("/ws/1")
    assert answer.status_code == 426
    assert not {"upgrade", "connection"} & set(answer.headers)


def test_a_proxy_that_takes_the_upgrade_away(caplog: pytest.LogCaptureFixture) -> None:
    """The log says so once, and the application's page at this path is not given for a WebSocket."""
    client = client_of([Route("/ws/{name}", page)])
    with caplog.at_level(logging.WARNING, "asgi_push"):
        for _ in range(2):
            answer = client.get("/ws/11", headers={"Sec-WebSocket-Key": "x"})
            assert answer.status_code == 426
            assert "proxy" in answer.text
    assert caplog.text.count("without the header Upgrade") == 1


def test_a_server_without_websockets(serve: Serve) -> None:
    """As uvicorn is installed alone: the log says once what to install."""
    with serve("examples.bell.app:app", args=["--ws", "none"]) as server:
        for _ in range(2):
            with pytest.raises(InvalidStatus, match="426"):
                connect(f"{server.ws}/connection/websocket")
        assert httpx.get(f"{server.http}/connection/websocket").status_code == 426
        assert server.log().count("pip install 'websockets>=15'") == 1
