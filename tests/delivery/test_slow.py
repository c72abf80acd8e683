"""Peers that read slowly, or not at all: bounded, dropped or ended, and nobody else's trouble."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from asgi_push import Disconnect, Push, Session
from asgi_push.delivery import writers
from asgi_push.hub import hub
from asgi_push.push import core_of
from asgi_push.sendqueue import MAX_URGENT
from tests.asgi import PATIENCE, Client, Clock, Server, pushing, until


async def blocked_client(push: Push, server: Server, user: str = "slow") -> tuple[Client, Session]:
    """A client whose peer has stopped reading, while a first message was on its way."""
    client = await server.connect(f"/ws/{user}")
    (session,) = push.sessions(user)
    client.block()
    await session.send("first")
    await client.blocked()
    return client, session


@pytest.mark.usefixtures("patient_with_slow")
async def test_a_slow_consumer_is_disconnected() -> None:
    """What waits for it is thrown away, and it is told 1013 once it reads again; nobody else is touched."""
    async with pushing(queue_messages=10, send_timeout=PATIENCE) as (push, server):
        slow, session = await blocked_client(push, server)
        healthy = await server.connect("/ws/healthy")
        for number in range(50):
            await push.send_to_all(number)
        assert [await healthy.receive() for _ in range(50)] == [str(number) for number in range(50)]
        assert push.sessions("slow") == []
        assert session.disconnect == Disconnect.SLOW
        slow.unblock()
        messages, closed = await slow.receive_to_close()
        assert (messages, closed.code) == (["first"], 1013)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("drop_oldest", ["first", "16", "17", "18", "19"]), ("drop_newest", ["first", "0", "1", "2", "3"])],
)
async def test_what_is_dropped_is_counted(policy: str, kept: list[str]) -> None:
    """With either policy the session stays, with what the policy keeps, and says how much it lost."""
    async with pushing(queue_messages=5, slow_consumer=policy) as (push, server):
        client, session = await blocked_client(push, server)
        for number in range(20):
            await push.send_to_user("slow", number)
        await until(lambda: session.dropped == 16)
        client.unblock()
        assert [await client.receive() for _ in kept] == kept
        await push.send_to_user("slow", "more")
        assert await client.receive() == "more"
        assert session.dropped == 16


async def test_bytes_are_bounded_too() -> None:
    """A few large messages fill a queue as well as many small ones do."""
    async with pushing(queue_bytes=1000) as (push, server):
        _, session = await blocked_client(push, server)
        for _ in range(3):
            await push.send_to_user("slow", "x" * 400)
        await until(lambda: session.disconnect is Disconnect.SLOW)


async def test_a_send_that_takes_too_long_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is dropped, and the task that waited for its peer is free again."""
    clock, ends = Clock(monkeypatch), list[tuple[str, Disconnect]]()
    async with pushing(
        send_timeout=10, on_disconnect=lambda session, disconnect: ends.append((session.user, disconnect))
    ) as (push, server):
        client, session = await blocked_client(push, server)
        await clock.advance(push, 9)
        assert push.sessions() == [session]
        await clock.advance(push, 2)
        await client.ended()
        assert push.sessions() == []
        assert client.stuck == 0
        await until(lambda: ends == [("slow", Disconnect.SEND_TIMEOUT)])


async def test_each_send_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that reads slowly, but reads, is not ended for the sum of it."""
    clock = Clock(monkeypatch)
    async with pushing(send_timeout=10) as (push, server):
        client, session = await blocked_client(push, server)
        for number in range(5):
            await push.send_to_user("slow", number)
            await clock.advance(push, 6)
            client.unblock()
            client.block()
            await client.blocked()
        assert push.sessions() == [session]


async def test_a_close_that_takes_too_long_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that closes gets the same time to read what waits for it."""
    clock = Clock(monkeypatch)
    async with pushing(send_timeout=10) as (push, server):
        client, session = await blocked_client(push, server)
        await session.close()
        await clock.advance(push, 11)
        await client.ended()
        assert client.stuck == 0
        assert session.disconnect == Disconnect.FORCE


async def test_a_send_that_waits_for_a_gone_peer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has left, which the server said, and its send was never let go: the task is, after the same time."""
    clock = Clock(monkeypatch)
    async with pushing(send_timeout=10) as (push, server):
        client, _ = await blocked_client(push, server)
        client.close()
        await client.ended()
        await clock.advance(push, 11)
        await until(lambda: client.stuck == 0)


async def test_a_heartbeat_cuts_no_close_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that closes has send_timeout to do it, also where its heartbeat would have been due before."""
    clock = Clock(monkeypatch)
    async with pushing(idle_timeout=75, send_timeout=10) as (push, server):
        client = await server.connect("/ws/slow")
        client.send("ping")
        assert await client.receive() == "pong"
        await clock.advance(push, 70)
        client.block()
        await push.send_to_user("slow", "last")
        await push.disconnect("slow")
        await clock.advance(push, 6)
        client.unblock()
        messages, closed = await client.receive_to_close()
        assert (messages, closed.code) == (["last"], Disconnect.FORCE.code)


