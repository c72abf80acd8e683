"""What a run of the fan-out leaves as it was: the order, the bounds, and everybody else."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from asgi_push import Disconnect
from asgi_push.delivery import fanout, writers
from asgi_push.encoding import encode
from asgi_push.messages import Publication
from asgi_push.protocols import plain
from asgi_push.push import core_of
from tests.asgi import pushing, until
from tests.delivery.test_fanout import DirectTransport, hold_for_one_session

MANY = 20  # more than a channel needs for its members to be gone through in a kept list


@pytest.fixture
def _step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run lets others have their turn after each session."""
    hold_for_one_session(monkeypatch)


async def test_who_joins_many_after_a_publication_does_not_get_it() -> None:
    """Though the run that hands it out comes later."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(MANY)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        for number in range(MANY - 1):
            await push.subscribe(str(number), "news")
        await push.publish("news", "before")
        (late,) = push.sessions(str(MANY - 1))
        await core_of(push).hub.membership.subscribe(late, "news")
        await push.publish("news", "after")
        assert [await clients[0].receive(), await clients[0].receive()] == ["before", "after"]
        assert await clients[-1].receive() == "after"
        assert len(transports[-1].written) == 1


@pytest.mark.usefixtures("_step_by_step")
@pytest.mark.parametrize("verb", ["disconnect", "close"])
async def test_a_close_waits_for_the_run_that_has_not_come_to_its_session(verb: str) -> None:
    """What was published before is sent first."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(MANY)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        await push.send_to_all("first")
        while not transports[0].written:
            await anyio.lowlevel.checkpoint()
        assert not transports[-1].written
        if verb == "disconnect":
            await push.disconnect(user=str(MANY - 1))
        else:
            await push.sessions(str(MANY - 1))[0].close()
        messages, closed = await clients[-1].receive_to_close()
        assert (messages, closed.code) == (["first"], Disconnect.FORCE.code)


@pytest.mark.usefixtures("_step_by_step")
async def test_a_close_waits_for_the_next_run_too() -> None:
    """For what was published while one was under way."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(MANY)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        await push.send_to_all("first")
        while not transports[0].written:
            await anyio.lowlevel.checkpoint()
        (session,) = push.sessions(str(MANY - 1))
        await push.send_to_all("second")
        await session.close()
        messages, _ = await clients[-1].receive_to_close()
        assert messages == ["first", "second"]


@pytest.mark.usefixtures("_step_by_step")
async def test_nothing_is_queued_after_a_close() -> None:
    """A session that is closed while a run is under way gets what waits for it, and nothing more of the run."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(MANY)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        (session,) = push.sessions(str(MANY - 1))
        transports[-1].full = True
        clients[-1].block()
        await session.send("queued")
        await clients[-1].blocked()
        await push.send_to_all("first")
        while not transports[0].written:
            await anyio.lowlevel.checkpoint()
        core_of(push).hub.close(session, Disconnect.FORCE)
        await core_of(push).hub.fanout.settled()
        clients[-1].unblock()
        messages, _ = await clients[-1].receive_to_close()
        assert messages == ["queued"]


async def test_a_write_that_fails_ends_one_of_many() -> None:
    """With 1011; the others get what was published."""

    def broken(frames: bytes) -> bool:
        raise RuntimeError("a fault of the server's")

    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(MANY)]
        for number, client in enumerate(clients):
            DirectTransport(push, str(number), client)
        transport: Any = push.sessions("7")[0].io
        transport.write = broken
        await push.send_to_all("x")
        assert (await clients[7].receive_close()).code == 1011
        for client in clients[:7] + clients[8:]:
            assert await client.receive() == "x"


