"""A question to clients, in whichever process they are, and the first answer."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, NoAnswerError, Push
from asgi_push.connection import Connection
from asgi_push.push import core_of
from asgi_push.questions import requester, responder
from tests import asgi
from tests.asgi import Client, pushing, until
from tests.brokers.faulty import FaultyRedis, faulty_redis
from tests.brokers.station import hurry
from tests.endpoints.centrifuge.peers import Peer, house

pytestmark = pytest.mark.anyio

# Longer than anything here takes: whoever waits so long has not been let go.
LONG = 60.0


async def ann(connection: Any) -> str:
    return "ann"


@asynccontextmanager
async def asking(push: Push, data: Any = "?", **whom: Any) -> AsyncIterator[list[Any]]:
    """Ask meanwhile; at the end the answer is there."""
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await push.ask(data, timeout=LONG, **whom))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        with anyio.fail_after(asgi.PATIENCE):
            yield answers
    assert len(answers) == 1


class Page:
    """A client that can be asked, in envelopes or by an SDK."""

    def __init__(self, client: Client | Peer) -> None:
        self._client = client

    async def question(self) -> dict[str, Any]:
        """Return the question that comes next."""
        if isinstance(self._client, Peer):
            found = (await self._client.hear())["push"]["message"]["data"]
        else:
            found = json.loads(await self._client.receive())
        assert found["type"] == "ask"
        return dict(found)

    async def answer(self, question: str, data: Any) -> int:
        """Answer it; return the code of the error, 0 if there is none."""
        if isinstance(self._client, Peer):
            told = {"id": question, "data": data}
            answer = await self._client.ask("rpc", method="push.answer", data=told)
            return int(answer.get("error", {}).get("code", 0))
        self._client.send(json.dumps({"type": "answer", "id": question, "data": data}))
        self._client.send("ping")
        assert await self._client.receive() == "pong"
        return 0

    def close(self) -> None:
        (self._client.client if isinstance(self._client, Peer) else self._client).close()


@pytest.fixture(params=["envelopes", "sdk"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Place:
    """A Push, and pages of one user that can be asked."""

    def __init__(self, push: Push, open_page: Any) -> None:
        self.push = push
        self.open = open_page


@asynccontextmanager
async def place(form: str, **options: Any) -> AsyncIterator[Place]:
    async with house(authenticate=ann, **options) as here:

        async def open_page() -> Page:
            if form == "sdk":
                return Page(await here.peer())
            client = await here._server.connect("/ws/ann?since=")
            assert json.loads(await client.receive())["type"] == "welcome"
            return Page(client)

        yield Place(here.push, open_page)


@pytest.mark.parametrize("data", ["yes", 1, None, {"a": [1.5, "\u00e9"]}, [], 10**30], ids=repr)
async def test_the_answer_is_what_the_client_said(form: str, data: Any) -> None:
    """Whatever JSON can hold."""
    async with place(form) as here:
        page = await here.open()
        async with asking(here.push, {"sure": [1]}, user="ann") as answers:
            question = await page.question()
            assert question["data"] == {"sure": [1]}
            await page.answer(question["id"], data)
        assert answers == [data]
        hub = core_of(here.push).hub
        assert hub.counters.answers == {"taken": 1, "late": 0, "not_asked": 0}
        assert hub.requester._open == {}


async def test_bytes_are_asked_in_base64(form: str) -> None:
    """As in envelopes."""
    async with place(form) as here:
        page = await here.open()
        async with asking(here.push, b"\x00\xff", user="ann"):
            question = await page.question()
            assert "data" not in question
            assert question["base64"] == "AP8="
            await page.answer(question["id"], None)


async def test_the_first_answer_wins(form: str) -> None:
    """The others are dropped and counted, and no error to those who gave them."""
    async with place(form) as here:
        pages = [await here.open() for _ in range(3)]
        async with asking(here.push, user="ann") as answers:
            ids = [(await page.question())["id"] for page in pages]
            assert await pages[1].answer(ids[1], "first") == 0
            await until(lambda: answers)
            for number in (0, 2, 1):
                assert await pages[number].answer(ids[number], "late") == 0
        assert answers == ["first"]
        assert core_of(here.push).hub.counters.answers == {"taken": 1, "late": 3, "not_asked": 0}


async def test_only_who_was_asked_may_answer(form: str) -> None:
    """One session of a user is asked; the other one knows the id, and is not heard."""
    async with place(form) as here:
        page, other = await here.open(), await here.open()
        session, _ = here.push.sessions()
        async with asking(here.push, session=session.id) as answers:
            question = (await page.question())["id"]
            for name in (question, "none"):
                assert await other.answer(name, "a lie") == (103 if form == "sdk" else 0)
            assert await page.answer(question, "mine") == 0
        assert answers == ["mine"]
        assert core_of(here.push).hub.counters.answers == {"taken": 1, "late": 0, "not_asked": 2}


async def test_nobody_answers(form: str) -> None:
    """The error says who was asked; what comes later is late."""
    async with place(form) as here:
        page = await here.open()
        (session,) = here.push.sessions()
        with pytest.raises(NoAnswerError, match=r"no answer within 1 s: user 'ann' was asked in 1 session") as error:
            await here.push.ask("?", user="ann", timeout=1.0)
        assert error.value.asked == [session.id]
        assert await page.answer((await page.question())["id"], "late") == 0
        assert core_of(here.push).hub.counters.answers["late"] == 1


async def test_the_time_is_over_before_it_is_known_who_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error does not say that nobody was there."""
    async with Push() as push:
        monkeypatch.setattr(core_of(push).hub.broker, "command", lambda message: anyio.sleep_forever())
        with pytest.raises(NoAnswerError, match=r"in 0 sessions, as far as is known yet"):
            await push.ask("?", user="ann", timeout=0.01)