async def test_a_gone_peer_is_sent_nothing_more() -> None:
    """What waits for a client that has left is thrown away."""
    async with pushing() as (push, server):
        client, _ = await blocked_client(push, server)
        for number in range(3):
            await push.send_to_user("slow", number)
        await core_of(push).hub.fanout.settled()
        client.close()
        await client.ended()
        client.unblock()
        await anyio.wait_all_tasks_blocked()
        assert [message["type"] for message in client.waiting] == ["ended", "websocket.send"]


async def test_what_waits_is_sent_before_the_close() -> None:
    """A session that closes while its peer is slow loses nothing."""
    async with pushing() as (push, server):
        client, session = await blocked_client(push, server)
        for number in range(3):
            await push.send_to_user("slow", number)
        await session.close()
        client.unblock()
        messages, closed = await client.receive_to_close()
        assert (messages, closed.code) == (["first", "0", "1", "2"], Disconnect.FORCE.code)


async def test_heartbeats_are_answered_ahead_of_what_waits() -> None:
    """A client that waits for its pong does not wait for a thousand messages before it."""
    async with pushing() as (push, server):
        client, session = await blocked_client(push, server)
        await push.send_to_user("slow", "data")
        await until(lambda: session.queue is not None and len(session.queue) == 2)
        client.send("ping")
        await until(lambda: session.heartbeat.deadline)
        client.unblock()
        assert [await client.receive() for _ in range(3)] == ["first", "pong", "data"]


async def test_unread_answers_to_heartbeats_are_bounded() -> None:
    """A client that sends heartbeats and reads nothing gets sixteen answers, when it reads, and no more."""
    got: list[str | bytes] = []
    async with pushing(on_message=lambda _, data: got.append(data)) as (push, server):
        client, _ = await blocked_client(push, server)
        for _ in range(100):
            client.send("ping")
        client.send("last")
        await until(lambda: got == ["last"])
        await push.send_to_user("slow", "data")
        client.unblock()
        messages = [await client.receive() for _ in range(MAX_URGENT + 2)]
        assert messages == ["first", *["pong"] * MAX_URGENT, "data"]


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("closed"), anyio.BrokenResourceError()])
async def test_a_failing_send_ends_its_session_only(error: Exception) -> None:
    """Whatever a server raises in send, the peer is gone; no other session notices."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(5)]
        clients[2].fail(error)
        for number in range(3):
            await push.send_to_all(number)
        await clients[2].ended()
        assert [session.user for session in push.sessions()] == ["0", "1", "3", "4"]
        for client in clients[:2] + clients[3:]:
            assert [await client.receive() for _ in range(3)] == ["0", "1", "2"]


class BrokenTransport:
    """One whose direct writes fail; all else is that of a session's own."""

    def __init__(self, session: Any) -> None:
        self._transport = session.io
        session.io = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, frames: bytes) -> bool:
        raise ValueError("a bug")


async def test_a_failing_write_ends_its_session_only() -> None:
    """The same holds where frames are written directly; the session gets 1011."""
    async with pushing() as (push, server):
        first, second = await server.connect("/ws/first"), await server.connect("/ws/second")
        BrokenTransport(push.sessions("first")[0])
        assert (await push.send_to_all("x")).receivers == 2
        assert (await first.receive_close()).code == 1011
        assert await second.receive() == "x"
        BrokenTransport(push.sessions("second")[0])
        assert (await push.send_to_user("second", "x")).receivers == 1
        assert (await second.receive_close()).code == 1011


class BrokenCodec:
    """A protocol that cannot write what is published; it is counted as the one in whose place it is."""

    name = "plain"
    ping = None

    def __getattr__(self, name: str) -> Any:
        raise LookupError("a bug")


@pytest.mark.parametrize("verb", ["send_to_all", "send_to_user"])
async def test_a_protocol_that_fails_costs_its_sessions_only(verb: str) -> None:
    """Whoever comes before or after them in a channel gets what is published; they miss it, and are not closed."""
    async with pushing() as (push, server):
        clients = [await server.connect("/ws/alice") for _ in range(3)]
        session: Any = push.sessions()[1]
        session.codec = BrokenCodec()
        await (push.send_to_all("x") if verb == "send_to_all" else push.send_to_user("alice", "x"))
        assert [await clients[0].receive(), await clients[2].receive()] == ["x", "x"]
        assert len(push.sessions()) == 3


async def keep_up(client: Client, count: int) -> None:
    assert [await client.receive() for _ in range(count)] == [str(number) for number in range(count)]


