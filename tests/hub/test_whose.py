"""Whose a session is does not depend on the channels that it is in, in one process and over several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from asgi_push import ChannelOptions, Credentials, Disconnect, Push
from tests.asgi import Closed, Server, pushing, until, until_answer
from tests.endpoints.centrifuge.peers import Peer
from tests.servers import Server as RedisServer

PRESENCE = {"": ChannelOptions(presence=True)}


def who(connection: HTTPConnection) -> Credentials:
    """Bob is given alice's channel, too."""
    user = connection.headers["x-user"]
    return Credentials(user, channels=("#alice",) if user == "bob" else ())


async def hidden(server: Server, user: str) -> Peer:
    """Return an SDK client that has left its own user's channel."""
    peer = Peer(await server.connect("/connection/websocket", headers={"x-user": user}), "json")
    assert "connect" in await peer.ask("connect")
    assert "unsubscribe" in await peer.ask("unsubscribe", channel=f"#{user}")
    return peer


async def number_in(push: Push, channel: str) -> int:
    """Return how many sessions are in a channel."""
    return len(await push.presence(channel))


async def told(peer: Peer) -> dict[str, Any]:
    """Return what a peer is told next. It gives a sign of life whenever it is asked for one in between."""
    while not (heard := await peer.hear()):
        peer.say({})
    return heard


@pytest.fixture(params=["memory-asyncio", "memory-trio", "redis-asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(kind: str) -> str:
    return kind.rpartition("-")[2]


@asynccontextmanager
async def processes(
    kind: str, request: pytest.FixtureRequest, **options: Any
) -> AsyncIterator[tuple[Push, Server, Push]]:
    """A Push with its server, and one that asks: in another process, where they share a Redis."""
    options |= {"authenticate": who, "namespaces": PRESENCE}
    if kind.startswith("memory"):
        async with pushing(**options) as (push, server):
            yield push, server, push
        return
    redis: RedisServer = request.getfixturevalue("redis")
    options |= {"broker": redis.redis, "redis_prefix": f"whose-{request.node.name}"}
    async with pushing(**options) as (push, server), Push(**options) as other:
        yield push, server, other


async def test_a_session_that_left_its_users_channel_is_still_the_users(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """It is online, in presence, found by its user, reached by verbs, and its user's only one where one is allowed."""
    async with processes(kind, request, max_sessions_per_user=1) as (push, server, other):
        peer = await hidden(server, "alice")
        (session,) = push.sessions()
        assert push.sessions("alice") == [session]
        assert push.sessions("alice", "*") == [session]
        assert push.sessions("alice", "#alice") == []
        assert await other.is_online("alice")
        assert list(await other.presence("#alice")) == [session.id]
        second = Peer(await server.connect("/connection/websocket", headers={"x-user": "alice"}), "json")
        second.say({"id": 1, "connect": {}})
        assert await second.closed() == Disconnect.OVERLOADED.code
        assert await peer.hear() == {}  # it is asked for a sign of life, as somebody wants its place
        peer.say({})
        await other.subscribe("alice", "news")
        assert "subscribe" in (await told(peer))["push"]
        await other.disconnect("alice")
        with pytest.raises(Closed) as closed:
            await told(peer)
        assert closed.value.code == Disconnect.FORCE.code
        assert push.sessions() == []
        await until_answer(lambda: other.is_online("alice"), False)
        assert not await other.presence("#alice")


async def test_an_sdk_client_is_its_user_for_all(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its user is online, and in presence, until it leaves; no renewal is needed for that."""
    monkeypatch.setattr("asgi_push.brokers.redis.presence._RENEW_EVERY", 3600.0)
    async with processes(kind, request) as (push, server, other):
        peer = Peer(await server.connect("/connection/websocket", headers={"x-user": "alice"}), "json")
        assert "connect" in await peer.ask("connect")
        await until_answer(lambda: other.is_online("alice"), True)
        assert list(await other.presence("#alice")) == [session.id for session in push.sessions()]
        peer.client.close()
        await until_answer(lambda: other.is_online("alice"), False)


async def test_who_is_given_a_users_channel_is_not_the_user(kind: str, request: pytest.FixtureRequest) -> None:
    """It gets what the user gets, and counts for nothing else of the user's."""
    async with processes(kind, request, max_sessions_per_user=1, when_exceeded="replace") as (push, server, other):
        bob = await server.connect("/ws/bob", headers={"x-user": "bob"})
        await push.send_to_user("alice", "for alice")
        assert await bob.receive() == "for alice"
        assert not await other.is_online("alice")
        assert not await other.presence("#alice")
        await server.connect("/ws/alice", headers={"x-user": "alice"})
        assert [session.user for session in push.sessions()] == ["bob", "alice"]
        await other.disconnect("alice")
        await until(lambda: [session.user for session in push.sessions()] == ["bob"])
        await until_answer(lambda: other.is_online("bob"), True)


async def test_replacing_finds_who_left_its_users_channel(kind: str, request: pytest.FixtureRequest) -> None:
    """The user's oldest session goes, whatever it is subscribed to."""
    async with processes(kind, request, max_sessions_per_user=1, when_exceeded="replace") as (push, server, other):
        first = await hidden(server, "alice")
        second = await hidden(server, "alice")
        assert await first.closed() == Disconnect.CONNECTION_LIMIT.code
        assert len(push.sessions("alice")) == 1
        await until_answer(lambda: number_in(other, "#alice"), 1)
        second.client.close()
        await until(lambda: not push.sessions())
