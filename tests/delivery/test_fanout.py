"""Handing publications out: in order, once, in few writes, and without holding up the event loop."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from asgi_push import Push, PushMiddleware
from asgi_push.delivery import fanout, recipients, time_slice
from asgi_push.push import core_of
from tests.asgi import Client, nothing, pushing, serve, until


class DirectTransport:
    """Writes for a session directly, as on a server whose insides are known; all else is its transport's."""

    def __init__(self, push: Push, user: str, client: Client) -> None:
        session: Any = push.sessions(user)[0]
        self._transport = session.io
        session.io = self
        self.written: list[bytes] = []
        self.full = False
        self._client = client
        self._reader = FrameProtocol(client=True, extensions=[])
        self.held = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def hold(self, held: bool) -> None:
        """It refuses what comes out of turn."""
        self.held = held

    def write(self, frames: bytes) -> bool:
        if self.full or self.held:
            return False
        self.written.append(frames)
        self._reader.receive_bytes(frames)
        for item in self._reader.received_frames():
            kind = "text" if item.opcode is Opcode.TEXT else "bytes"
            self._client._out.put({"type": "websocket.send", kind: item.payload})
        return True

    async def flush(self) -> None:
        """It keeps nothing."""

    def abort(self) -> None:
        """There is no connection."""


def hold_for_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each time slice of a run end after one session."""
    monkeypatch.setattr(time_slice, "_HOLD", -1.0)
    for module in (time_slice, fanout, recipients):
        monkeypatch.setattr(module, "STRIDE", 1)


async def test_what_comes_in_one_tick_is_one_write() -> None:
    """However many publications, in however many channels: each session is written to once, all with the same bytes."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{user}") for user in "ab"]
        transports = [DirectTransport(push, user, client) for user, client in zip("ab", clients, strict=True)]
        for user in "ab":
            await push.subscribe(user, "news")
        for number in range(10):
            await push.publish("news" if number % 2 else "*", number)
        expected = [str(number) for number in range(10)]
        for client in clients:
            assert [await client.receive() for _ in range(10)] == expected
        assert [len(transport.written) for transport in transports] == [1, 1]
        assert transports[0].written[0] is transports[1].written[0], "joined once for each"


async def test_the_only_receiver_is_written_to_at_once() -> None:
    """The first publication of a tick is there when publish returns; those that follow it are joined."""
    async with pushing() as (push, server):
        client = await server.connect("/ws/alice")
        transport = DirectTransport(push, "alice", client)
        await push.send_to_user("alice", 0)
        assert len(transport.written) == 1
        for number in range(1, 10):
            await push.send_to_user("alice", number)
        assert [await client.receive() for _ in range(10)] == [str(number) for number in range(10)]
        assert len(transport.written) == 2


async def test_what_waits_goes_before_what_could_be_written() -> None:
    """A transport that has room again does not let a publication overtake those that are queued."""
    async with pushing() as (push, server):
        client = await server.connect("/ws/alice")
        transport = DirectTransport(push, "alice", client)
        transport.full = True
        client.block()
        await push.send_to_user("alice", "queued")
        await client.blocked()
        transport.full = False
        await push.send_to_user("alice", "later")
        client.unblock()
        assert [await client.receive(), await client.receive()] == ["queued", "later"]


ways = st.sampled_from(["user", "all", "channel", "session", "full", "not full", "block", "unblock", "tick", "tick"])


@settings(max_examples=60)
@given(st.lists(st.tuples(ways, st.sampled_from(["a", "b"])), max_size=40))
async def test_one_order_whichever_way_it_is_sent(steps: list[tuple[str, str]]) -> None:
    """Written directly or queued, alone or joined, to one or to all: each session gets its own in order."""
    push = Push(path="/ws/{user_id}")
    async with serve(PushMiddleware(nothing, push)) as server:
        clients = {user: await server.connect(f"/ws/{user}") for user in "ab"}
        transports = {user: DirectTransport(push, user, client) for user, client in clients.items()}
        expected: dict[str, list[str]] = {"a": [], "b": []}
        await push.subscribe("a", "channel")
        for number, (way, user) in enumerate(steps):
            match way:
                case "user":
                    await push.send_to_user(user, number)
                case "all":
                    await push.send_to_all(number)
                case "channel":
                    await push.publish("channel", number)
                case "session":
                    await push.sessions(user)[0].send(number)
                case "full" | "not full":
                    transports[user].full = way == "full"
                case "block":
                    clients[user].block()
                case "unblock":
                    clients[user].unblock()
                case "tick":
                    await anyio.lowlevel.checkpoint()
            for name, own in expected.items():
                if way == "all" or (way, name) == ("channel", "a") or (way in ("user", "session") and name == user):
                    own.append(str(number))
        for user, client in clients.items():
            client.unblock()
            assert [await client.receive() for _ in expected[user]] == expected[user]


