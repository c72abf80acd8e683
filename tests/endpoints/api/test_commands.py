"""What each method does, where a client library shows too little of it: plain sessions, errors, odd fields."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import anyio
import pytest

from asgi_push import ChannelOptions, Publication, clock
from asgi_push.push import core_of
from tests.asgi import PATIENCE, Client, Clock, Closed
from tests.endpoints.api.posting import Api, api


@pytest.mark.parametrize(
    ("fields", "received"),
    [
        ({"data": "text"}, "text"),
        ({"data": {"a": [1, None]}}, '{"a":[1,null]}'),
        ({"data": 0}, "0"),
        ({"b64data": "AAE="}, b"\0\1"),
        ({"data": "not this", "b64data": "AAE="}, b"\0\1"),
    ],
    ids=str,
)
async def test_what_a_plain_client_gets(fields: dict[str, Any], received: str | bytes) -> None:
    """The same as from ``push.publish``: a str as it is, bytes in a binary message, all else as JSON."""
    async with api() as caller:
        client = await caller.server.connect("/ws/alice")
        await caller.post("publish", channel="#alice", **fields)
        assert await client.receive() == received


async def test_who_has_confirmed_a_publication() -> None:
    """Beside its position; a plain client is counted, and not waited for."""
    async with api() as caller:
        await caller.server.connect("/ws/alice")
        answer = await caller.post("publish", channel="#alice", data=1, confirm=30.5)
        result = answer["result"]
        assert (result["offset"], result["receivers"], result["confirmed"]) == (1, 1, [])


async def test_publish_into_an_inbox() -> None:
    """It is kept, and called for if nobody confirms it; a bare client gets it, and cannot confirm."""
    undelivered: list[Any] = []
    called = anyio.Event()

    async def on_undelivered(user: str, publication: Publication) -> None:
        undelivered.append((user, publication.data))
        called.set()

    async with api(on_undelivered=on_undelivered) as caller:
        client = await caller.server.connect("/ws/alice")
        fields = {"channel": "#alice", "data": 1, "inbox": True, "idempotency_key": "k"}
        answer = await caller.post("publish", **fields, undelivered_after=0)
        assert answer["result"]["offset"] == 1
        assert await caller.post("publish", **fields) == answer
        assert await client.receive() == "1"
        with anyio.fail_after(PATIENCE):
            await called.wait()
        answer = await caller.post("publish", channel="#alice", b64data="AAE=", inbox=True, confirm=30)
        assert (answer["result"]["receivers"], answer["result"]["confirmed"]) == (1, [])
        assert [publication.data for publication in await caller.push.inbox("alice")] == [1, b"\0\1"]
        assert undelivered == [("alice", 1)]


async def test_ask() -> None:
    """The first answer comes back; where nobody answers it says who was asked."""
    async with api() as caller:
        page = await caller.server.connect("/ws/alice?since=")
        (session,) = caller.push.sessions()
        await page.receive()  # the welcome
        answers: list[Any] = []

        async def ask(**fields: Any) -> None:
            answers.append(await caller.post("ask", data={"sure": "?"}, **fields))

        for fields in ({"user": "alice", "timeout": 30}, {"session": session.id}, {"client": session.id}):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(ask, **fields))
                with anyio.fail_after(PATIENCE):
                    question = json.loads(await page.receive())
                    assert question["data"] == {"sure": "?"}
                    page.send(json.dumps({"type": "answer", "id": question["id"], "data": [True]}))
            assert answers.pop() == {"result": {"answered": True, "answer": [True]}}
        await ask(user="alice", timeout=0.01)
        await ask(user="bob")
        asked = [answer["result"] for answer in answers]
        assert asked == [{"answered": False, "asked": [session.id]}, {"answered": False, "asked": []}]


@pytest.mark.parametrize("number", ["1e400", "123456789012345678901234567890", "1.50"])
async def test_numbers_of_an_answer_stay_as_they_were_written(number: str) -> None:
    """Also those that no float and no whole number of 64 bits can be."""
    async with api() as caller:
        page = await caller.server.connect("/ws/alice?since=")
        await page.receive()  # the welcome
        answers: list[str] = []

        async def ask() -> None:
            body = {"user": "alice", "data": 1, "timeout": 30}
            answers.append((await caller.http.post("/push/api/ask", json=body)).text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            with anyio.fail_after(PATIENCE):
                question = json.loads(await page.receive())
                page.send(f'{{"type": "answer", "id": "{question["id"]}", "data": [{number}]}}')
        assert answers == [f'{{"result":{{"answered":true,"answer":[{number}]}}}}']


async def test_how_many_sessions_a_change_reached() -> None:
    """All of the user's that are in the channel now, or were."""
    async with api() as caller:
        for _ in range(2):
            await caller.server.connect("/ws/alice")
        one = caller.push.sessions()[0].id
        assert await caller.post("subscribe", user="alice", channel="x", client=one) == {"result": {"num_clients": 1}}
        assert await caller.post("subscribe", user="alice", channel="x") == {"result": {"num_clients": 2}}
        assert await caller.post("unsubscribe", user="alice", channel="x") == {"result": {"num_clients": 2}}
        assert await caller.post("unsubscribe", user="alice", channel="x") == {"result": {"num_clients": 0}}
        assert await caller.post("subscribe", user="nobody", channel="x") == {"result": {"num_clients": 0}}


