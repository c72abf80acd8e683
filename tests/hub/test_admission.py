"""Who may come in, where all processes are asked."""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import pytest
from starlette.requests import HTTPConnection

from asgi_push import BrokerError, Session
from asgi_push.brokers.memory import MemoryPresence
from asgi_push.push import core_of
from tests.asgi import PATIENCE, Refused, pushing, until


class Others:
    """What the other processes say."""

    def __init__(self) -> None:
        self.room = True
        self.asked = anyio.Event()
        self.answer: Callable[[], None] = lambda: None
        self.wait: anyio.Event | None = None
        self.reserved: list[str] = []

    async def reserve(self, channel: str, session: Session) -> bool:
        self.reserved.append(session.id)
        self.asked.set()
        if self.wait is not None:
            await self.wait.wait()
        self.answer()
        if not self.room:
            self.reserved.remove(session.id)
        return self.room

    def remove(self, channel: str, session: Session) -> None:
        if session.id in self.reserved:
            self.reserved.remove(session.id)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    others = Others()
    monkeypatch.setattr(MemoryPresence, "reserve", lambda self, *args: others.reserve(*args))
    monkeypatch.setattr(MemoryPresence, "remove", lambda self, *args: others.remove(*args))
    return others


async def test_all_processes_are_asked(others: Others) -> None:
    """No room there is no room here; a session that leaves gives its place back."""
    async with pushing(max_sessions_per_user=2) as (_, server):
        client = await server.connect("/ws/alice")
        assert len(others.reserved) == 1
        others.room = False
        with pytest.raises(Refused, match="429"):
            await server.connect("/ws/alice")
        others.room = True
        await server.connect("/ws/alice")
        with pytest.raises(Refused, match="429"):  # nobody needs to be asked
            await server.connect("/ws/alice")
        assert len(others.reserved) == 2
        client.close()
        await client.ended()
        assert len(others.reserved) == 1


async def test_without_an_answer_the_own_count_holds(others: Others, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is locked out because the broker is down; that is said once."""

    def fail() -> None:
        raise BrokerError("no Redis")

    others.answer = fail
    async with pushing(max_sessions_per_user=2) as (_, server):
        for _ in range(2):
            await server.connect("/ws/alice")
        with pytest.raises(Refused, match="429"):
            await server.connect("/ws/alice")
    assert caplog.text.count("max_sessions_per_user holds for this process only: no Redis") == 1


async def test_who_gives_up_while_all_are_asked_leaves_no_trace(others: Others) -> None:
    """The place is free again, here and everywhere."""
    others.wait = anyio.Event()
    async with pushing(max_sessions_per_user=1, max_sessions=1) as (_, server):
        leaving = server.begin("/ws/alice")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leaving.open)
            await others.asked.wait()
            leaving.cancel()
            await leaving.finished.wait()
            tasks.cancel_scope.cancel()
        assert others.reserved == []
        others.wait.set()
        await server.connect("/ws/alice")


async def test_an_sdk_client_that_ends_while_all_are_asked(others: Others) -> None:
    """It has its place from the accept on, and gives it back."""
    others.wait = anyio.Event()
    async with pushing(authenticate=lambda connection: "11", max_sessions=1, max_sessions_per_user=1) as (_, server):
        leaving = await server.connect("/connection/websocket")
        leaving.send('{"id": 1, "connect": {}}')
        with anyio.fail_after(PATIENCE):
            await others.asked.wait()
        refused = await server.connect("/connection/websocket")
        assert (await refused.receive_close()).reason == "too many sessions"
        leaving.close()
        await leaving.ended()
        assert others.reserved == []
        others.wait.set()
        client = await server.connect("/connection/websocket")
        client.send('{"id": 1, "connect": {}}')
        assert "connect" in json.loads(await client.receive())


async def test_an_sdk_client_that_ends_while_it_is_identified() -> None:
    """It takes no place after that."""
    asked, go = anyio.Event(), anyio.Event()

    async def authenticate(connection: HTTPConnection) -> str:
        asked.set()
        await go.wait()
        return "11"

    async with pushing(authenticate=authenticate, max_sessions=1) as (push, server):
        leaving = await server.connect("/connection/websocket")
        leaving.send('{"id": 1, "connect": {}}')
        with anyio.fail_after(PATIENCE):
            await asked.wait()
        leaving.close()
        await leaving.ended()
        go.set()
        await until(lambda: not core_of(push).hub._calls.running)
        client = await server.connect("/connection/websocket")
        client.send('{"id": 1, "connect": {}}')
        assert "connect" in json.loads(await client.receive())
