"""Whatever happens to sessions, in whatever order: the books are right, and at the end they are empty."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_push import Disconnect, Push, PushMiddleware, Session
from asgi_push.connection import State
from asgi_push.hub.hub import Hub
from asgi_push.push import core_of
from tests.asgi import Client, Clock, Server, nothing, serve, until

USERS, CHANNELS = ("alice", "bob", "bad"), ("a", "b")


class World:
    """A Push with its clients, and one method for each thing that can happen."""

    def __init__(self, push: Push, server: Server, clock: Clock) -> None:
        self.push, self.server, self.clock = push, server, clock
        self.clients: list[Client] = []

    def client(self, which: int) -> Client | None:
        return self.clients[which % len(self.clients)] if self.clients else None

    def session(self, which: int) -> Session | None:
        sessions = self.push.sessions()
        return sessions[which % len(sessions)] if sessions else None

    async def connect(self, which: int) -> None:
        client = self.server.begin(f"/ws/{USERS[which % 3]}?channels={','.join(CHANNELS[: which % 4])}")
        client._in.put({"type": "websocket.connect"})
        self.clients.append(client)

    async def connect_in_vain(self, which: int) -> None:
        await self.connect(which)
        self.clients[-1].fail(OSError("gone"))

    async def connect_slowly(self, which: int) -> None:
        await self.connect(which)
        self.clients[-1].block()

    async def subscribe(self, which: int) -> None:
        await self.push.subscribe(USERS[which % 3], CHANNELS[which % 2])

    async def unsubscribe(self, which: int) -> None:
        await self.push.unsubscribe(USERS[which % 3], CHANNELS[which % 2])

    async def publish(self, which: int) -> None:
        await self.push.publish(CHANNELS[which % 2], "x" * which)

    async def publish_many(self, which: int) -> None:
        for _ in range(10):
            await self.push.send_to_all(which)

    async def send(self, which: int) -> None:
        if (session := self.session(which)) is not None:
            await session.send(which)

    async def close(self, which: int) -> None:
        if (session := self.session(which)) is not None:
            await session.close(Disconnect(4000 + which, "close"))

    async def disconnect(self, which: int) -> None:
        await self.push.disconnect(USERS[which % 3])

    async def client_says(self, which: int) -> None:
        said = ["ping", "hello", "raise", b"bytes", "x" * 200, "\ud800", "HeartBeat"]
        if (client := self.client(which)) is not None:
            client.send(said[which % len(said)])

    async def client_closes(self, which: int) -> None:
        if (client := self.client(which)) is not None:
            client.close(4000 + which)

    async def server_cancels(self, which: int) -> None:
        if (client := self.client(which)) is not None:
            client.cancel()

    async def server_fails(self, which: int) -> None:
        if (client := self.client(which)) is not None:
            client._in.put(None)

    async def send_fails(self, which: int) -> None:
        if (client := self.client(which)) is not None:
            client.fail(OSError("gone"))

    async def client_stops_reading(self, which: int) -> None:
        if (client := self.client(which)) is not None:
            client.block()

    async def client_reads_again(self, which: int) -> None:
        if (client := self.client(which)) is not None:
            client.unblock()

    async def time_passes(self, which: int) -> None:
        await self.clock.advance(self.push, 4 * which)


EVENTS = [name for name in vars(World) if name not in ("client", "session") and not name.startswith("_")]
EVENTS += ["connect"] * 5  # without clients nothing happens
events = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 12), st.integers(0, 4)), min_size=3, max_size=30)


async def authorize(session: Session, channel: str, action: str) -> bool:
    return True


def check(hub: Hub) -> None:
    """The books agree with each other."""
    registry = hub.registry
    sessions = registry.sessions()
    assert all(session.state in (State.JOINING, State.OPEN) for session in sessions)
    for session in sessions:
        for channel, subscription in session.subscriptions.items():
            assert registry.members(channel)[session] is subscription
    for channel in registry.channels():
        members = registry.members(channel)
        assert members
        assert all(session in sessions and channel in session.subscriptions for session in members)
    assert all(session.state in (State.CLOSING_EARLY, State.CLOSING) for session in hub._closing)
    known = {*sessions, *hub._closing}
    assert all(item in known for item in hub._timer._deadlines._planned if isinstance(item, Session))
    assert all(session.queue is None or len(session.queue) <= 5 for session in known)
    per_user, most = hub.settings.max_sessions_per_user, hub.settings.max_sessions
    assert not most or len(registry) + len(hub._admission._coming) <= most
    assert not per_user or all(count <= per_user for count in Counter(session.user for session in sessions).values())


def check_empty(hub: Hub) -> None:
    """Nothing is left of anybody."""
    check(hub)
    assert not hub.registry.sessions()
    assert not hub.registry.channels()
    assert not hub.registry.users()
    assert not hub._closing
    assert not hub._admission._coming
    assert not hub._admission._coming_of
    assert not [item for item in hub._timer._deadlines._planned if isinstance(item, Session)]
    assert not hub.fanout.pending.items
    assert not hub._writers._ready
    assert all(writer.session is None for writer in hub._writers._parked)


@settings(max_examples=60)
@given(events, st.sampled_from(["refuse", "replace"]))
async def test_any_sequence(what: list[tuple[str, int, int]], when_exceeded: str) -> None:
    """The registry is right after every step and empty when all are gone; on_disconnect follows each on_connect."""
    came, went = list[Session](), list[Session]()

    async def on_connect(session: Session) -> None:
        came.append(session)
        if session.user == "bad":
            raise LookupError("a bug of the application")

    async def on_disconnect(session: Session, disconnect: Disconnect) -> None:
        went.append(session)

    async def on_message(session: Session, data: Any) -> None:
        if data == "raise":
            raise LookupError("a bug of the application")

    push = Push(
        path="/ws/{user_id}",
        authorize=authorize,
        on_connect=on_connect,
        on_disconnect=on_disconnect,
        on_message=on_message,
        max_message_bytes=100,
        queue_messages=5,
        max_sessions=6,
        max_sessions_per_user=3,
        when_exceeded=when_exceeded,
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = Clock(monkeypatch, part=1.0)
        async with serve(PushMiddleware(nothing, push)) as server:
            world = World(push, server, clock)
            for event, which, steps in what:
                await getattr(world, event)(which)
                check(core_of(push).hub)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                    check(core_of(push).hub)
            await server.hang_up()
            await core_of(push).hub.fanout.settled()
            await until(lambda: not core_of(push).hub._calls.running and not core_of(push).hub._writers._ready)
            check_empty(core_of(push).hub)
    assert Counter(session.id for session in came) == Counter(session.id for session in went)
    assert all(count == 1 for count in Counter(session.id for session in came).values())
    for session in came:
        assert (session.state, session.queue, session.inbox) == (State.CLOSED, None, None)
        assert session.disconnect is not None


@settings(max_examples=30)
@given(events)
async def test_any_sequence_before_a_shutdown(what: list[tuple[str, int, int]]) -> None:
    """The same where the process stops in the middle of it: no session and no hook is forgotten."""
    came, went = list[str](), list[str]()

    async def on_connect(session: Session) -> None:
        came.append(session.id)

    async def on_disconnect(session: Session, disconnect: Disconnect) -> None:
        await anyio.lowlevel.checkpoint()
        went.append(session.id)

    push = Push(
        path="/ws/{user_id}",
        authorize=authorize,
        on_connect=on_connect,
        on_disconnect=on_disconnect,
        queue_messages=5,
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = Clock(monkeypatch, part=1.0)
        monkeypatch.setattr("asgi_push.hub.hub._SHUTDOWN_TIME", 0.05)
        async with serve(PushMiddleware(nothing, push)) as server:
            world = World(push, server, clock)
            for event, which, steps in what:
                await getattr(world, event)(which)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
            hub = core_of(push).hub
            await push.stop()
            assert not hub.registry.sessions()
            assert not hub._closing
            assert sorted(came) == sorted(went)
            await push.start()
