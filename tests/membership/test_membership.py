"""Who is in a channel: one session, or all of a user's."""

from __future__ import annotations

import pytest

from asgi_push.connection import Connection
from tests.asgi import pushing

pytestmark = pytest.mark.anyio


async def test_one_session_is_subscribed_alone() -> None:
    """An anonymous one, too, and the others of its user are not."""
    async with pushing() as (push, server):
        first = await server.connect("/ws/ann")
        second = await server.connect("/ws/ann")
        one, other = push.sessions(user="ann")
        assert await one.subscribe("news")
        assert await one.subscribe("news")  # twice is no error
        assert (one in push.sessions(channel="news"), other in push.sessions(channel="news")) == (True, False)
        await push.publish("news", "to one")
        await push.send_to_user("ann", "to both")
        assert [await first.receive(), await first.receive()] == ["to one", "to both"]
        assert await second.receive() == "to both"


async def test_an_anonymous_session_is_subscribed() -> None:
    """Nobody can name it by a user."""
    async with pushing(path="/ws") as (push, server):
        page = await server.connect("/ws")
        (session,) = push.sessions()
        assert session.user == ""
        assert await session.subscribe("news")
        await push.publish("news", "1")
        assert await session.unsubscribe("news")
        assert not await session.unsubscribe("news")
        await push.publish("news", "2")
        await session.send("last")
        assert [await page.receive(), await page.receive()] == ["1", "last"]


async def test_a_session_that_cannot_be_subscribed_says_so() -> None:
    """It has max_channels, or has ended; own channels are an error of the caller."""
    async with pushing(max_channels=1) as (push, server):
        await server.connect("/ws/ann")
        (session,) = push.sessions()
        assert await session.subscribe("a")
        assert not await session.subscribe("b")
        for name in ("*", "#ann", ""):
            with pytest.raises(ValueError, match="channel"):
                await session.subscribe(name)
            with pytest.raises(ValueError, match="channel"):
                await session.unsubscribe(name)
        await session.close()
        assert not await session.subscribe("a")
        assert not await session.unsubscribe("a")


async def test_how_many_sessions_were_reached() -> None:
    """Those in the channel after a subscribe, those that were in it before an unsubscribe."""
    async with pushing(max_channels=1) as (push, server):
        for _ in range(3):
            await server.connect("/ws/ann")
        assert await push.sessions()[0].subscribe("other")
        assert await push.subscribe("ann", "news") == 2
        assert await push.subscribe("nobody", "news") == 0
        assert await push.unsubscribe("ann", "other") == 1
        assert await push.unsubscribe("ann", "news") == 2


async def test_notes_are_the_sessions_own() -> None:
    """A dictionary for each, which costs nothing until it is used."""
    async with pushing() as (push, server):
        await server.connect("/ws/ann")
        await server.connect("/ws/ann")
        one, other = push.sessions()
        assert isinstance(one, Connection)
        assert one._data is None
        one.data["page"] = 7
        assert (one.data, other.data) == ({"page": 7}, {})
