"""What begins ends, once: on_connect and on_disconnect, join and leave; on every endpoint, however a session ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, ChannelOptions, Disconnect, Push, PushMiddleware, Session
from asgi_push.messages import JoinLeave
from asgi_push.push import core_of
from tests.asgi import PATIENCE, Client, Server, nothing, serve, until

PATHS = {
    "plain": "/ws/alice?channels=room:1",
    "envelopes": "/ws/alice?channels=room:1&since=",
    "sdk": "/connection/websocket",
    "sse": "/push/events?channels=room:1",
}


class Pairs:
    """A Push that says who came and who went."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.told: list[tuple[str, str, bool]] = []
        self.push = Push(
            path="/ws/{user_id}",
            sse=True,
            authenticate=lambda connection: connection.path_params.get("user_id") or "alice",
            authorize=lambda *_: True,
            on_connect=self.came,
            on_disconnect=self.went,
            on_message=lambda *_: None,
            queue_messages=4,
            namespaces={"room": ChannelOptions(presence=True, join_leave=True)},
        )

    async def came(self, session: Session) -> None:
        self.calls.append((session.id, "came"))

    async def went(self, session: Session, disconnect: Disconnect) -> None:
        self.calls.append((session.id, "went"))

    def check(self) -> None:
        """Each who came went, in this order and once, and nobody else."""
        for session in {session for session, _ in self.calls}:
            assert [what for which, what in self.calls if which == session] == ["came", "went"]
        for who in {(session, channel) for session, channel, _ in self.told}:
            assert [joined for *which, joined in self.told if tuple(which) == who] == [True, False]


@asynccontextmanager
async def pairs() -> AsyncIterator[tuple[Pairs, Server]]:
    found = Pairs()
    async with serve(PushMiddleware(nothing, found.push)) as server:
        publish = core_of(found.push).hub.broker.publish_join_leave

        async def note(notice: JoinLeave) -> None:
            found.told.append((notice.info.client, notice.channel, notice.joined))
            await publish(notice)

        core_of(found.push).hub.broker.publish_join_leave = note  # type: ignore[method-assign]
        yield found, server
        await server.hang_up()
        hub = core_of(found.push).hub
        await until(lambda: not hub._busy)
        found.check()


def begin(server: Server, kind: str) -> Client:
    if kind == "sse":
        return server.begin(PATHS[kind], type="http", method="GET", scheme="http")
    return server.begin(PATHS[kind])


async def start(client: Client, kind: str) -> None:
    """Say all that there is to be said at first, and wait for nothing."""
    if kind == "sse":
        return
    await client.open()
    if kind == "sdk":
        client.send(json.dumps({"id": 1, "connect": {}}))
        client.send(json.dumps({"id": 2, "subscribe": {"channel": "room:1"}}))


def gated(found: Pairs, verb: str, behaviour: str, *, late: bool = False) -> tuple[anyio.Event, anyio.Event]:
    """Have a verb of the broker wait, or fail, from now on; return that it was called, and what lets it go on."""
    there, go, real = anyio.Event(), anyio.Event(), getattr(core_of(found.push).hub.broker, verb)

    async def instead(*args: Any, **kwargs: Any) -> Any:
        if verb == "join" and late and not found.push.sessions():
            return await real(*args, **kwargs)
        there.set()
        if behaviour == "fails":
            raise BrokerError("no answer in time")
        await go.wait()
        return await real(*args, **kwargs)

    setattr(core_of(found.push).hub.broker, verb, instead)
    core_of(found.push).hub.broker.hears_all = False  # type: ignore[misc]
    setattr(core_of(found.push).hub.broker, f"{verb}_now", lambda *_, **__: None)
    return there, go


AWAITS = [
    ("plain", "join"),
    ("plain", "late join"),
    ("envelopes", "join"),
    ("envelopes", "begin"),
    ("sdk", "begin"),
    ("sse", "begin"),
]


