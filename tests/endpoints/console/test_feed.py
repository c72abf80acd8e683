"""A console's connection in process, on both event loops: what comes by it, and when it ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
import pytest

from asgi_push import Push
from asgi_push.endpoints.console import endpoint, feed
from asgi_push.endpoints.console.login import COOKIE, LIFETIME, issue
from asgi_push.hub import samples
from asgi_push.push import core_of
from tests.asgi import PATIENCE, Client, Clock, Refused, Server, pushing, until

KEY = "k"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "INTERVAL", 0.01)
    monkeypatch.setattr(feed, "_SETTLE", 0.0)
    monkeypatch.setattr(samples, "INTERVAL", 0.01)


def headers(value: str | None = None, **others: str) -> dict[str, str]:
    cookie = f"{COOKIE}={issue(KEY, time.time()) if value is None else value}"
    return {"cookie": cookie, "origin": "http://testserver", "host": "testserver", **others}


async def open_console(server: Server, **others: str) -> Client:
    return await server.connect("/push/console/live", headers=headers(**others))


async def receive(client: Client, name: str) -> Any:
    """Return what comes next under a name; states that come before it are passed over."""
    while True:
        message = orjson.loads(await client.receive())
        if name in message:
            return message[name]


@asynccontextmanager
async def watched(**options: Any) -> AsyncIterator[tuple[Push, Server, Client]]:
    async with pushing(console=True, api_key=KEY, **options) as (push, server):
        yield push, server, await open_console(server)


async def test_what_comes() -> None:
    """First what all processes have in common, then one state after the other, of whatever is looked at."""
    async with watched() as (push, server, console):
        met = orjson.loads(await console.receive())["server"]
        assert (met["hub"], met["broker"]) == (core_of(push).hub.id, "memory")
        assert met["paths"] == ["/ws/{user_id}", "/connection/websocket"]
        assert (await receive(console, "sessions"))["rows"] == []
        await server.connect("/ws/alice")
        console.send('{"list": "sessions", "search": "ALI"}')
        while (found := await receive(console, "sessions"))["count"] != 1:
            pass
        assert found["rows"][0]["user"] == "alice"
        session = push.sessions("alice")[0].id
        console.send(orjson.dumps({"open_session": session, "open_channel": "*"}).decode())
        assert (await receive(console, "session"))["id"] == session
        assert (await receive(console, "channel"))["name"] == "*"
        taken = []
        while len(taken) < 3:
            (process,) = await receive(console, "processes")
            taken += [sample["at"] for sample in process["samples"]]
        assert len(taken) == len(set(taken)), "only those that are new"
        assert (process["id"], process["sessions"], process["accepting"]) == (met["hub"], 1, True)


async def test_it_is_nobody() -> None:
    """A console is in no list, in no channel and in no number; no hook is called for it, and no limit counts it."""
    called: list[object] = []
    async with watched(max_sessions=1, on_connect=called.append, on_disconnect=lambda *_: called.append(1)) as (
        push,
        server,
        console,
    ):
        await receive(console, "sessions")
        assert push.sessions() == []
        assert (await push.send_to_all("x")).receivers == 0
        assert sum(core_of(push).hub.counters.connects.values()) == 0
        console.close()
        await console.ended()
        await server.connect("/ws/alice")
        await until(lambda: called)
        assert len(called) == 1, "for alice"


async def test_acts() -> None:
    """What is asked for is done and answered, each by its number; what cannot be done says why."""
    async with watched() as (push, server, console):
        alice = await server.connect("/ws/alice")
        for number, (request, answer) in enumerate(
            (
                (
                    {"do": "publish", "channel": "#alice", "data": "{}", "json": True},
                    {"done": "Published at offset 1, to 1 session"},
                ),
                ({"do": "publish", "channel": "#alice"}, {"failed": "data is missing"}),
                ({"do": "publish", "channel": "", "data": ""}, None),
                ({"do": "disconnect"}, {"failed": "user, session: one of them must be named"}),
                ({"do": "disconnect", "user": "alice"}, {"done": "Disconnected every session of alice"}),
                ({"do": "drain", "over": -1}, None),
                ({"do": "drain", "over": 0}, {"done": "Drained: 0 sessions sent away"}),
            )
        ):
            console.send(orjson.dumps({**request, "number": number}).decode())
            given = await receive(console, "answer")
            assert given.pop("number") == number
            assert given == answer or (answer is None and "failed" in given)
        assert await alice.receive() == "{}"
        assert (await alice.receive_close()).code == 3503
        assert not core_of(push).hub.accepting


async def test_too_much_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console that asks for more than can be under way is told so; it is not kept waiting."""
    monkeypatch.setattr(endpoint, "_MAX_ACTIONS", 0)
    async with watched() as (_, _, console):
        console.send('{"do": "drain", "number": 1, "over": 0}')
        assert await receive(console, "answer") == {"number": 1, "failed": "too much is under way"}


@pytest.mark.parametrize("said", ["{", '{"list": 5}', "x" * 70_000, b"\x00"])
async def test_nonsense_ends_it(said: str | bytes) -> None:
    """Who says what no page of ours says is sent away."""
    async with watched() as (_, _, console):
        console.send(said)
        with anyio.fail_after(PATIENCE):
            _, closed = await console.receive_to_close()
        assert closed.code in (3501, 1009)


async def test_heartbeat() -> None:
    """Its heartbeat is answered."""
    async with watched() as (_, _, console):
        console.send("ping")
        while await console.receive() != "pong":
            pass


async def test_ends_with_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the login is over, so is the connection."""
    clock = Clock(monkeypatch)
    async with watched() as (push, _, console):
        await receive(console, "sessions")
        await clock.advance(push, LIFETIME + 1)
        with anyio.fail_after(PATIENCE):
            _, closed = await console.receive_to_close()
        assert closed.code == 3005


async def test_one_that_does_not_read() -> None:
    """A page that does not read is sent no more until it does: what waits for it is one state."""
    async with watched() as (push, server, console):
        await receive(console, "sessions")
        console.block()
        await console.blocked()
        found = server.app._paths["websocket"][0].serve.__self__._feeds[core_of(push).hub]
        (one,) = found.subscribers
        kept = core_of(push).hub.samples
        seen = kept.count
        await until(lambda: kept.count > seen + 20)
        assert one.session.queue is not None
        assert len(one.session.queue) <= 2
        console.unblock()


async def test_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are only so many consoles of one process; with one gone there is room again."""
    monkeypatch.setattr(endpoint, "MAX_SUBSCRIBERS", 1)
    async with watched() as (_, server, console):
        with pytest.raises(Refused) as refused:
            await open_console(server)
        assert refused.value.status == 503
        console.close()
        await console.ended()
        await open_console(server)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (headers(""), 401),
        (headers(issue("other", 4e9)), 401),
        (headers(origin="https://elsewhere.example"), 403),
        (headers(origin=""), 403),
    ],
)
async def test_refused(sent: dict[str, str], status: int) -> None:
    """Who has not logged in, or comes from another page, gets no feed, even where all origins may connect."""
    async with pushing(console=True, api_key=KEY, allowed_origins="*") as (_, server):
        with pytest.raises(Refused) as refused:
            await server.connect("/push/console/live", headers=sent)
        assert refused.value.status == status
