"""The page of an event stream confirms what it has: by a request of its own, to any process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from asgi_push import Push
from asgi_push.messages import PublishResult
from asgi_push.push import core_of
from tests import asgi
from tests.asgi import Server
from tests.brokers.faulty import FaultyRedis, faulty_redis
from tests.brokers.station import hurry
from tests.endpoints.sse.test_streams import open_stream, streaming

pytestmark = pytest.mark.anyio

LONG = 60.0


@asynccontextmanager
async def caller(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever sends requests to a process."""
    transport = httpx.ASGITransport(server.app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
        yield http


async def welcomed(server: Server, query: str = "channels=news") -> tuple[Any, dict[str, Any]]:
    """Return a stream that may confirm, and what it was welcomed with."""
    stream = await open_stream(server, query + "&ack=1")
    event = await stream.next()
    assert event.name == "welcome"
    return stream, json.loads(event.data)


@asynccontextmanager
async def publishing(push: Push, confirm: float = LONG) -> AsyncIterator[list[PublishResult]]:
    results: list[PublishResult] = []

    async def publish() -> None:
        results.append(await push.publish("news", "x", confirm=confirm))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        with anyio.fail_after(asgi.PATIENCE):
            yield results


async def test_a_stream_confirms() -> None:
    """With the id of its event, as the browser has it."""
    async with streaming() as (push, server), caller(server) as http:
        stream, welcome = await welcomed(server)
        (session,) = push.sessions()
        assert welcome["session"] == session.id
        async with publishing(push) as results:
            event = await stream.next()
            answer = await http.post("/push/events/ack", json={"ack": welcome["ack"], "id": event.id})
            assert answer.status_code == 204
        assert (results[0].confirmed, results[0].receivers) == ([session.id], 1)


async def test_a_stream_that_did_not_ask_is_not_waited_for() -> None:
    """It is told nothing more than ever, and counts among the receivers."""
    async with streaming() as (push, server):
        stream = await open_stream(server, "channels=news")
        async with publishing(push) as results:
            assert (await stream.next()).data == "x"
        assert (results[0].confirmed, results[0].receivers) == ([], 1)


async def test_nobody_confirms_for_another() -> None:
    """A token is for one stream; one that was made up for it is not its token."""
    async with streaming() as (push, server), caller(server) as http:
        stream, welcome = await welcomed(server)
        other, others = await welcomed(server)
        ids = [session.id for session in push.sessions()]
        async with publishing(push) as results:
            event = await stream.next()
            own = await other.next()
            process, session, proof = welcome["ack"].split(".")
            for token in (
                f"{process}.{others['session']}.{proof}",
                f"{process}.{others['session']}.",
                f"{process}.nobody.{proof}",
                f"nobody.{session}.{proof}",
                welcome["ack"],
            ):
                answer = await http.post("/push/events/ack", json={"ack": token, "id": event.id})
                assert answer.status_code == 204
            await http.post("/push/events/ack", json={"ack": others["ack"], "id": own.id})
        assert results[0].confirmed == ids, "in the order in which they did"


async def test_what_was_not_sent_is_passed_over() -> None:
    """An id that says more than the stream was sent is counted."""
    async with streaming() as (push, server), caller(server) as http:
        stream, welcome = await welcomed(server)
        await push.publish("news", "x")
        event = await stream.next()
        place = (await push.history("news")).id
        assert place in event.id
        more = event.id.replace(place, place.replace("1.", "9.", 1))
        await http.post("/push/events/ack", json={"ack": welcome["ack"], "id": more})
        assert core_of(push).hub.counters.acknowledgements["not_sent"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ('{"ack": "a.b.c"}', 400),
        ('{"ack": 1, "id": ""}', 400),
        ('{"ack": "a.b", "id": ""}', 400),
        ('{"ack": "\u00e9.b.c", "id": ""}', 400),
        ('{"ack": "a\\u0000.b.c", "id": ""}', 400),  # no broker may have to address these
        (f'{{"ack": "{"a" * 64}.b.c", "id": ""}}', 400),
        ('{"ack": "a.b.c", "id": "?"}', 400),
        ('{"ack": "a.b.c", "id": ""}', 204),
        ("x" * 70_000, 413),
    ],
)
async def test_nonsense_is_refused(body: str, status: int) -> None:
    """With the reason."""
    async with streaming() as (_, server), caller(server) as http:
        answer = await http.post("/push/events/ack", content=body.encode())
        assert answer.status_code == status
        assert bool(answer.text) is (status != 204)


async def test_only_pages_of_allowed_origins() -> None:
    """As for streams; others may be asked for by a preflight."""
    allowed = {"Origin": "https://good.example"}
    async with streaming(allowed_origins="https://good.example") as (_, server), caller(server) as http:
        body = {"ack": "a.b.c", "id": ""}
        for headers in ({"Origin": "https://bad.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await http.post("/push/events/ack", json=body, headers=headers)).status_code == 403
        answer = await http.post("/push/events/ack", json=body, headers=allowed)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == allowed["Origin"]
        before = await http.options("/push/events/ack", headers=allowed)
        assert before.headers["access-control-allow-methods"] == "POST"
        assert "content-type" in before.headers["access-control-allow-headers"]
        assert (await http.get("/push/events/ack")).status_code == 405
        assert (await http.get("/push/events?ack=yes", headers=allowed)).status_code == 400


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_any_process_takes_it(redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request meets one worker, the stream is in another."""
    hurry(monkeypatch)
    async with (
        streaming(broker=redis.url) as (_, server),
        streaming(broker=redis.url) as (other, others),
        caller(others) as http,
    ):
        stream, welcome = await welcomed(server)
        async with publishing(other) as results:
            event = await stream.next()
            await http.post("/push/events/ack", json={"ack": welcome["ack"], "id": event.id})
        assert (results[0].confirmed, results[0].receivers) == ([welcome["session"]], 1)
        redis.kill()
        await asgi.until(lambda: not core_of(other).hub.broker.connected)
        answer = await http.post("/push/events/ack", json={"ack": welcome["ack"], "id": event.id})
        assert answer.status_code == 503