@pytest.mark.parametrize("verb", ["publish", "session.send"])
async def test_a_publisher_never_overflows_who_keeps_up(verb: str) -> None:
    """However fast a publisher is, it is held back before a session that reads overflows."""
    async with pushing(queue_messages=10) as (push, server):
        client = await server.connect("/ws/alice")
        (session,) = push.sessions()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_up, client, 2000)
            for number in range(2000):
                await (push.send_to_user("alice", number) if verb == "publish" else session.send(number))
        assert push.sessions() == [session]


async def test_memory_is_bounded_while_a_publisher_runs() -> None:
    """Neither a blocked session's queue nor what waits for the fan-out grows beyond its bound."""
    async with pushing(queue_messages=10, slow_consumer="drop_oldest") as (push, server):
        client, session = await blocked_client(push, server)
        for number in range(1000):
            await push.send_to_user("slow", number)
            assert session.queue is not None
            assert len(session.queue) <= 10
            assert core_of(push).hub.fanout.pending.publications <= 10
        client.unblock()
        while await client.receive() != "999":
            pass


async def test_many_publishers_are_held_back_alike() -> None:
    """Publishers that wait for room all come through, and every publication once."""
    async with pushing(queue_messages=10) as (push, server):
        client = await server.connect("/ws/alice")

        async def publish(first: int) -> None:
            for number in range(first, first + 20):
                await push.send_to_user("alice", number)

        async with anyio.create_task_group() as tasks:
            for first in range(0, 400, 20):
                tasks.start_soon(publish, first)
            received = [int(await client.receive()) for _ in range(400)]
        assert sorted(received) == list(range(400))
        assert [[number for number in received if number // 20 == part] for part in range(20)] == [
            list(range(first, first + 20)) for first in range(0, 400, 20)
        ]


async def test_a_peer_that_does_not_read_holds_up_no_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a moment to take its close frame, and is dropped then."""
    monkeypatch.setattr(hub, "_SHUTDOWN_TIME", 0.05)
    async with pushing() as (push, server):
        client, session = await blocked_client(push, server)
        await push.stop()
        await client.ended()
        assert session.disconnect == Disconnect.SHUTDOWN
        assert client.stuck == 0
        await push.start()


async def test_peers_that_do_not_read_hold_up_nobody_else() -> None:
    """Each waits in a task of its own, and those tasks are not kept when they are needed no more."""
    async with pushing() as (push, server):
        slow = [(await blocked_client(push, server, str(number)))[0] for number in range(30)]
        healthy = await server.connect("/ws/healthy")
        await push.send_to_all("x")
        assert await healthy.receive() == "x"
        for client in slow:
            client.unblock()
        for client in slow:
            assert [await client.receive(), await client.receive()] == ["first", "x"]
        await until(lambda: len(core_of(push).hub._writers._parked) == writers._MAX_PARKED)


async def test_a_peer_that_stops_reading_holds_up_nobody_of_the_same_tick() -> None:
    """Those whose turn would come after it get theirs from another task."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(5)]
        for client in clients[::2]:
            client.block()
        await push.send_to_all("x")
        for client in clients[1::2]:
            assert await client.receive() == "x"


async def test_who_is_slow_already_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A send that has waited for long says enough."""
    clock = Clock(monkeypatch)
    async with pushing(queue_messages=10) as (push, server):
        _, session = await blocked_client(push, server)
        await clock.advance(push, 1)
        for number in range(5):
            await push.send_to_user("slow", number)
        await core_of(push).hub.fanout.settled()
        assert session.queue is not None
        assert session.queue.slow
        assert not core_of(push).hub._writers._pressed


async def test_a_slow_peer_holds_publishers_up_once() -> None:
    """They wait for a session that falls behind, but not for one that is known to be slow."""
    async with pushing(queue_messages=10, slow_consumer="drop_newest") as (push, server):
        _, session = await blocked_client(push, server)
        for number in range(100):
            await push.send_to_user("slow", number)
        assert session.queue is not None
        assert session.queue.slow
        assert not core_of(push).hub._writers._pressed


@pytest.mark.parametrize("gone", [True, False])
async def test_a_send_that_ends_as_it_is_given_up_takes_nobody_along(gone: bool) -> None:
    """Its task is over, and others serve the sessions that it would have served next."""
    async with pushing(send_timeout=10) as (push, server):
        slow, session = await blocked_client(push, server)
        others = [await server.connect(f"/ws/{number}") for number in range(3)]
        if gone:
            slow.close()
            await slow.ended()
        waiting = [item for item in core_of(push).hub._timer._deadlines._planned if isinstance(item, writers.Writer)]
        assert [writer.session for writer in waiting] == [session]
        slow.unblock()
        core_of(push).hub._heartbeats.check(waiting[0], time.monotonic() + 11)
        await slow.ended()
        for text in ("x", "y"):
            await push.send_to_all(text)
            assert [await client.receive() for client in others] == [text] * 3
