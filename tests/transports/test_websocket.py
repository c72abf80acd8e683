"""A session over a WebSocket, from its first message to its end."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_push import Disconnect, Session
from tests.asgi import pushing, until


@pytest.mark.parametrize(
    ("event", "disconnect"),
    [
        ({"code": 1001, "reason": ""}, (1001, None)),
        ({"code": 4005, "reason": "bye"}, (4005, "bye")),
        ({"code": 1006}, (1006, None)),
        ({"code": None, "reason": None}, (1006, None)),
        ({}, (1006, None)),
    ],
)
async def test_what_the_peer_said_is_told(event: dict[str, Any], disconnect: tuple[int, str | None]) -> None:
    """on_disconnect gets the peer's code and reason as far as the server knows them, and some words otherwise."""
    ends: list[Disconnect] = []
    async with pushing(on_disconnect=lambda _, disconnect: ends.append(disconnect)) as (_, server):
        client = await server.connect("/ws/alice")
        client._in.put({"type": "websocket.disconnect", **event})
        await client.ended()
        await until(lambda: ends)
        code, reason = disconnect
        assert ends[0].code == code
        assert ends[0].reason == reason if reason else ends[0].reason


async def test_a_server_that_cancels_ends_the_session() -> None:
    """Some do when they shut down."""
    ends: list[Disconnect] = []
    async with pushing(on_disconnect=lambda _, disconnect: ends.append(disconnect)) as (push, server):
        client = await server.connect("/ws/alice")
        client.cancel()
        await client.ended()
        assert push.sessions() == []
        await until(lambda: ends == [Disconnect.SHUTDOWN])


async def test_a_receive_that_raises_ends_its_session_only(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a server does there, the other sessions go on."""
    async with pushing() as (push, server):
        bad, good = await server.connect("/ws/bad"), await server.connect("/ws/good")
        bad._in.put(None)  # no message at all
        await bad.ended()
        await push.send_to_all("x")
        assert await good.receive() == "x"
    assert "failed" in caplog.text


async def test_receive_is_not_called_after_the_disconnect() -> None:
    """Servers hang there, or lie."""
    async with pushing() as (_, server):
        client = await server.connect("/ws/alice")
        client.close()
        client.send("from beyond")
        await client.ended()
        assert len(client._in.items) == 1


async def test_the_app_returns_once_it_has_closed() -> None:
    """It waits for no answer of the peer, which may never come."""
    async with pushing() as (push, server):
        client = await server.connect("/ws/alice")
        await push.disconnect("alice")
        await client.ended()
        assert (await client.receive_close()).code == Disconnect.FORCE.code


async def test_accept_carries_no_headers() -> None:
    """Two of the servers drop them."""
    async with pushing() as (_, server):
        client = await server.connect("/ws/alice")
        assert client.accepted == {"type": "websocket.accept", "subprotocol": None}


async def test_every_session_has_its_own_id() -> None:
    """Also those of one user on one address."""
    ids = set()
    sessions: list[Session] = []
    async with pushing(on_connect=sessions.append) as (_, server):
        for _ in range(20):
            await server.connect("/ws/alice")
        await until(lambda: len(sessions) == 20)
        ids = {session.id for session in sessions}
    assert len(ids) == 20
