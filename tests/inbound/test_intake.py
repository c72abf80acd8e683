"""What clients send is taken in slices, not faster than it is carried out, and all of it before anybody is dead."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from asgi_push import Disconnect, Session
from asgi_push.hub import hub
from asgi_push.inbound import intake
from asgi_push.push import core_of
from asgi_push.runtime import time_slice as slices
from tests.asgi import Clock, pushing, until
from tests.endpoints.centrifuge.peers import house


class KeyedLock:
    """Counts the turns of the event loop."""

    number = 0

    async def run(self) -> None:
        while True:
            self.number += 1
            await anyio.lowlevel.checkpoint()


async def test_a_flood_leaves_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many messages lie ready, few of them are carried out in one turn of the loop, of all clients together."""
    monkeypatch.setattr(slices, "_HOLD", 0.0)
    turns, seen = KeyedLock(), Counter[int]()

    async def on_message(session: Session, data: str) -> None:
        seen[turns.number] += 1

    async with pushing(on_message=on_message) as (_, server), anyio.create_task_group() as tasks:
        clients = [await server.connect(f"/ws/{user}") for user in "abcd"]
        tasks.start_soon(turns.run)
        for client in clients:
            for number in range(400):
                client.send(str(number))
        await until(lambda: seen.total() == 1600)
        tasks.cancel_scope.cancel()
    most = slices._STRIDE + len(clients)  # each of them does one more before it finds out that the slice is over
    assert max(seen.values()) <= 2 * most


async def test_a_flood_of_heartbeats_leaves_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are answered in slices, too."""
    monkeypatch.setattr(slices, "_HOLD", 0.0)
    turns, seen = KeyedLock(), Counter[int]()
    async with pushing(direct_writes=False) as (push, server), anyio.create_task_group() as tasks:
        client = await server.connect("/ws/a")
        answer = core_of(push).hub.heartbeat
        monkeypatch.setattr(core_of(push).hub, "heartbeat", lambda *args: (seen.update([turns.number]), answer(*args)))
        tasks.start_soon(turns.run)
        for _ in range(1000):
            client.send("ping")
        await until(lambda: seen.total() == 1000)
        tasks.cancel_scope.cancel()
    assert max(seen.values()) <= 2 * slices._STRIDE


async def test_one_frame_of_thousands_leaves_others_their_turns(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """Its commands are decoded and carried out a few at a time, and all of them are answered."""
    monkeypatch.setattr(slices, "_HOLD", 0.0)
    turns, seen = KeyedLock(), Counter[int]()

    async def on_rpc(session: Session, method: str, data: Any) -> int:
        seen[turns.number] += 1
        return 1

    async with house(encoding, on_rpc=on_rpc) as home, anyio.create_task_group() as tasks:
        peer = await home.peer()
        tasks.start_soon(turns.run)
        peer.say(*[{"id": number, "rpc": {"method": "m"}} for number in range(2, 2002)])
        assert [(await peer.hear())["id"] for _ in range(2000)] == list(range(2, 2002))
        tasks.cancel_scope.cancel()
    assert max(seen.values()) <= 2 * slices._STRIDE


async def test_who_sends_faster_than_it_is_served_is_not_read_from() -> None:
    """What waits stays bounded and the rest stays with the transport; nobody is closed, and all is carried out."""
    go, got = anyio.Event(), []

    async def on_message(session: Session, data: str) -> None:
        await go.wait()
        got.append(data)

    async with pushing(on_message=on_message, queue_messages=10) as (push, server):
        client = await server.connect("/ws/alice")
        for number in range(50):
            client.send(str(number))
        (session,) = push.sessions()
        await until(lambda: core_of(push).hub.intake.holds(session))
        assert session.inbox is not None
        assert len(session.inbox) <= 10
        assert len(client._in.items) >= 40
        go.set()
        await until(lambda: len(got) == 50)
        assert got == [str(number) for number in range(50)]
        client.send("ping")
        assert await client.receive() == "pong"


async def test_a_hook_that_never_returns(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Its client is closed after a while, and the log names the settings that bound what waits."""
    monkeypatch.setattr(intake, "_PATIENCE", 0.01)
    monkeypatch.setattr(hub, "_SHUTDOWN_TIME", 0.05)  # for which a hook that hangs is waited for

    async def on_message(session: Session, data: str) -> None:
        await anyio.sleep_forever()

    async with pushing(on_message=on_message, queue_messages=10) as (_, server):
        client = await server.connect("/ws/alice")
        for number in range(50):
            client.send(str(number))
        closed = await client.receive_close()
        assert (closed.code, closed.reason) == (1013, Disconnect.OVERLOADED.reason)
    assert "queue_messages" in caplog.text