@pytest.mark.parametrize("whom", [{"user": "ann"}, {"session": "nobody"}], ids=str)
async def test_nobody_is_there(whom: dict[str, str]) -> None:
    """That is known at once; a bare page cannot be asked."""
    async with pushing() as (push, server):
        await server.connect("/ws/ann")
        with anyio.fail_after(asgi.PATIENCE), pytest.raises(NoAnswerError, match="nobody was asked") as error:
            await push.ask("?", timeout=LONG, **whom)  # type: ignore[arg-type]
        assert error.value.asked == []


async def test_a_page_that_only_just_connects_is_asked_after_its_start(form: str) -> None:
    """In the hook that says that it is there."""
    heard: list[Any] = []

    async def on_connect(session: Connection) -> None:
        async def ask() -> None:
            heard.append((await core_of(here.push).confirming.ask("?", None, session.id, LONG)).decode())

        core_of(here.push).hub.spawn(ask)

    async with place(form, on_connect=on_connect) as here:
        page = await here.open()
        await page.answer((await page.question())["id"], "here")
        await until(lambda: heard == ["here"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "one of them must be named"),
        ({"user": "a", "session": "b"}, "and not both"),
        ({"user": ""}, "user: "),
        ({"session": 7}, "session: "),
        ({"user": "a", "timeout": 0}, "timeout: must be"),
        ({"user": "a", "timeout": math.inf}, "timeout: must be"),
        ({"user": "a", "data": object()}, "data: "),
    ],
)
async def test_what_cannot_be_asked_is_an_error(arguments: dict[str, Any], says: str) -> None:
    """It names the argument."""
    async with Push() as push:
        with pytest.raises(ValueError, match=says):
            await push.ask(**({"data": 1} | arguments))


@pytest.mark.parametrize("text", ['{"type":"answer"}', '{"type":"answer","id":7}', '{"type":"ack"}'])
async def test_an_answer_without_an_id_is_bad(text: str) -> None:
    """It closes the session, with the reason."""
    async with pushing() as (_, server):
        page = await server.connect("/ws/ann?since=")
        await page.receive()
        page.send(text)
        closed = await page.receive_close()
        assert closed.code == 3501
        assert "needs" in closed.reason