async def test_one_run_fills_half_of_a_queue_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a session that had not yet sent the last one's half never overflows, however fast the publishers are."""
    monkeypatch.setattr(writers, "_SLOW_AFTER", 1000.0)
    monkeypatch.setattr(writers, "_MAX_BACKPRESSURE", 1000.0)
    async with pushing(queue_messages=10) as (push, server), anyio.create_task_group() as tasks:
        client = await server.connect("/ws/alice")
        (session,) = push.sessions("alice")
        client.block()
        for number in range(4):
            await push.send_to_user("alice", number)
            await core_of(push).hub.fanout.settled()

        async def publish() -> None:
            for number in range(4, 30):
                await push.send_to_user("alice", number)

        tasks.start_soon(publish)
        await until(lambda: session.queue is None or session.queue.half_full)
        client.unblock()
        assert [await client.receive() for _ in range(30)] == [str(number) for number in range(30)]


async def test_one_run_takes_half_of_the_bytes_of_a_queue_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in bytes."""
    monkeypatch.setattr(writers, "_SLOW_AFTER", 1000.0)
    monkeypatch.setattr(writers, "_MAX_BACKPRESSURE", 1000.0)
    async with pushing(queue_bytes=10_000) as (push, server), anyio.create_task_group() as tasks:
        client = await server.connect("/ws/alice")
        (session,) = push.sessions("alice")
        client.block()
        for _ in range(4):
            await push.send_to_user("alice", "x" * 1000)
            await core_of(push).hub.fanout.settled()

        async def publish() -> None:
            for _ in range(20):
                await push.send_to_user("alice", "x" * 1000)

        tasks.start_soon(publish)
        await until(lambda: session.queue is None or session.queue.half_full)
        client.unblock()
        assert [await client.receive() for _ in range(24)] == ["x" * 1000] * 24


async def test_those_who_write_at_once_let_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many direct writes in a tick, and the publisher waits for the next."""
    monkeypatch.setattr(fanout, "_AT_ONCE", 4)
    async with pushing() as (push, server), anyio.create_task_group() as tasks:
        clients = [await server.connect(f"/ws/{number}") for number in range(10)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        written_before: list[int] = []

        async def another() -> None:
            written_before.append(sum(len(transport.written) for transport in transports))

        tasks.start_soon(another)
        for number in range(10):
            await push.send_to_user(str(number), "x")
        assert written_before[0] <= 4
        for client in clients:
            assert await client.receive() == "x"


@pytest.mark.usefixtures("_step_by_step")
async def test_who_leaves_while_a_run_is_under_way_gets_nothing_more_of_it() -> None:
    """Once it has left it is told nothing of the channel; the others are."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(4)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        for number in range(4):
            await push.subscribe(str(number), "news")
        await push.publish("news", "of the channel")
        await push.send_to_all("for all")
        while not transports[0].written:
            await anyio.lowlevel.checkpoint()
        assert not transports[-1].written
        core_of(push).hub.membership.unsubscribe(push.sessions("3")[0], "news")
        for client in clients[:-1]:
            assert [await client.receive(), await client.receive()] == ["of the channel", "for all"]
        assert await clients[-1].receive() == "for all"


async def test_nothing_is_written_to_a_session_that_has_ended() -> None:
    """Its transport stays held when its queue is done with."""
    async with pushing() as (push, server):
        client = await server.connect("/ws/alice")
        transport = DirectTransport(push, "alice", client)
        (session,) = push.sessions()
        await session.close()
        assert (await client.receive_close()).code == Disconnect.FORCE.code
        await until(lambda: session.queue is None)
        assert transport.held


async def test_who_waits_for_room_waits_until_half_of_the_queue_is_free() -> None:
    """And not until all of it is."""
    async with pushing(queue_messages=10) as (push, server), anyio.create_task_group() as tasks:
        client = await server.connect("/ws/alice")
        (session,) = push.sessions()
        went_on: list[int] = []

        async def wait() -> None:
            await core_of(push).hub.wait_capacity(session)
            went_on.append(len(session.queue) if session.queue is not None else 0)

        client.block()
        for number in range(9):
            core_of(push).hub.send_wire(session, plain.CODEC.encode(Publication("", encode(str(number)))))
        await client.blocked()
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert went_on == []
        while not went_on:
            client.unblock()
            client.block()
            await client.blocked()
            await anyio.wait_all_tasks_blocked()
        assert 0 < went_on[0] <= 5
        client.unblock()