async def test_broadcast_confirmed() -> None:
    """Each channel with who has it and who has said so; with a bad one among them nothing is published."""
    async with api(namespaces={"bare": ChannelOptions(history_size=0)}) as caller:
        await caller.server.connect("/ws/alice")
        answer = await caller.post("broadcast", channels=["#alice", "#bob"], data=1, confirm=30)
        found = [response["result"] for response in answer["result"]["responses"]]
        assert [(item["offset"], item["receivers"], item["confirmed"]) for item in found] == [(1, 1, []), (1, 0, [])]
        for bad in ("bare:1", ""):
            answer = await caller.post("broadcast", channels=["#alice", bad], data=2, confirm=30)
            assert answer["error"]["code"] == 107
        assert (await caller.push.history("#alice")).position.offset == 1


async def test_broadcast_into_inboxes() -> None:
    """Each user keeps it; what is no user's channel is an error of its own."""
    async with api() as caller:
        answer = await caller.post("broadcast", channels=["#alice", "news", "#bob"], data=1, inbox=True)
        first, second, third = answer["result"]["responses"]
        assert (first["result"]["offset"], third["result"]["offset"]) == (1, 1)
        assert "inbox: is for the channel of a user" in second["error"]["message"]
        for user in ("alice", "bob"):
            assert [publication.data for publication in await caller.push.inbox(user)] == [1]


async def test_inbox() -> None:
    """What a user has not confirmed, with its ids and times, and none of it after it is cleared."""
    async with api() as caller:
        for data in ({"n": 1}, b"\x00"):
            await caller.push.send_to_user("alice", data, inbox=True)
        kept = await caller.push.inbox("alice")
        answer = await caller.post("inbox", user="alice")
        shown = answer["result"]["publications"]
        assert [item["data"] for item in shown] == [{"n": 1}, "AA=="]
        assert [item["id"] for item in shown] == [item.id for item in kept]
        assert [item["time"] for item in shown] == [item.time for item in kept]
        assert await caller.post("clear_inbox", user="alice") == {"result": {"removed": 2}}
        assert await caller.post("inbox", user="alice") == {"result": {"publications": []}}