@pytest.mark.parametrize(("kind", "verb"), AWAITS)
@pytest.mark.parametrize("end", ["fails", "leaves", "cancelled", "kicked"])
async def test_who_does_not_get_in_is_not_said_to_have_left(kind: str, verb: str, end: str) -> None:
    """Wherever the way in is cut off, both are called or neither, and the others are told both or neither."""
    async with pairs() as (found, server):
        there, go = gated(found, verb.removeprefix("late "), end, late=verb.startswith("late"))
        client = begin(server, kind)
        if kind in ("plain", "envelopes"):
            client._in.put({"type": "websocket.connect"})
        else:
            await start(client, kind)
        with anyio.fail_after(PATIENCE):
            await there.wait()
        await anyio.wait_all_tasks_blocked()
        if end == "kicked":
            for session in found.push.sessions():
                core_of(found.push).hub.close(session, Disconnect.FORCE)
        elif end == "cancelled":
            client.cancel()
        else:
            client._in.put({"type": "http.disconnect"} if kind == "sse" else {"type": "websocket.disconnect"})
        await anyio.wait_all_tasks_blocked()
        go.set()


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("end", ["leaves", "cancelled", "kicked", "shutdown"])
async def test_each_who_came_goes(kind: str, end: str) -> None:
    """Once the way in is behind it, a session has both, and is announced by both."""
    async with pairs() as (found, server):
        client = begin(server, kind)
        await start(client, kind)
        await until(lambda: found.told and found.calls)
        if end == "kicked":
            await found.push.disconnect("alice")
        elif end == "cancelled":
            client.cancel()
        elif end == "shutdown":
            await found.push.stop()
            assert len(found.calls) == len(found.told) == 2
            found.check()
            await found.push.start()
        else:
            client._in.put({"type": "http.disconnect"} if kind == "sse" else {"type": "websocket.disconnect"})
        await until(lambda: len(found.calls) == len(found.told) == 2)


async def test_a_subscribe_that_fails_is_no_leave() -> None:
    """Nobody is told of a session that could not go on from its position."""
    async with pairs() as (found, server):
        client = await server.connect(PATHS["sdk"])
        client.send(json.dumps({"id": 1, "connect": {}}))
        await client.receive()
        lost = {"channel": "room:1", "recover": True, "offset": 5, "epoch": "no", "flag": 2}
        client.send(json.dumps({"id": 2, "subscribe": lost}))
        assert "error" in json.loads(await client.receive())
        await until(lambda: not core_of(found.push).hub.membership.notices.running)
        assert found.told == []


async def test_what_the_application_subscribes_is_announced() -> None:
    """A plain session that is put into a channel, or taken out, is announced as one that asked for it."""
    async with pairs() as (found, server):
        await server.connect("/ws/bob")
        await found.push.subscribe("bob", "room:2")
        await found.push.subscribe("bob", "room:2")
        await found.push.unsubscribe("bob", "room:2")
        await until(lambda: len(found.told) == 2)
        assert [(channel, joined) for _, channel, joined in found.told] == [("room:2", True), ("room:2", False)]


@pytest.mark.parametrize("accept", ["fails", "cancelled"])
@pytest.mark.parametrize("kind", ["plain", "sdk"])
async def test_a_handshake_that_ends_at_the_accept_is_nobodys(kind: str, accept: str) -> None:
    """Neither hook is called, nobody is told, and no place is kept."""
    async with pairs() as (found, server):
        client = begin(server, kind)
        if accept == "fails":
            client.fail(OSError("gone"))
        else:
            client.block()
        client._in.put({"type": "websocket.connect"})
        if accept == "cancelled":
            await client.blocked()
            client.cancel()
        await client.ended()
        assert found.calls == []
        assert not len(core_of(found.push).hub._admission._coming)


async def test_who_was_not_announced_as_the_broker_was_away_does_not_leave() -> None:
    """A join that did not reach the others is followed by no leave, and by no traceback."""
    async with pairs() as (found, server):
        note = core_of(found.push).hub.broker.publish_join_leave

        async def fail(notice: JoinLeave) -> None:
            raise BrokerError("no answer in time")

        core_of(found.push).hub.broker.publish_join_leave = fail  # type: ignore[method-assign]
        client = await server.connect(PATHS["plain"])
        await until(lambda: found.calls and not core_of(found.push).hub.membership.notices.running)
        core_of(found.push).hub.broker.publish_join_leave = note  # type: ignore[method-assign]
        client.close()
        await client.ended()
        await until(lambda: not core_of(found.push).hub.membership.notices.running)
        assert found.told == []
        assert core_of(found.push).hub.counters.failures["task"] == 0