async def test_a_run_gives_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one publication goes to many, other tasks run; and a session that leaves meanwhile harms nobody."""
    hold_for_one_session(monkeypatch)
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(20)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        await push.send_to_all("x")
        while not transports[0].written:
            await anyio.lowlevel.checkpoint()
        assert not transports[-1].written
        clients[-1].close()
        await clients[-1].ended()
        await push.send_to_all("y")
        for client in clients[:-1]:
            assert [await client.receive(), await client.receive()] == ["x", "y"]
        assert not transports[-1].written


async def test_many_come_and_go() -> None:
    """A channel of many, whose members are gone through in a kept list: who is in it gets what is published."""
    async with pushing() as (push, server):
        clients = {str(number): await server.connect(f"/ws/{number}") for number in range(20)}
        transports = {user: DirectTransport(push, user, client) for user, client in clients.items()}
        told: dict[str, list[str]] = {user: [] for user in clients}
        inside: set[str] = set()
        for step in range(40):
            user = str(step % 20)
            await (push.unsubscribe(user, "news") if user in inside else push.subscribe(user, "news"))
            inside ^= {user}
            for name in inside:
                told[name].append(str(step))
            await push.publish("news", step)
        for user, client in clients.items():
            assert [await client.receive() for _ in told[user]] == told[user]
            assert not client.waiting
            assert transports[user].written


async def test_what_waits_for_one_of_many_comes_first() -> None:
    """A member whose transport was full gets what is published later after what waits for it."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(20)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        for number in range(3):
            transports[7].full = number == 0
            clients[7].block()
            await push.send_to_all(number)
            assert await clients[8].receive() == str(number)
        clients[7].unblock()
        assert [await clients[7].receive() for _ in range(3)] == ["0", "1", "2"]


async def test_who_comes_while_a_run_is_under_way_gets_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And all that is published from then on."""
    hold_for_one_session(monkeypatch)
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(20)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        await push.send_to_all("before")
        while not transports[0].written:
            await anyio.lowlevel.checkpoint()
        assert not transports[-1].written
        late = await server.connect("/ws/late")
        await push.send_to_all("after")
        assert await late.receive() == "after"
        for client in clients:
            assert [await client.receive(), await client.receive()] == ["before", "after"]


async def test_a_page_that_leaves_a_channel_gets_nothing_of_a_run_that_has_not_come_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages with envelopes that are in step are only written to, but not one that has left it; the others get all."""
    hold_for_one_session(monkeypatch)
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}?since=") for number in range(20)]
        for client in clients:
            assert '"welcome"' in await client.receive()
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        for number in range(20):
            await push.subscribe(str(number), "news")
        for number, name in enumerate(["first", "second"]):
            await until(lambda: all(len(transport.written) == 1 + number for transport in transports))  # noqa: B023
            await push.publish("news", name)
        while len(transports[0].written) < 3:
            await anyio.lowlevel.checkpoint()
        core_of(push).hub.membership.leave(
            push.sessions("19")[0], "news"
        )  # at once, where unsubscribe waits for the run
        assert len(transports[-1].written) == 2, "its welcome, and the first"
        await push.publish("news", "third")
        await until(lambda: len(transports[-2].written) == 4)
        assert [len(transport.written) for transport in transports] == [4] * 19 + [2]


async def test_nothing_to_one_goes_around_a_run_that_has_not_come_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transport has room and nothing is queued for it; but what was published before is still on its way."""
    hold_for_one_session(monkeypatch)
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{number}") for number in range(20)]
        transports = [DirectTransport(push, str(number), client) for number, client in enumerate(clients)]
        await push.send_to_all("first")
        while not transports[0].written:
            await anyio.lowlevel.checkpoint()
        assert not transports[-1].written
        await push.send_to_user("19", "second")
        assert [await clients[-1].receive(), await clients[-1].receive()] == ["first", "second"]
