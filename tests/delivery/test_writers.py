"""The ordinary path: many sends, and the event loop belongs to others too."""

from __future__ import annotations

import asyncio
import math
import time

import anyio
import pytest

from asgi_push.delivery import writers
from asgi_push.encoding import encode
from asgi_push.messages import Publication
from asgi_push.protocols import plain
from asgi_push.push import core_of
from asgi_push.runtime.event_loop import on_trio
from tests.asgi import Client, Clock, pushing, until


def arrived(clients: list[Client]) -> int:
    return sum(len(client.waiting) for client in clients)


async def test_all_writers_together_have_one_time_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them wait to go on: also those whose sends had to wait and could go on all at once."""
    monkeypatch.setattr(writers, "_HOLD", -1.0)
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(30)]
        stuck = clients[:10]
        for client in stuck:
            client.block()
        await push.send_to_all(0)
        for client in stuck:
            await client.blocked()
        for number in range(1, 5):
            await push.send_to_all(number)
        for client in stuck:
            client.unblock()
        await anyio.lowlevel.checkpoint()  # those ten sends are the server's
        before, most = arrived(clients), 0
        while before < 150:
            await anyio.lowlevel.checkpoint()
            now = arrived(clients)
            before, most = now, max(most, now - before)
        assert most <= 12
        for client in clients:
            assert [await client.receive() for _ in range(5)] == [str(number) for number in range(5)]


async def test_publishers_wait_for_the_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns that writers leave to others are not there to fill the queues of sessions that take all they get."""
    monkeypatch.setattr(writers, "_HOLD", -1.0)
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(30)]
        longest = 0
        for number in range(60):
            await push.send_to_all(number)
            longest = max([longest, *(len(session.queue) for session in push.sessions() if session.queue is not None)])
            await anyio.lowlevel.checkpoint()
        for client in clients:
            assert [await client.receive() for _ in range(60)] == [str(number) for number in range(60)]
        assert longest < 10


async def test_a_cancellation_out_of_send_means_that_the_peer_is_gone() -> None:
    """As where a server waits in ``send`` for something that it cancels itself; nobody else is held up."""
    if on_trio():
        pytest.skip("trio cancels nothing but what was asked to end")
    async with pushing() as (push, server):
        gone, other = await server.connect("/ws/gone"), await server.connect("/ws/other")
        gone.fail(asyncio.CancelledError())  # type: ignore[arg-type]
        await push.send_to_all("x")
        assert await other.receive() == "x"
        await until(lambda: [session.user for session in push.sessions()] == ["other"])
        await push.send_to_all("y")
        assert await other.receive() == "y"


async def test_a_writer_that_was_cancelled_serves_nobody_any_more() -> None:
    """One whose time was over just as its send ended: the next session has another writer, and so has each after it."""
    async with pushing(send_timeout=10) as (push, server):
        slow, other = await server.connect("/ws/slow"), await server.connect("/ws/other")
        slow.block()
        await push.send_to_user("slow", "x")
        await slow.blocked()
        (writer,) = core_of(push).hub._writers._working
        core_of(push).hub._writers._until = math.inf  # it goes on at once
        slow.unblock()
        core_of(push).hub._writers.check(writer, time.monotonic() + 1000)
        (session,) = push.sessions("other")
        other.block()
        core_of(push).hub.send_wire(session, plain.CODEC.encode(Publication("", encode("first"))))
        await slow.ended()
        await other.blocked()
        other.unblock()
        assert await other.receive() == "first"
        core_of(push).hub._writers._until = 0.0
        for number in range(3):
            await push.send_to_user("other", number)
            assert await other.receive() == str(number)


async def test_the_writers_own_rest_is_not_the_peers_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose peer has taken all is not ended for the time in which others have their turn."""
    clock = Clock(monkeypatch)
    async with pushing(send_timeout=10) as (push, server):
        client = await server.connect("/ws/alice")
        (session,) = push.sessions()
        sends = core_of(push).hub._writers
        client.block()
        await push.send_to_user("alice", 0)
        await client.blocked()
        await push.send_to_user("alice", 1)
        async with sends._rest:
            sends._until = 0.0
            client.unblock()
            await until(lambda: sends._resting)
            await clock.advance(push, 11)
            assert push.sessions() == [session]
        assert [await client.receive(), await client.receive()] == ["0", "1"]
