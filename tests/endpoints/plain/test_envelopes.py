"""Envelopes: a bare page that loses nothing, or is told."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from asgi_push import ChannelOptions, Push, Session
from asgi_push.push import core_of
from tests import asgi
from tests.asgi import Refused, until

Ids = dict[str, str]


class Page:
    """A page of ten lines: it keeps the ids that it has seen, and comes back with them."""

    def __init__(self, server: asgi.Server, path: str = "/ws/ann") -> None:
        self.ids: Ids = {}
        self._server = server
        self._path = path

    async def connect(self, query: str = "") -> list[dict[str, Any]]:
        """Connect with the ids; return all up to the welcome."""
        since = quote(json.dumps(self.ids)) if self.ids else ""
        path = f"{self._path}?since={since}&{query}"
        self.client = await self._server.connect(path)
        found = [await self.next()]
        while found[-1].get("type") != "welcome":
            found.append(await self.next())
        return found

    async def next(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(await self.client.receive())
        if "id" in message:
            self.ids[message["channel"]] = message["id"]
        self.ids |= message.get("ids", {})
        return message

    async def cut(self, push: Push) -> None:
        """The connection is cut, and the server sees it."""
        before = len(push.sessions())
        self.client.close(1006)
        await until(lambda: len(push.sessions()) < before)


@asynccontextmanager
async def paging(**options: Any) -> AsyncIterator[tuple[Push, Page]]:
    options = {"everybody": False, "authorize": lambda *_: True} | options
    async with asgi.pushing(**options) as (push, server):
        yield push, Page(server)


def data(messages: list[dict[str, Any]]) -> list[Any]:
    return [message["data"] for message in messages if "data" in message]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ('text \u00e9\n"', {"data": 'text \u00e9\n"'}),
        ({"a": [1, None]}, {"data": {"a": [1, None]}}),
        (b"\x00\xff", {"base64": base64.b64encode(b"\x00\xff").decode()}),
    ],
)
async def test_an_envelope_has_channel_id_time_and_data(sent: Any, field: dict[str, Any]) -> None:
    """Text and JSON as data, bytes in base64; the id and the time are those of the history."""
    async with paging() as (push, page):
        await page.connect()
        await push.send_to_user("ann", sent)
        (kept,) = (await push.history("#ann")).publications
        assert kept.time is not None
        message = await page.next()
        assert message.pop("time") == pytest.approx(kept.time, abs=0.001)
        assert message == {"channel": "#ann", "id": kept.id, **field}


async def test_an_envelope_says_when_somebody_waits_for_its_confirmation() -> None:
    """The publisher does, or the inbox; also if it was missed, and first comes now."""
    async with paging() as (push, page):
        await page.connect("channels=news")

        async def publish() -> None:
            await push.send_to_user("ann", 1, inbox=True)
            await push.publish("news", 2, confirm=0.01)
            await push.publish("news", 3)

        await publish()
        live = [await page.next() for _ in range(3)]
        await page.cut(push)
        await publish()
        missed = (await page.connect("channels=news"))[:-1]
        for messages in (live, missed):
            assert {item["data"]: item.get("confirm") for item in messages} == {1: True, 2: True, 3: None}


async def test_a_page_learns_where_it_stands() -> None:
    """The welcome has the places of all its channels with a history, before anything came."""
    options = {"live": ChannelOptions(history_size=0)}
    async with paging(namespaces=options, everybody=True) as (push, page):
        await push.publish("news", 1)
        (welcome,) = await page.connect("channels=news,live:a")
        (session,) = push.sessions()
        assert session.protocol == "plain"
        ids = {name: (await push.history(name)).id for name in ("#ann", "*", "news")}
        expected = {"type": "welcome", "session": session.id, "recovered": False, "ids": ids}
        assert welcome == expected


async def test_what_was_missed_comes_first_and_once() -> None:
    """In order, before the welcome; then what is published."""
    async with paging() as (push, page):
        await page.connect("channels=news")
        await push.publish("news", 1)
        assert (await page.next())["data"] == 1
        await page.cut(push)
        for number in range(2, 6):
            await push.publish("news", number)
        await push.send_to_user("ann", "own")
        messages = await page.connect("channels=news")
        assert data(messages) == ["own", 2, 3, 4, 5]
        assert messages[-1]["recovered"] is True
        assert messages[-1]["ids"]["news"] == (await push.history("news")).id
        await push.publish("news", 6)
        assert (await page.next())["data"] == 6


async def test_a_page_that_has_seen_no_message_yet_misses_none() -> None:
    """The ids of the welcome are good to come back with."""
    async with paging() as (push, page):
        await page.connect()
        await page.cut(push)
        await push.send_to_user("ann", 1)
        assert data(await page.connect()) == [1]


@pytest.mark.parametrize("lost", ["trimmed", "restarted"])
async def test_what_is_lost_for_good_is_told_first(lost: str) -> None:
    """A history that does not reach back, or one that is gone, is a gap in its channel alone."""
    async with paging(history_size=3) as (push, page):
        await page.connect("channels=news")
        await push.publish("news", 0)
        await page.next()
        await page.cut(push)
        await push.send_to_user("ann", "own")
        if lost == "trimmed":
            for number in range(4):
                await push.publish("news", number)
        else:
            page.ids["news"] = "1.another"
        gap, own, welcome = await page.connect("channels=news")
        assert gap == {"type": "gap", "channels": ["news"]}
        assert own["data"] == "own"
        assert welcome["recovered"] is False
        assert welcome["ids"]["news"] == (await push.history("news")).id
        await page.cut(push)
        assert [message["type"] for message in await page.connect("channels=news")] == ["welcome"]


async def test_many_missed_messages_come_whole() -> None:
    """More than are sent in one turn of the event loop."""
    async with paging(history_size=1000) as (push, page):
        await page.connect()
        await page.cut(push)
        for number in range(700):
            await push.send_to_user("ann", number)
        assert data(await page.connect()) == list(range(700))


@pytest.mark.parametrize(
    "since",
    [
        "[]",
        "1",
        "x",
        '{"news":1}',
        '{"news":"1"}',
        '{"news":"x.y"}',
        '{"news":{}}',
        '{"a":"' + "1" * 20 + '.x"}',
        "[" * 500,
        '{"a":"1.' + "x" * 60_000 + '"}',
    ],
    ids=lambda since: since[:20],
)
async def test_a_since_that_is_none_is_refused(since: str) -> None:
    """With a sentence; nobody becomes a session by it."""
    async with paging() as (push, page):
        with pytest.raises(Refused, match="since: ") as refused:
            await page._server.connect(f"/ws/ann?since={quote(since)}")
        assert refused.value.status == 400
        assert push.sessions() == []


async def test_since_opens_no_channel() -> None:
    """An id of a channel that the session is not in is passed over."""
    async with paging() as (push, page):
        await push.send_to_user("bob", "secret")
        await push.publish("news", "not asked for")
        page.ids = {"#bob": "0." + quote((await push.history("#bob")).position.epoch), "news": "0.x"}
        (welcome,) = await page.connect()
        assert list(welcome["ids"]) == ["#ann"]


async def test_a_subscription_of_the_application_has_a_place_too() -> None:
    """It is told in one more welcome, and a page that comes back to it misses nothing."""

    async def put_in(session: Session) -> None:
        await push.subscribe(session.user, "news")

    async with paging(on_connect=put_in) as (push, page):
        await page.connect()
        welcome = await page.next()
        assert welcome["type"] == "welcome"
        assert welcome["ids"] == {name: (await push.history(name)).id for name in ("#ann", "news")}
        await page.cut(push)
        await push.publish("news", 1)
        await page.connect()
        assert data([await page.next()]) == [1]
        again = await page.next()
        assert (again["type"], again["recovered"]) == ("welcome", True)


async def test_what_a_process_did_not_hear_is_read_without_a_reconnect() -> None:
    """The page gets it before what came later; only what is kept nowhere any more is told."""
    async with paging(history_size=3) as (push, page):
        await page.connect("channels=news")
        hub = core_of(push).hub
        deliver, hub.broker._deliver = hub.broker._deliver, lambda publication: 0  # type: ignore[attr-defined]
        for number in range(2):
            await push.publish("news", number)
        hub.broker._deliver = deliver  # type: ignore[attr-defined]
        await push.publish("news", 2)
        assert data([await page.next() for _ in range(3)]) == [0, 1, 2]
        hub.broker._deliver = lambda publication: 0  # type: ignore[attr-defined]
        for number in range(3, 8):
            await push.publish("news", number)
        hub.broker._deliver = deliver  # type: ignore[attr-defined]
        await push.publish("news", 8)
        assert await page.next() == {"type": "gap", "channels": ["news"]}
        assert (await page.next())["ids"]["news"] == (await push.history("news")).id
        await push.publish("news", 9)
        assert (await page.next())["data"] == 9


async def test_what_is_sent_to_one_session_has_no_place() -> None:
    """Neither a channel nor an id."""
    async with paging() as (push, page):
        await page.connect()
        (session,) = push.sessions()
        await session.send({"a": 1})
        assert await page.next() == {"data": {"a": 1}}


async def test_heartbeats_and_acknowledgements_are_no_messages() -> None:
    """A ping is answered with all its fields, however many channels it confirms."""
    got: list[Any] = []
    async with paging(on_message=lambda _, message: got.append(message)) as (push, page):
        await page.connect()
        await push.send_to_user("ann", 1)
        place = (await page.next())["id"]
        seen = {"#ann": place} | {f"news{number}": "1.x" for number in range(200)}
        for message in ({"type": "ack", "channel": "#ann", "id": place}, {"type": "ping", "seen": seen}):
            page.client.send(json.dumps(message))
        assert await page.next() == {"type": "pong", "seen": seen}
        page.client.send("ping")
        assert await page.client.receive() == "pong"
        page.client.send('{"type":"seen","ack":1}')
        page.client.send(b"\x00")
        await until(lambda: len(got) == 2)
        assert got == ['{"type":"seen","ack":1}', b"\x00"]
        (session,) = core_of(push).hub.registry.sessions()
        assert session.subscriptions["#ann"].confirmed == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ack"},
        {"type": "ack", "channel": "#ann"},
        {"type": "ack", "channel": 1, "id": "1.x"},
        {"type": "ack", "channel": "#ann", "id": "x"},
        {"type": "ping", "seen": 1},
        {"type": "ping", "seen": {"#ann": 1}},
    ],
    ids=json.dumps,
)
async def test_an_acknowledgement_of_nothing_is_told(message: dict[str, Any]) -> None:
    """It closes the session with what is wrong."""
    async with paging() as (_, page):
        await page.connect()
        page.client.send(json.dumps(message))
        closed = await page.client.receive_close()
        assert (closed.code, closed.reason[:13]) == (3501, "bad request: ")


async def test_a_slow_page_is_closed_and_misses_nothing() -> None:
    """Whatever the policy for slow consumers is: it comes back with its ids."""
    async with paging(queue_messages=4, slow_consumer="drop_oldest", send_timeout=1e6) as (push, page):
        await page.connect()
        page.client.block()
        for number in range(20):
            await push.send_to_user("ann", number)
        await until(lambda: not push.sessions())
        page.client.unblock()
        before, closed = await page.client.receive_to_close()
        assert closed.code == 1013
        received = [json.loads(message) for message in before]
        page.ids |= {message["channel"]: message["id"] for message in received}
        assert data(received + await page.connect()) == list(range(20))


async def test_without_since_nothing_changes() -> None:
    """A page of the same user that does not ask for envelopes gets what was published."""
    async with paging() as (push, page):
        await page.connect()
        plain = await page._server.connect("/ws/ann")
        await push.send_to_user("ann", {"a": 1})
        assert await plain.receive() == '{"a":1}'
        assert (await page.next())["data"] == {"a": 1}
