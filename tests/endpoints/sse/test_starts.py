"""How a stream begins: with where it is, and nothing before that."""

from __future__ import annotations

import re
from typing import Any

import pytest

from asgi_push.protocols.sse import LastEventId
from asgi_push.push import core_of
from asgi_push.transports import event_stream
from tests.endpoints.sse.test_streams import begin, open_stream, streaming

IDS = re.compile(rb"^id: (.*)$", re.MULTILINE)


async def test_a_stream_that_is_cut_in_its_first_piece_loses_nothing() -> None:
    """Its ids begin where the client was, and go on with each event: none says more than what came before it."""
    async with streaming(everybody=False) as (push, server):
        before = await open_stream(server)
        for number in range(4):
            await push.publish("news", str(number))
        last = (await before.next()).id
        again = await begin(server, last_id=last)
        assert (await again.client.message())["type"] == "http.response.start"
        piece = (await again.client.message())["body"]
        offsets = [int(found.split(b".")[1]) for found in IDS.findall(piece)]
        assert offsets == [1, 2, 3, 4]


class Direct:
    """A response that can be written to directly, and is whenever nothing that waits holds it."""

    def __init__(self) -> None:
        self.hub = self.session = None
        self.held = False
        self.written: list[bytes] = []

    def write(self, body: bytes) -> bool:
        if self.held:
            return False
        self.written.append(body)
        return True

    def hold(self, held: bool) -> None:
        self.held = held

    def let_go(self) -> None:
        self.held = True

    def limit_silence(self, seconds: float) -> None: ...

    async def flush(self) -> None: ...

    def abort(self) -> None: ...


async def test_nothing_is_written_before_the_start_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication that comes while the start waits for the peer comes after it."""
    direct: Any = Direct()
    monkeypatch.setattr(event_stream, "recognise_stream", lambda send: direct)
    async with streaming(everybody=False) as (push, server):
        stream = await begin(server, "channels=news,other")
        stream.client.block()
        await stream.client.blocked()  # the headers
        stream.client.unblock()
        stream.client.block()
        await stream.client.blocked()  # the start
        await push.publish("news", "first")
        await core_of(push).hub.fanout.settled()
        assert direct.written == []
        stream.client.unblock()
        await stream.start()
        assert await stream.take(1) == ["first"]
        await push.publish("news", "second")
        await core_of(push).hub.fanout.settled()
        assert b"data: second" in direct.written[0]
        await push.publish("other", "third")
        await core_of(push).hub.fanout.settled()
        (last,) = IDS.findall(direct.written[1])
        position = LastEventId(last.decode()).position("news")
        assert position is not None
        assert position.offset == 2, "what was written directly counts"


async def test_a_stream_that_is_closed_waits_for_no_client() -> None:
    """The application returns once the end is sent, whether or not the server says that the client has left."""
    async with streaming(everybody=False) as (push, server):
        stream = await open_stream(server)
        (session,) = push.sessions()
        await session.close()
        await stream.end()
        await stream.client.ended()


async def test_an_id_says_where_the_stream_is_in_each_channel() -> None:
    """Also of what was sent before it, in another."""
    async with streaming(everybody=False) as (push, server):
        stream = await open_stream(server, "channels=news,other")
        offsets = []
        for channel in ("news", "other", "news"):
            await push.publish(channel, "x")
            last = LastEventId((await stream.next()).id)
            places = [last.position(name) for name in ("news", "other")]
            offsets.append([place.offset for place in places if place is not None])
        assert offsets == [[1, 0], [1, 1], [2, 1]]
