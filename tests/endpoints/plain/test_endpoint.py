"""The plain protocol over a WebSocket: heartbeats, messages, and their limits."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_push import Disconnect
from tests.asgi import Clock, pushing, until


async def serve_one(sent: list[str | bytes], **options: Any) -> tuple[list[str | bytes], list[str | bytes]]:
    """What on_message gets of what a client sends, and what the client gets, up to a last ping."""
    got: list[str | bytes] = []
    async with pushing(on_message=lambda _, data: got.append(data), **options) as (_, server):
        client = await server.connect("/ws/alice")
        for data in sent:
            client.send(data)
        client.send('{"type":"ping","last":1}')
        received = []
        while (message := await client.receive()) != '{"type":"pong","last":1}':
            received.append(message)
        client.send("-- end --")
        await until(lambda: got[-1:] == ["-- end --"])
        return got[:-1], received


async def test_heartbeats_are_answered_and_all_else_goes_to_the_application() -> None:
    """What a heartbeat is, the plain protocol says."""
    sent: list[str | bytes] = ["ping", "hello", "HeartBeat", b"ping", '{"type":"ping"}', '{"type":"x"}', "", b""]
    got, received = await serve_one(sent)
    assert got == ["hello", b"ping", '{"type":"x"}', "", b""]
    assert received == ["pong", '{"type":"pong"}', '{"type":"pong"}']


async def test_echo_mirrors_the_ping() -> None:
    """For helpers that wait for the message that they sent."""
    assert await serve_one(["ping", "HeartBeat"], pong="echo") == ([], ["ping", '{"type":"pong"}'])


async def test_garbage_is_the_applications() -> None:
    """Nothing that a client sends raises."""
    sent: list[str | bytes] = [
        "{",
        "[]",
        '"ping"',
        "\x00",
        "\ud800",
        '{"type":"ping","a":' + "[" * 400 + "]" * 400 + "}",
    ]
    got, received = await serve_one(sent)
    assert got == sent
    assert received == []


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        ("x" * 100, True),
        ("x" * 101, False),
        ("\u00e9" * 50, True),
        ("\u00e9" * 51, False),
        ("\U0001f600" * 25, True),
        ("\U0001f600" * 26, False),
        (b"x" * 100, True),
        (b"x" * 101, False),
        ('{"type":"ping","a":"' + "x" * 79 + '"}', False),  # a heartbeat is a message too
    ],
    ids=lambda value: f"{value!r:.30}",
)
async def test_an_oversize_message_closes(data: str | bytes, fits: bool) -> None:
    """A message of more bytes than max_message_bytes closes with 1009 and reaches nobody."""
    got: list[str | bytes] = []
    async with pushing(max_message_bytes=100, on_message=lambda _, data: got.append(data)) as (_, server):
        client = await server.connect("/ws/alice")
        client.send(data)
        client.send("ping")
        if fits:
            assert await client.receive() == "pong"
            await until(lambda: got == [data])
        else:
            assert (await client.receive_close()).code == 1009
            await client.ended()
            assert got == []


async def test_a_client_that_falls_silent_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ever sent a heartbeat; anything that it sends keeps it alive, and one that never did is left alone."""
    clock = Clock(monkeypatch)
    async with pushing(idle_timeout=75) as (push, server):
        silent, talking, _ = [await server.connect(f"/ws/{user}") for user in ("silent", "talking", "never")]
        for client in (silent, talking):
            client.send("ping")
            assert await client.receive() == "pong"
        await clock.advance(push, 74)
        assert len(push.sessions()) == 3
        (session,) = push.sessions("talking")
        seen = session.last_seen
        talking.send("anything")
        await until(lambda: session.last_seen > seen)
        await clock.advance(push, 2)
        assert (await silent.receive_close()).code == Disconnect.NO_HEARTBEAT.code
        assert [session.user for session in push.sessions()] == ["talking", "never"]
        await clock.advance(push, 74)
        assert (await talking.receive_close()).code == Disconnect.NO_HEARTBEAT.code
        assert [session.user for session in push.sessions()] == ["never"]


async def test_no_unsolicited_text() -> None:
    """A plain client gets publications and answers, and nothing else, from accept to close."""
    async with pushing() as (push, server):
        client = await server.connect("/ws/alice")
        await push.subscribe("alice", "news")
        await push.unsubscribe("alice", "news")
        await push.send_to_user("alice", "only this")
        await push.disconnect("alice")
        messages, _ = await client.receive_to_close()
        assert messages == ["only this"]
