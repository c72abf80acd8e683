"""What a connection is refused for without the application: that is not asked anything about it."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import HTTPConnection

from asgi_push import Push, PushMiddleware, Session
from tests.asgi import PATIENCE, Refused, Server, nothing, pushing, serve
from tests.endpoints.centrifuge.clients import SDK_PATH
from tests.endpoints.centrifuge.peers import Peer


class Asked:
    """An application that counts what it is asked."""

    def __init__(self) -> None:
        self.who: list[str] = []
        self.may: list[str] = []

    async def authenticate(self, connection: HTTPConnection) -> str:
        self.who.append(connection.headers.get("x-user", "alice"))
        return self.who[-1]

    async def authorize(self, session: Session, channel: str, action: str) -> bool:
        self.may.append(channel)
        return True

    @property
    def options(self) -> dict[str, Any]:
        return {"authenticate": self.authenticate, "authorize": self.authorize}


async def plain(server: Server, url: str) -> int:
    """Return the status with which a WebSocket is refused."""
    with pytest.raises(Refused) as caught:
        await server.connect(url)
    return caught.value.status


async def events(server: Server, query: str) -> int:
    """Return the status with which an event stream is refused."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://h") as client:
        return (await client.get(f"/push/events?{query}")).status_code


MANY = "channels=" + ",".join(f"c{number}" for number in range(128))


async def test_max_sessions_is_looked_at_first() -> None:
    """Where the server is full neither who it is nor what it may have is asked, on any endpoint."""
    asked = Asked()
    push = Push(path="/ws", sse=True, max_sessions=1, **asked.options)
    async with serve(PushMiddleware(nothing, push)) as server:
        await server.connect("/ws")
        asked.who.clear()
        assert await plain(server, f"/ws?{MANY}") == 503
        assert await events(server, MANY) == 503
        peer = Peer(await server.connect(SDK_PATH), "json")
        peer.say({"id": 1, "connect": {}})
        assert await peer.closed() == 3013
        assert (asked.who, asked.may) == ([], [])


async def test_a_users_limit_is_looked_at_once_the_user_is_known() -> None:
    """So nobody is asked what the session may have."""
    asked = Asked()
    push = Push(path="/ws", sse=True, max_sessions_per_user=1, **asked.options)
    async with serve(PushMiddleware(nothing, push)) as server:
        await server.connect("/ws")
        assert await plain(server, f"/ws?{MANY}") == 429
        assert await events(server, MANY) == 429
        assert asked.may == []
        assert len(push.sessions()) == 1


@pytest.mark.parametrize("channels", [MANY + ",more", "channels=" + "x" * 256])
async def test_channels_that_cannot_be_are_refused_first(channels: str) -> None:
    """Too many of them, or names that none can have."""
    asked = Asked()
    push = Push(path="/ws", sse=True, **asked.options)
    async with serve(PushMiddleware(nothing, push)) as server:
        assert await plain(server, f"/ws?{channels}") == 403
        assert await events(server, channels) == 403
        assert (asked.who, asked.may) == ([], [])


async def test_another_ones_path_is_refused_before_its_channels_are_asked_for() -> None:
    """Who it is has to be known for that, and no more."""
    asked = Asked()
    async with pushing(path="/ws/{user_id}", **asked.options) as (_, server):
        assert await plain(server, f"/ws/bob?{MANY}") == 403
        assert (asked.who, asked.may) == (["alice"], [])


async def test_an_sdk_client_with_all_its_channels_is_not_asked_for() -> None:
    """Nor one that has the channel already, nor a publication of nothing."""
    asked = Asked()
    async with pushing(max_channels=1, **asked.options) as (_, server):
        peer = Peer(await server.connect(SDK_PATH), "json")
        assert "connect" in await peer.ask("connect")
        assert "subscribe" in await peer.ask("subscribe", channel="a")
        asked.may.clear()
        assert await peer.error("subscribe", channel="a") == 105
        assert await peer.error("subscribe", channel="b") == 106
        assert await peer.error("publish", channel="a") == 107
        assert asked.may == []


@pytest.mark.parametrize("fails", ["authenticate", "authorize", "leaves"])
async def test_who_is_refused_later_gives_its_place_back(fails: str) -> None:
    """Whatever the application says, and if the client leaves while it thinks."""
    thinks = anyio.Event()

    async def authenticate(connection: HTTPConnection) -> str:
        if connection.headers.get("x-last"):
            return "alice"
        if fails == "leaves":
            thinks.set()
            await anyio.sleep_forever()
        if fails == "authenticate":
            raise LookupError
        return "alice"

    def authorize(*args: Any) -> bool:
        raise LookupError

    options = {"max_sessions": 1, "max_sessions_per_user": 1, "authenticate": authenticate, "authorize": authorize}
    async with pushing(path="/ws", **options) as (push, server):
        if fails == "leaves":
            leaving = server.begin("/ws")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leaving.open)
                with anyio.fail_after(PATIENCE):
                    await thinks.wait()
                assert await plain(server, "/ws") == 503  # it has the only place for as long as it is thought about
                leaving.cancel()
                await leaving.finished.wait()
                tasks.cancel_scope.cancel()
        else:
            assert await plain(server, "/ws?channels=news") == 500
        await server.connect("/ws", headers={"x-last": "1"})
        assert len(push.sessions()) == 1
