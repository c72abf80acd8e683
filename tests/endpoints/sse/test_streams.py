"""Event streams in process: what goes wrong with a client, a broker or the time goes wrong at a word."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from asgi_push import BrokerError, Credentials, Disconnect, Push, Session
from asgi_push.push import core_of
from tests.asgi import PATIENCE, Client, Clock, Server, pushing, until
from tests.endpoints.sse.reading import Event, Reader


class Stream:
    """One request, and what a browser makes of the answer."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.reader = Reader()
        self._events: deque[Event] = deque()

    async def start(self) -> dict[str, str]:
        """Return the headers of a stream that has begun, and told its first id."""
        message = await self.client.message()
        assert (message["type"], message["status"]) == ("http.response.start", 200)
        await self._read()
        return {name.decode(): value.decode() for name, value in message["headers"]}

    async def _read(self) -> bool:
        message = await self.client.message()
        assert message["type"] == "http.response.body"
        self._events += self.reader.feed(message["body"])
        return bool(message.get("more_body"))

    async def next(self) -> Event:
        """Return the next event."""
        while not self._events:
            await self._read()
        return self._events.popleft()

    async def take(self, count: int) -> list[str]:
        """Return the data of the next events."""
        return [(await self.next()).data for _ in range(count)]

    async def end(self) -> list[Event]:
        """Return the events up to the end of the stream."""
        while await self._read():
            pass
        return list(self._events)


async def begin(server: Server, query: str = "channels=news", last_id: str = "", **headers: str) -> Stream:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"last-event-id": last_id}
    client = server.begin("/push/events", query=query, headers=sent, type="http", method="GET", scheme="http")
    return Stream(client)


async def open_stream(server: Server, query: str = "channels=news", last_id: str = "", **headers: str) -> Stream:
    stream = await begin(server, query, last_id, **headers)
    await stream.start()
    return stream


@asynccontextmanager
async def streaming(**options: Any) -> AsyncIterator[tuple[Push, Server]]:
    """A Push with streams, whose user is the one of the query."""

    def authenticate(connection: HTTPConnection) -> str:
        return connection.query_params.get("user", "")

    options = {"authenticate": authenticate, "authorize": lambda *_: True, "anonymous": True} | options
    async with pushing(sse=True, **options) as (push, server):
        yield push, server


ENDED: list[Disconnect] = []


def note(session: Session, disconnect: Disconnect) -> None:
    ENDED.append(disconnect)


@pytest.fixture(autouse=True)
def _nothing_noted() -> None:
    ENDED.clear()


@pytest.mark.parametrize("policy", ["disconnect", "drop_oldest", "drop_newest"])
@pytest.mark.usefixtures("patient_with_slow")
async def test_a_slow_client_comes_back_for_the_rest(policy: str) -> None:
    """A full queue ends the stream whatever the policy, as the client knows where it was and loses nothing."""
    options = {"queue_messages": 4, "slow_consumer": policy, "send_timeout": PATIENCE}
    async with streaming(**options, on_disconnect=note) as (push, server):
        stream = await open_stream(server)
        await push.publish("news", "0")
        assert await stream.take(1) == ["0"]
        stream.client.block()
        for number in range(1, 20):
            await push.publish("news", str(number))
            await core_of(push).hub.fanout.settled()
        await until(lambda: not push.sessions())
        stream.client.unblock()
        await until(lambda: ENDED)
        assert ENDED == [Disconnect.SLOW]
        got = [event.data for event in await stream.end() if event.name == "message"]
        again = await open_stream(server, last_id=stream.reader.last_id)
        assert [*got, *await again.take(19 - len(got))] == [str(number) for number in range(1, 20)]


async def test_one_piece_for_all_that_came_at_once() -> None:
    """Publications of one run are one part of the body."""
    async with streaming() as (push, server):
        stream = await open_stream(server)
        for number in range(10):
            await push.publish("news", str(number))
        message = await stream.client.message()
        assert [event.data for event in Reader().feed(message["body"])] == [str(number) for number in range(10)]


async def test_comments_keep_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after each interval, and no end for want of an answer."""
    clock = Clock(monkeypatch)
    async with streaming(ping_interval=20) as (push, server):
        stream = await open_stream(server)
        for count in range(1, 4):
            await clock.advance(push, 20.5)
            assert (await stream.client.message())["body"] == b":\n\n"
            assert len(push.sessions()) == 1, count


async def test_credentials_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser is told, and comes back with what it has then."""
    clock = Clock(monkeypatch)
    credentials = Credentials("ann", expires_at=time.time() + 60)
    async with streaming(authenticate=lambda _: credentials) as (push, server):
        stream = await open_stream(server)
        await clock.advance(push, 61)
        assert [event.data for event in await stream.end()] == ['{"code":3005,"reason":"credentials expired"}']
        assert stream.reader.last_id != "-"