async def test_who_is_not_in_yet_may_wait(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """A client that has asked for many channels in its first frame is not closed for a slow authenticate."""
    waits, go = [], anyio.Event()

    class Wait(intake._Wait):
        def __init__(self) -> None:
            super().__init__()
            waits.append(self)

    async def authenticate(connection: Any) -> str:
        await go.wait()
        return "ann"

    monkeypatch.setattr(intake, "_PATIENCE", 0.001)
    monkeypatch.setattr(intake, "_Wait", Wait)
    async with house(encoding, authenticate=authenticate, queue_messages=4, max_channels=20) as home:
        peer = await home.stranger()
        asked = [{"id": number, "subscribe": {"channel": f"live:{number}"}} for number in range(2, 22)]
        peer.say({"id": 1, "connect": {}}, *asked)
        await until(lambda: len(waits) > 3)
        # From here on as it is, beginning with the next wait: a slow machine is not what this is about.
        monkeypatch.undo()
        monkeypatch.setattr(intake, "_Wait", Wait)
        begun = len(waits)
        await until(lambda: len(waits) > begun)
        go.set()
        assert [(await peer.hear())["id"] for _ in range(21)] == list(range(1, 22))


async def test_the_application_is_never_too_much_for_a_client(encoding: str) -> None:
    """What it does to a client whose commands wait goes behind them, and closes nobody."""
    go = anyio.Event()

    async def on_rpc(session: Session, method: str, data: Any) -> None:
        await go.wait()

    async with house(encoding, authenticate=lambda _: "ann", on_rpc=on_rpc, queue_messages=2) as home:
        peer = await home.peer()
        assert "subscribe" in await peer.ask("subscribe", channel="a")
        peer.say(*[{"id": number, "rpc": {"method": "m"}} for number in range(2, 12)])
        (session,) = home.push.sessions()
        await until(lambda: core_of(home.push).hub.intake.holds(session))
        for _ in range(5):
            await home.push.unsubscribe("ann", "a")
        assert (await peer.hear())["push"]["unsubscribe"]["code"] == 2000
        go.set()
        assert [(await peer.hear())["id"] for _ in range(10)] == list(range(2, 12))


async def test_what_is_not_read_yet_may_be_the_pong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is not read from is not dead for want of the pong that stands behind what it has sent."""
    clock, go = Clock(monkeypatch), anyio.Event()

    async def on_rpc(session: Session, method: str, data: Any) -> None:
        await go.wait()

    async with house(on_rpc=on_rpc, queue_messages=2, ping_interval=20, pong_timeout=8) as home:
        peer = await home.peer()
        await clock.advance(home.push, 20.5)
        assert await peer.hear() == {}
        peer.say(*[{"id": number, "rpc": {"method": "m"}} for number in range(2, 12)], {})
        (session,) = home.push.sessions()
        await until(lambda: core_of(home.push).hub.intake.holds(session))
        await clock.advance(home.push, 9)
        assert home.push.sessions() == [session]
        go.set()
        assert [(await peer.hear())["id"] for _ in range(10)] == list(range(2, 12))
        await until(lambda: session.heartbeat.round_trip is not None)
        await clock.advance(home.push, 9)
        assert home.push.sessions() == [session]


async def test_what_came_while_the_loop_was_held_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer comes late and finds a deadline long over: the heartbeat that lies in the socket counts."""
    clock = Clock(monkeypatch)
    async with pushing(idle_timeout=75) as (push, server):
        client, silent = await server.connect("/ws/alice"), await server.connect("/ws/bob")
        for each in (client, silent):
            each.send("ping")
            assert await each.receive() == "pong"
        clock.ahead += 80
        core_of(push).hub._timer._changed.set()  # the timer has its turn first ...
        await anyio.lowlevel.checkpoint()
        client.send("ping")  # ... and only then the server reads the socket
        assert await client.receive() == "pong"
        assert (await silent.receive_close()).code == Disconnect.NO_HEARTBEAT.code
        assert [session.user for session in push.sessions()] == ["alice"]


@pytest.fixture(params=["json", "protobuf"])
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)
