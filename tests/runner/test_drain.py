"""Sessions are sent away one by one, nobody new comes in, and it is over in time whatever the clients do."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push import Disconnect, NotRunningError, Push
from asgi_push.connection import Connection
from asgi_push.hub import hub
from asgi_push.hub.session_lifecycle import Lifecycle
from asgi_push.push import core_of
from asgi_push.runner.drain import due
from tests.asgi import PATIENCE, Clock, Refused, pushing, until

OVER = 0.5


@given(st.integers(1, 10_000), st.floats(0.1, 1000), st.floats(0, 1))
def test_the_spread_is_even(sessions: int, over: float, part: float) -> None:
    """In no part of the time more of them are due than that part's share and one; all are at its end."""
    start, end = due(sessions, over, part * over / 2), due(sessions, over, part * over)
    assert 0 <= start <= end <= sessions
    assert end - start <= sessions * part / 2 + 1
    assert due(sessions, over, over) == sessions
    assert due(sessions, 0, 0) == sessions


async def test_sessions_are_closed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, none before its time, with 1012."""
    closed: list[tuple[str, float]] = []
    close = Lifecycle.close

    def noted(self: Lifecycle, session: Connection, disconnect: Disconnect) -> None:
        closed.append((session.user, time.monotonic()))
        close(self, session, disconnect)

    monkeypatch.setattr(Lifecycle, "close", noted)
    async with pushing() as (push, server):
        users = [f"u{number}" for number in range(10)]
        clients = [await server.connect(f"/ws/{user}") for user in users]
        began = time.monotonic()
        assert await push.drain(OVER) == 10
        assert [user for user, _ in closed] == users
        for number, (_, at) in enumerate(closed, 1):
            assert at >= began + OVER * number / 10
        for client in clients:
            assert str(await client.receive_close()) == "1012 shutdown"
        assert push.sessions() == []


async def test_an_sdk_client_gets_3001() -> None:
    """One that is there, and one that comes while it drains, after its accept: a failed handshake it would not know."""
    async with pushing() as (push, server):
        client = await server.connect("/connection/websocket")
        client.send('{"id":1,"connect":{}}')
        await client.receive()
        await push.drain(0)
        assert str(await client.receive_close()) == "3001 shutdown"
        late = await server.connect("/connection/websocket")
        assert str(await late.receive_close()) == "3001 shutdown"


async def test_nobody_new_comes_in() -> None:
    """503 with Retry-After, from the first moment on and without a question to the application."""
    asked = []

    def authenticate(connection: Any) -> str:
        asked.append(connection)
        return "u"

    async with pushing(path="/ws", authenticate=authenticate) as (push, server), anyio.create_task_group() as tasks:
        await server.connect("/ws")
        tasks.start_soon(push.drain, 3600)
        await until(lambda: not core_of(push).hub.accepting)
        with pytest.raises(Refused) as refused:
            await server.connect("/ws")
        assert (refused.value.status, refused.value.headers[b"retry-after"]) == (503, b"5")
        assert (len(asked), len(push.sessions())) == (1, 1)
        await push.drain(0)


async def test_publications_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is still there gets them, and who is closed has got all that came before."""
    clock = Clock(monkeypatch)
    async with pushing() as (push, server), anyio.create_task_group() as tasks:
        clients = [await server.connect(f"/ws/u{number}") for number in range(4)]
        tasks.start_soon(push.drain, 400)
        await until(lambda: not core_of(push).hub.accepting)
        sent, left, heard = [], [], []
        while there := push.sessions():
            await push.send_to_all(len(sent))
            sent.append(str(len(sent)))
            left.append(len(push.sessions()))
            while len(push.sessions()) == len(there):
                clock.ahead += 2
                await anyio.sleep(0.001)
            # What is closing is cut off if it takes long, and the clock is about to go on.
            gone = clients[len(heard) : len(clients) - len(push.sessions())]
            heard += [(await client.receive_to_close())[0] for client in gone]
        # Who is still there when it is published is owed it; publishing may have waited, and some have left meanwhile.
        owed = [[number for number, count in zip(sent, left, strict=True) if count > 3 - age] for age in range(4)]
        assert [messages[: len(wanted)] for messages, wanted in zip(heard, owed, strict=True)] == owed
        assert len(heard[0]) < len(heard[-1])


async def test_what_was_published_before_is_delivered() -> None:
    """Who is closed in the same tick gets it all the same."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/u{number}") for number in range(4)]
        for number in range(3):
            await push.send_to_all(number)
        await push.drain(0)
        assert [(await client.receive_to_close())[0] for client in clients] == [["0", "1", "2"]] * 4


async def test_clients_that_do_not_read_hold_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """They get a moment to take their close frame; then they are dropped, so that the server need not wait for them."""
    monkeypatch.setattr(hub, "_SHUTDOWN_TIME", 0.05)
    async with pushing() as (push, server):
        client = await server.connect("/ws/stuck")
        (session,) = push.sessions()
        client.block()
        await push.send_to_all("stuck")
        await client.blocked()
        with anyio.fail_after(PATIENCE):
            await push.drain(0)
            await client.finished.wait()
        assert session.disconnect == Disconnect.SHUTDOWN


async def test_when_all_have_left_it_is_over() -> None:
    """Nobody is waited for who is not there."""
    async with pushing() as (push, server), anyio.create_task_group() as tasks:
        client = await server.connect("/ws/u")
        client.close()
        await client.ended()
        with anyio.fail_after(PATIENCE):
            assert await push.drain(3600) == 0
        tasks.cancel_scope.cancel()


async def test_the_fastest_of_several_decides() -> None:
    """As when a SIGTERM comes while somebody drains at leisure."""
    async with pushing() as (push, server), anyio.create_task_group() as tasks:
        await server.connect("/ws/u")
        tasks.start_soon(push.drain, 3600)
        await until(lambda: not core_of(push).hub.accepting)
        with anyio.fail_after(PATIENCE):
            await push.drain(0)


async def test_a_new_start_takes_sessions_again() -> None:
    """Draining is for the life of the process, or of what was started in it."""
    async with pushing() as (push, _):
        await push.drain(0)
        assert not core_of(push).hub.accepting
    async with push:
        assert core_of(push).hub.accepting


@pytest.mark.parametrize("over", [-1, float("nan"), float("inf"), True, None, "10"], ids=repr)
async def test_a_time_that_is_none(over: Any) -> None:
    """It is named, and nothing is done."""
    async with pushing() as (push, _):
        with pytest.raises(ValueError, match="over: must be"):
            await push.drain(over)
        assert core_of(push).hub.accepting


async def test_it_must_run() -> None:
    """As for every verb."""
    with pytest.raises(NotRunningError):
        await Push().drain()


async def test_a_drain_that_is_cancelled_goes_on() -> None:
    """There is no way back, so nobody is left in a process that takes nobody in."""
    async with pushing() as (push, server):
        clients = [await server.connect(f"/ws/{user}") for user in "abc"]
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(push.drain, 0.2)
                await until(lambda: not core_of(push).hub.accepting)
                scope.cancel()
        for client in clients:
            assert (await client.receive_close()).code == 1012