async def test_a_broker_that_fails_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream ends, with when to come back; nothing says that the client is where it is not."""

    async def fail(*_: object) -> None:
        raise BrokerError("it is gone")

    async with streaming() as (push, server):
        monkeypatch.setattr(core_of(push).hub.broker, "begin_now", lambda _: None)
        monkeypatch.setattr(core_of(push).hub.broker, "begin", fail)
        stream = await begin(server)
        assert (await stream.client.message())["type"] == "http.response.start"
        assert [event.data for event in await stream.end()] == ['{"code":3010,"reason":"insufficient state"}']
        assert (stream.reader.last_id, stream.reader.retry is None) == ("", False)


async def test_something_lost_on_the_way() -> None:
    """The stream ends, and the client comes back from where it was."""
    async with streaming() as (push, server):
        stream = await open_stream(server)
        core_of(push).hub.publisher.lost("news")
        assert [event.data for event in await stream.end()] == ['{"code":3010,"reason":"insufficient state"}']
        await push.publish("news", "missed")
        again = await open_stream(server, last_id=stream.reader.last_id)
        assert await again.take(1) == ["missed"]


async def test_what_is_published_while_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the stream is there and after its place was read: all comes, and once."""
    async with streaming() as (push, server):
        first = await open_stream(server)
        broker = core_of(push).hub.broker
        recover = broker.recover

        async def slowly(channel: str, since: Any) -> Any:
            await push.publish("news", f"before {channel}")
            recovery = await recover(channel, since)
            await push.publish("news", f"after {channel}")
            return recovery

        monkeypatch.setattr(broker, "recover", slowly)
        again = await open_stream(server, last_id=first.reader.last_id)
        await push.publish("news", "then")
        assert await again.take(5) == ["before *", "after *", "before news", "after news", "then"]


async def test_a_session_alone_is_sent_to() -> None:
    """What is for this stream only is in no channel, and changes no id."""
    async with streaming() as (push, server):
        stream = await open_stream(server)
        last_id = stream.reader.last_id
        (session,) = push.sessions()
        await session.send({"hello": 1})
        event = await stream.next()
        assert (event.data, event.id) == ('{"hello":1}', last_id)


async def test_a_channel_without_history_is_a_gap() -> None:
    """What was missed in it is not known, and that is told."""
    async with streaming(history_size=0) as (push, server):
        stream = await open_stream(server)
        await push.publish("news", "1")
        event = await stream.next()
        again = await open_stream(server, last_id=event.id or stream.reader.last_id)
        gap = await again.next()
        assert (gap.name, gap.data) == ("gap", '{"channels":["*","news"]}')


async def test_the_application_subscribes_since() -> None:
    """With what came after a position; or with word of a gap."""
    async with streaming() as (push, server):
        position = (await push.publish("late", "0")).position
        assert position is not None
        await push.publish("late", "1")
        stream = await open_stream(server, "user=ann")
        (session,) = push.sessions()
        await core_of(push).hub.membership.subscribe(session, "late", None, position)
        assert await stream.take(1) == ["1"]
        await core_of(push).hub.membership.subscribe(session, "other", None, position)
        assert (await stream.next()).data == '{"channels":["other"]}'


async def test_a_send_that_fails_is_a_client_that_left(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the server raises; no other stream is hurt."""
    async with streaming(on_disconnect=note) as (push, server):
        stream, other = await open_stream(server), await open_stream(server)
        stream.client.fail(OSError("reset"))
        await push.publish("news", "x")
        assert await other.take(1) == ["x"]
        await until(lambda: ENDED)
        assert ENDED == [Disconnect.CONNECTION_LOST]
        await stream.client.ended()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_refusals_that_pass() -> None:
    """A status for every client but a browser's EventSource, which would never come again."""
    async with streaming(max_sessions=1) as (_, server):
        await open_stream(server)
        refused = await begin(server, accept="text/event-stream")
        message = await refused.client.message()
        headers = dict(message["headers"])
        assert (message["status"], headers[b"retry-after"]) == (503, b"5")
        browser = await begin(server, accept="text/event-stream", sec_fetch_mode="cors")
        assert (await browser.client.message())["status"] == 200
        (end,) = await browser.end()
        assert end.retry is not None
        assert end.retry >= 5000


async def test_a_drain_gives_each_stream_a_time_of_its_own() -> None:
    """So that they do not come back together."""
    async with streaming() as (push, server):
        streams = [await open_stream(server) for _ in range(8)]
        await push.drain(0.01)
        ends = [(await stream.end())[0] for stream in streams]
        assert {end.data for end in ends} == {'{"code":3001,"reason":"shutdown"}'}
        assert len({end.retry for end in ends}) > 1
        refused = await begin(server)
        assert (await refused.client.message())["status"] == 503
