"""A session whose peer has silently gone costs nobody a place for long."""

from __future__ import annotations

import json
from typing import Any

import anyio

from tests.asgi import PATIENCE, Client, Server, pushing, until

SDK = "/connection/websocket"
# The server pings by itself long after the test.
SETTINGS: Any = {"max_sessions_per_user": 1, "ping_interval": 3600, "pong_timeout": 0.3}


async def connect(server: Server) -> Client:
    client = await server.connect(SDK)
    client.send('{"id": 1, "connect": {}}')
    return client


async def test_a_session_without_a_peer_gives_its_place_to_who_comes_back() -> None:
    """It is pinged when one more is refused, and closed as it does not answer; the refused one is let in then."""
    async with pushing(authenticate=lambda connection: "11", **SETTINGS) as (push, server):
        gone = await connect(server)
        assert "connect" in json.loads(await gone.receive())
        refused = await connect(server)
        assert (await refused.receive_close()).code == 3013
        assert await gone.receive() == "{}"
        assert (await gone.receive_close()).code == 3012
        gone.close()
        await until(lambda: not push.sessions())
        client = await connect(server)
        assert "connect" in json.loads(await client.receive())


async def test_who_answers_stays() -> None:
    """However often others are refused."""
    settings = SETTINGS | {"pong_timeout": PATIENCE}
    async with pushing(authenticate=lambda connection: "11", **settings) as (push, server):
        client = await connect(server)
        assert "connect" in json.loads(await client.receive())
        for _ in range(3):
            refused = await connect(server)
            assert (await refused.receive_close()).code == 3013
            with anyio.fail_after(PATIENCE):
                assert await client.receive() == "{}"
            client.send("{}")
            await until(lambda: push.sessions()[0].heartbeat.round_trip is not None)
        assert len(push.sessions()) == 1
