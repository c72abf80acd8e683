"""What operators ask of one process, and how it is drained."""

from __future__ import annotations

import anyio
import pytest

from asgi_push.push import core_of
from tests.asgi import until
from tests.endpoints.api.posting import api


async def test_sessions_are_listed() -> None:
    """Those of a user, of a channel or all, the oldest first and no more than asked for; with how many there are."""
    async with api(authorize=lambda session, channel, action: True) as caller:
        for path in ("/ws/alice", "/ws/bob?channels=news", "/ws/alice?channels=news"):
            await caller.server.connect(path)

        async def users(**fields: object) -> tuple[list[str], int]:
            found = (await caller.post("sessions", **fields))["result"]
            return [session["user"] for session in found["sessions"]], found["num_clients"]

        assert await users() == (["alice", "bob", "alice"], 3)
        assert await users(user="alice") == (["alice", "alice"], 2)
        assert await users(channel="news") == (["bob", "alice"], 2)
        assert await users(channel="news", user="alice") == (["alice"], 1)
        assert await users(limit=1) == (["alice"], 3)
        (session,) = (await caller.post("sessions", user="bob"))["result"]["sessions"]
        (bob,) = caller.push.sessions("bob")
        assert 0 <= session.pop("seen") <= session.pop("connected")
        assert session == {
            "client": bob.id,
            "user": "bob",
            "protocol": "plain",
            "transport": "websocket",
            "remote": "192.0.2.1",
            "channels": ["*", "#bob", "news"],
            "queued": 0,
            "dropped": 0,
            "process": core_of(caller.push).hub.id,
        }


async def test_draining_over_http() -> None:
    """The answer comes when all sessions are closed, and says how many there were."""
    async with api() as caller:
        client = await caller.server.connect("/ws/alice")
        assert await caller.post("drain", over=0.1) == {"result": {"num_clients": 1}}
        assert str(await client.receive_close()) == "1012 shutdown"
        assert not core_of(caller.push).hub.accepting


async def test_draining_goes_on_without_who_asked_for_it() -> None:
    """A caller whose time is over has begun it all the same."""
    async with api(drain_timeout=0.3) as caller:
        client = await caller.server.connect("/ws/alice")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.post, "drain")
            await until(lambda: not core_of(caller.push).hub.accepting)
            tasks.cancel_scope.cancel()
        assert not core_of(caller.push).hub.accepting
        assert str(await client.receive_close()) == "1012 shutdown"


@pytest.mark.parametrize(
    ("method", "fields", "says"),
    [
        ("sessions", {"limit": -1}, "limit: "),
        ("sessions", {"limit": 10_001}, "limit: "),
        ("sessions", {"channel": "x" * 256}, "channel: "),
        ("sessions", {"process": "nobody"}, "process: there is no process 'nobody'"),
        ("drain", {"process": "nobody"}, "process: there is no process 'nobody'"),
        ("drain", {"over": -1}, "over: "),
        ("drain", {"over": "1"}, "over: "),
    ],
)
async def test_what_cannot_be_used(method: str, fields: dict[str, object], says: str) -> None:
    """It is named, and nothing is done."""
    async with api() as caller:
        code, message = await caller.error(method, **fields)
        assert code == 107
        assert says in message
        assert core_of(caller.push).hub.accepting