@pytest.mark.parametrize("data", [None, [], {}, {"id": 7}, "x"], ids=repr)
async def test_an_answer_of_an_sdk_client_without_an_id_is_bad(data: Any) -> None:
    """Its call fails."""
    async with house() as here:
        assert await (await here.peer()).error("rpc", method="push.answer", data=data) == 107


async def test_open_questions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who ask, and those that sessions were asked."""
    monkeypatch.setattr(requester, "_MAX_OPEN", 1)
    monkeypatch.setattr(responder, "_MAX_OPEN", 2)
    async with place("sdk") as here:
        page = await here.open()
        async with asking(here.push, user="ann"):
            question = (await page.question())["id"]
            with pytest.raises(BrokerError, match="wait to be answered"):
                await here.push.ask("?", user="ann")
            await page.answer(question, 1)
        for _ in range(4):
            async with asking(here.push, user="ann"):
                await page.answer((await page.question())["id"], 1)
        assert len(core_of(here.push).hub.responder._questions) == 2


@pytest.mark.parametrize("confirmed", [True, False])
async def test_what_is_sent_to_one_session_is_confirmed(form: str, confirmed: bool) -> None:
    """By its id, as it is in no channel."""
    async with place(form) as here:
        page = await here.open()
        (session,) = here.push.sessions()
        results = []

        async def send() -> None:
            results.append(await here.push.send_to_session(session.id, {"a": 1}, confirm=LONG if confirmed else 0.01))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            client: Any = page._client
            if form == "sdk":
                message = (await client.hear())["push"]["message"]["data"]
                if confirmed:
                    assert "error" not in await client.ask("rpc", method="push.ack", data={"id": message["id"]})
            else:
                message = json.loads(await client.receive())
                if confirmed:
                    client.send(json.dumps({"type": "ack", "id": message["id"]}))
            assert message == {"id": message["id"], "data": {"a": 1}}
        assert results[0].receivers == 1
        assert results[0].confirmed == ([session.id] if confirmed else [])
        assert core_of(here.push).hub.counters.confirmation.count == int(confirmed)


async def test_who_cannot_confirm_gets_what_it_always_does() -> None:
    """And is not waited for; nobody is nobody."""
    async with pushing() as (push, server):
        page = await server.connect("/ws/ann")
        (session,) = push.sessions()
        with anyio.fail_after(asgi.PATIENCE):
            result = await push.send_to_session(session.id, {"a": 1}, confirm=LONG)
            nobody = await push.send_to_session("nobody", {"a": 1}, confirm=LONG)
        assert (result.receivers, result.confirmed) == (1, [])
        assert (nobody.receivers, nobody.confirmed) == (0, [])
        assert await page.receive() == '{"a":1}'
        with pytest.raises(ValueError, match="confirm: must be"):
            await push.send_to_session(session.id, 1, confirm=0)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_any_process_asks_the_sessions_of_all(
    redis: FaultyRedis, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer wins, wherever it was given; and nobody is nobody anywhere."""
    hurry(monkeypatch)
    async with (
        place(form, broker=redis.url) as one,
        place(form, broker=redis.url) as other,
        Push(broker=redis.url) as publisher,
    ):
        with pytest.raises(NoAnswerError, match="nobody was asked"):
            await publisher.ask("?", user="ann", timeout=LONG)
        pages = [await one.open(), await other.open()]
        for push, who in ((publisher, 1), (publisher, 0), (one.push, 1)):
            async with asking(push, user="ann") as answers:
                ids = [(await page.question())["id"] for page in pages]
                await pages[who].answer(ids[who], who)
                await until(lambda answers=answers: answers)
                await pages[1 - who].answer(ids[1 - who], "late")
            assert answers == [who]
        (session,) = other.push.sessions()
        async with asking(one.push, session=session.id) as answers:
            large = "x" * 60_000  # more than PostgreSQL notifies at once, as much as a client may send
            await pages[1].answer((await pages[1].question())["id"], large)
        assert answers == [large]
        with pytest.raises(NoAnswerError) as error:
            await publisher.ask("?", user="ann", timeout=3.0)
        assert len(error.value.asked) == 2
