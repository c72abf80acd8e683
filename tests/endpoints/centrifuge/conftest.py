from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.endpoints.centrifuge import clients
from tests.endpoints.centrifuge.clients import KINDS, Client, Desk, PageDriver
from tests.servers import Serve, Server

APP = "tests.endpoints.centrifuge.apps:client_app"


@pytest.fixture(scope="session")
def server(serve: Serve) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    clients.install()
    with serve(APP) as server:
        yield server


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[httpx.Client]:
    """What the application is asked to do."""
    with httpx.Client(base_url=server.http) as client:
        yield client


OpenClient = Callable[..., Client]  # open_client(kind, *tokens, url=..., **limits)


@pytest.fixture(scope="session")
def _desk_of(request: pytest.FixtureRequest, server: Server) -> Iterator[Callable[[str], Desk]]:
    """The drivers, each started on first need."""
    desks: dict[str, Desk] = {}
    with ExitStack() as stack:

        def make(name: str) -> Any:
            match name:
                case "node":
                    return stack.enter_context(clients.node_driver())
                case "python":
                    return stack.enter_context(clients.python_driver())
            browser: Browser = request.getfixturevalue("chromium")
            thread: ThreadPoolExecutor = request.getfixturevalue("browser_thread")
            page = thread.submit(browser.new_page).result()
            # The browser, which came after this fixture, closes it before this one ends.
            thread.submit(page.goto, f"{server.http}/page").result()
            thread.submit(page.wait_for_function, "() => Boolean(window.obey)").result()
            return PageDriver(page, thread)

        def get(kind: str) -> Desk:
            name = kind.partition("-")[0]
            if name not in desks:
                desks[name] = Desk(make(name))
            return desks[name]

        yield get


@pytest.fixture
def open_client(server: Server, _desk_of: Callable[[str], Desk]) -> Iterator[OpenClient]:
    """``open_client(kind, *tokens, url=server.ws)`` gives an SDK client that is not connected yet."""
    opened: list[Client] = []

    def open_one(kind: str, *tokens: str, url: str = server.ws, **limits: float) -> Client:
        opened.append(Client(kind, _desk_of(kind), url, list(tokens), **limits))
        return opened[-1]

    yield open_one
    for client in opened:
        client.do("disconnect")


@pytest.fixture(params=KINDS)
def client_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["json", "protobuf"])
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)
