"""One life of an application leaves nothing to the next, however it ended: a module-level one has many in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from asgi_push import ChannelOptions, Push, PushMiddleware
from asgi_push.push import core_of
from tests.asgi import serve

KEY = "shipped-7"


async def observe(push: Push) -> dict[str, Any]:
    """All that a life can see of the ones before, and then leave something for the next."""
    seen = {
        "sessions": len(push.sessions()),
        "kept": len((await push.history("news")).publications),
        "offset": (await push.history("news")).position.offset,
        "present": await push.presence("news"),
        "online": await push.is_online("alice"),
        "counted": sum(core_of(push).hub.counters.connects.values()) + core_of(push).hub.counters.publications,
        "accepting": core_of(push).hub.accepting,
    }
    result = await push.publish("news", {"order": 7}, idempotency_key=KEY)
    assert result.position
    return seen | {"published as": result.position.offset}


NEW = {
    "sessions": 0, "kept": 0, "offset": 0, "present": {}, "online": False, "counted": 0, "accepting": True,
    "published as": 1,
}  # fmt: skip


def make() -> Push:
    return Push(path="/ws/{user_id}", namespaces={"": ChannelOptions(presence=True)})


async def leave_a_session(push: Push) -> None:
    """Somebody was connected, in a channel, and the server drained."""
    async with serve(PushMiddleware(Starlette(), push)) as server:
        await server.connect("/ws/alice")
        await push.subscribe("alice", "news")
        await push.publish("news", 1)
        await push.drain(over=0)


async def test_a_stop_forgets() -> None:
    """The next start has no session, history, presence, idempotency key, number or drain of the last one."""
    push = make()
    for _ in range(2):
        async with push:
            assert await observe(push) == NEW
        await leave_a_session(push)


class Shop:
    """An application as it stands in a module, which answers with what it sees."""

    def __init__(self) -> None:
        self.push = make()
        self.app = Starlette(routes=[Route("/", self.look)])
        self.app.add_middleware(PushMiddleware, push=self.push)

    async def look(self, request: Request) -> JSONResponse:
        return JSONResponse(await observe(self.push))


def test_each_test_client_begins_anew() -> None:
    """Several clients of one application after each other are tests that know nothing of each other."""
    shop = Shop()
    for _ in range(3):
        with TestClient(shop.app) as client:
            assert client.get("/").json() == NEW
            with client.websocket_connect("/ws/alice"):
                assert client.get("/").json()["kept"] == 1


def test_a_client_that_is_not_entered_begins_anew() -> None:
    """Each of its requests is an event loop of its own, which ends without a stop."""
    shop = Shop()
    for _ in range(2):
        assert TestClient(shop.app).get("/").json() == NEW


Life = Coroutine[Any, Any, dict[str, Any]]


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop that says nothing of the tasks it leaves: asyncio would, at the end of all tests."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    return loop


def closed(life: Life) -> dict[str, Any]:
    loop = new_loop()
    try:
        return loop.run_until_complete(life)
    finally:
        loop.close()


def left(life: Life) -> dict[str, Any]:
    return new_loop().run_until_complete(life)


def left_in_a_thread(life: Life) -> dict[str, Any]:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(left, life).result()


@pytest.mark.parametrize("run", [asyncio.run, closed, left, left_in_a_thread])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tasks that nobody ends
def test_an_event_loop_that_ended_without_a_stop(run: Callable[[Life], dict[str, Any]]) -> None:
    """Cancelled, closed or just left: the next one begins anew, and what is published there arrives."""
    push = make()
    for _ in range(2):
        assert run(one_life(push)) == NEW
        assert not push.running


async def one_life(push: Push) -> dict[str, Any]:
    await push.start()
    seen = await observe(push)
    scope = {"type": "websocket", "path": "/ws/alice", "headers": [], "query_string": b""}
    came, sent = asyncio.Queue[Any](), asyncio.Queue[Any]()
    await came.put({"type": "websocket.connect"})
    task = asyncio.ensure_future(PushMiddleware(Starlette(), push)(scope, came.get, sent.put))
    assert (await sent.get())["type"] == "websocket.accept"
    await push.send_to_user("alice", "hello")
    assert (await sent.get())["text"] == "hello"
    assert not task.done()
    return seen