@pytest.mark.parametrize(
    ("method", "fields", "says"),
    [
        ("publish", {"data": 1}, "channel: "),
        ("publish", {"channel": "x" * 256, "data": 1}, "channel: "),
        ("publish", {"channel": "x"}, "data: is missing"),
        ("publish", {"channel": "x", "data": None}, "data: is missing"),
        ("publish", {"channel": "x", "b64data": "?"}, "b64data: "),
        ("publish", {"channel": "x", "b64data": "\u00e9"}, "b64data: "),
        ("publish", {"channel": "x", "data": "x" * 1024 * 1024 + "x"}, "data: "),
        ("publish", {"channel": "x", "data": 1, "confirm": 0}, "confirm: must be"),
        ("publish", {"channel": "x", "data": 1, "confirm": "5"}, "confirm: must be"),
        ("publish", {"channel": "x", "data": 1, "confirm": 1, "skip_history": True}, "confirm: needs"),
        ("publish", {"channel": "x", "confirm": 1}, "data: is missing"),
        ("publish", {"channel": "x", "data": 1, "inbox": True}, "inbox: is for the channel of a user"),
        ("publish", {"channel": "#", "data": 1, "inbox": True}, "inbox: is for the channel of a user"),
        ("publish", {"channel": "#x", "data": 1, "inbox": True, "tags": {"a": "b"}}, "tags: not with inbox"),
        ("publish", {"channel": "#x", "data": 1, "inbox": True, "skip_history": True}, "skip_history: not with"),
        ("publish", {"channel": "#x", "data": 1, "inbox": True, "undelivered_after": "5"}, "undelivered_after: must"),
        ("publish", {"channel": "#x", "data": 1, "undelivered_after": 5}, "undelivered_after: needs inbox"),
        ("publish", {"channel": "#x", "inbox": True}, "data: is missing"),
        ("ask", {"user": "x"}, "data: is missing"),
        ("ask", {"data": 1}, "user, session: one of them"),
        ("ask", {"data": 1, "user": "x", "session": "y"}, "user, session: one of them"),
        ("ask", {"data": 1, "user": "x", "timeout": 0}, "timeout: must be"),
        ("broadcast", {"data": 1}, "channels: "),
        ("broadcast", {"channels": ["a"]}, "data: is missing"),
        ("broadcast", {"channels": ["#a"], "inbox": True}, "data: is missing"),
        ("broadcast", {"channels": ["#a"], "data": 1, "confirm": 1, "inbox": True}, "confirm: not with inbox"),
        ("broadcast", {"channels": ["#a"], "data": 1, "confirm": 1, "skip_history": True}, "confirm: needs"),
        ("broadcast", {"channels": ["#a"], "data": 1, "undelivered_after": 5}, "undelivered_after: needs inbox"),
        ("subscribe", {"channel": "x"}, "user: "),
        ("subscribe", {"user": "alice"}, "channel: "),
        ("subscribe", {"user": "alice", "channel": "#bob"}, "channel: "),
        ("subscribe", {"user": "alice", "channel": "x", "data": "x" * 1024 * 1024 + "x"}, "data: "),
        ("unsubscribe", {"user": "alice", "channel": "*"}, "channel: "),
        ("disconnect", {}, "user: "),
        ("disconnect", {"user": "alice", "disconnect": {"code": 4000}}, "disconnect: "),
        ("disconnect", {"user": "alice", "disconnect": {"code": 5, "reason": "x"}}, "disconnect: "),
        ("refresh", {"expired": True}, "user: "),
        ("presence", {}, "channel: "),
        ("presence_stats", {}, "channel: "),
        ("history", {}, "channel: "),
        ("history", {"channel": "x", "limit": 1, "since": {}, "reverse": True}, ""),
        ("history_remove", {}, "channel: "),
        ("inbox", {}, "user: "),
        ("clear_inbox", {}, "user: "),
        ("channels", {"pattern": "x" * 256}, "pattern: "),
        ("channels", {"pattern": "{a,b}" * 7}, "pattern: "),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_a_field_that_cannot_be_used(method: str, fields: dict[str, Any], says: str) -> None:
    """The error says which one, and why."""
    async with api() as caller:
        code, message = await caller.error(method, **fields)
        assert code == 107
        assert message.startswith(f"bad request: {says}" if says else "bad request")


async def test_a_batch_goes_on_after_an_error() -> None:
    """Each command has its own answer, an unknown one too; a batch is none."""
    async with api() as caller:
        commands = [{"publish": {}}, {"what": {}}, {"batch": {"commands": []}}, {}, {"info": None}]
        replies = (await caller.post("batch", commands=commands))["replies"]
        assert [reply.get("error", {}).get("code") for reply in replies] == [107, 104, 104, 104, None]
        assert await caller.post("batch") == {"replies": []}


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_long_batch(parallel: bool) -> None:
    """However many there are, the answers are in the order of the commands."""
    async with api() as caller:
        commands = [{"publish": {"channel": f"c{number}", "data": 1}} for number in range(100)]
        commands += [{"history": {"channel": f"c{number}"}} for number in range(100)] if not parallel else []
        replies = (await caller.post("batch", commands=commands, parallel=parallel))["replies"]
        assert [next(iter(reply)) for reply in replies[:100]] == ["publish"] * 100
        assert all(reply["history"]["offset"] == 1 for reply in replies[100:])


def batch_of(count: int) -> list[Any]:
    return [{"publish": {"channel": "news", "data": number}} for number in range(count)]


@asynccontextmanager
async def two_readers() -> AsyncIterator[tuple[Api, Client]]:
    """Who calls the API, and one of two clients: the fan-out hands nothing out before its run."""
    async with api(authorize=lambda *_: True) as caller:
        client = await caller.server.connect("/ws/alice?channels=news")
        await caller.server.connect("/ws/bob?channels=news")
        yield caller, client


@pytest.mark.parametrize("method", ["batch", "broadcast"])
async def test_what_comes_together_goes_out_together(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The publications of one request are one run of the fan-out, while the event loop is not held for long."""
    async with two_readers() as (caller, client):
        runs = core_of(caller.push).hub.counters.fanout
        now = clock.monotonic()
        monkeypatch.setattr(clock, "monotonic", lambda: now)
        before = runs.count
        if method == "batch":
            await caller.post("batch", commands=batch_of(20))
        else:
            await caller.post("broadcast", channels=["news"] * 20, data=0)
        received = [await client.receive() for _ in range(20)]
        assert received == [str(number if method == "batch" else 0) for number in range(20)]
        assert runs.count == before + 1


async def test_a_long_batch_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few milliseconds, before the next command, with all that was published before on its way."""
    async with two_readers() as (caller, client):
        runs = core_of(caller.push).hub.counters.fanout
        passed = count()
        monkeypatch.setattr(clock, "monotonic", lambda: next(passed) * 0.01)
        before = runs.count
        await caller.post("batch", commands=batch_of(20))
        assert [await client.receive() for _ in range(20)] == [str(number) for number in range(20)]
        assert runs.count > before + 5


async def test_one_session_of_a_user() -> None:
    """A client id picks one session, if it is that user's."""
    async with api() as caller:
        for user in ("alice", "alice", "bob"):
            await caller.server.connect(f"/ws/{user}")
        first, second = caller.push.sessions("alice")
        await caller.post("subscribe", user="alice", client=first.id, channel="a")
        await caller.post("subscribe", user="bob", client=second.id, channel="a")
        assert caller.push.sessions(channel="a") == [first]


async def test_a_plain_client_is_told_nothing_of_a_subscription() -> None:
    """Data for a subscription and a position are for clients that have words for them."""
    async with api() as caller:
        client = await caller.server.connect("/ws/alice")
        await caller.post("publish", channel="a", data="before")
        await caller.post("subscribe", user="alice", channel="a", data="hello", recover_since={})
        await caller.post("publish", channel="a", data="after")
        assert await client.receive() == "after"


async def test_the_whitelist_keeps_one_that_is_named() -> None:
    """A session on the whitelist stays, even where it is the one that is named."""
    async with api() as caller:
        await caller.server.connect("/ws/alice")
        (session,) = caller.push.sessions()
        await caller.post("disconnect", user="alice", client=session.id, whitelist=[session.id])
        assert caller.push.sessions() == [session]


async def test_refresh_sets_when_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at that time, a later refresh moves it, and one without a time lifts it."""
    clock = Clock(monkeypatch)
    async with api() as caller:
        client = await caller.server.connect("/ws/alice")
        now = int(time.time())
        await caller.post("refresh", user="alice", expire_at=now + 100)
        await caller.post("refresh", user="alice", expire_at=now + 1000)
        await clock.advance(caller.push, 200)
        await caller.post("publish", channel="#alice", data="still here")
        assert await client.receive() == "still here"
        await caller.post("refresh", user="alice")
        await clock.advance(caller.push, 2000)
        await caller.post("publish", channel="#alice", data="for ever")
        assert await client.receive() == "for ever"
        await caller.post("refresh", user="alice", expire_at=2**63)
        await clock.advance(caller.push, 365 * 24 * 60 * 60)
        with pytest.raises(Closed, match="3005 credentials expired"):
            await client.receive()


async def test_history_of_all_kinds() -> None:
    """A publication has what was published, in the form in which clients of the SDK protocol get it."""
    async with api(namespaces={"": ChannelOptions(history_size=3)}) as caller:
        for fields in ({"data": "x", "tags": {"a": "b"}}, {"data": {"n": 1}}, {"b64data": "AAE="}):
            await caller.post("publish", channel="a", **fields)
        result = (await caller.post("history", channel="a", limit=-1))["result"]
        publications = result["publications"]
        times = [item.pop("time") for item in publications]
        assert times == sorted(times)
        assert times == pytest.approx([time.time()] * 3, abs=60)
        ids = [item.pop("id") for item in publications]
        assert ids == [f"{offset}.{result['epoch']}" for offset in (1, 2, 3)]
        assert result["id"] == ids[-1]
        assert publications == [
            {"data": "x", "offset": 1, "tags": {"a": "b"}},
            {"data": {"n": 1}, "offset": 2},
            {"data": "AAE=", "offset": 3},
        ]


async def test_a_subscription_keeps_what_is_in_no_history() -> None:
    """To an SDK client a publication without a place in the stream is one more, before, in and after its stretch."""
    async with api(authorize=lambda session, channel, action: True) as caller:
        client = await caller.server.connect("/connection/websocket")
        client.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"a"}}')
        await client.receive()
        await client.receive()
        commands = [{"publish": {"channel": "a", "data": n, "skip_history": n % 3 == 0}} for n in range(7)]
        await caller.post("batch", commands=commands)
        got = list[Any]()
        while len(got) < 7:
            got += [json.loads(line)["push"]["pub"] for line in str(await client.receive()).split("\n")]
        assert [(item["data"], item.get("offset")) for item in got] == [
            (0, None), (1, 1), (2, 2), (3, None), (4, 3), (5, 4), (6, None),
        ]  # fmt: skip
