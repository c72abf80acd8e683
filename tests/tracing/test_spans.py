"""What a process writes spans of, and what it does not."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from asgi_push import BrokerError, Disconnect, Push, SettingsError, clock
from asgi_push.brokers.memory import MemoryBroker
from tests.asgi import Client, Server, pushing
from tests.tracing.spans import Recorder, ids, leads_to, linked, traces


@asynccontextmanager
async def traced(recorder: Recorder, **options: Any) -> AsyncIterator[tuple[Push, Server]]:
    """A Push whose spans are recorded, with a server around it."""
    with recorder.recording():
        running = pushing(tracing=True, authorize=lambda *_: True, **options)
        async with running as (push, server):
            yield push, server


async def received(*clients: Client) -> list[str | bytes]:
    return [await client.receive() for client in clients]


# -- publications and runs --------------------------------------------------------------------------------------------


async def test_a_publication_is_a_span_below_its_request() -> None:
    """It says where it went, how large it was, and how many sessions got it."""
    recorder = Recorder()
    async with traced(recorder) as (push, server):
        clients = [await server.connect("/ws/11") for _ in range(2)]
        with recorder.request() as request:
            result = await push.send_to_user("11", "hello")
        await received(*clients)
    span = recorder.one("publish")
    assert leads_to(request, span)
    assert span.kind is SpanKind.PRODUCER
    assert result.position is not None
    assert span.attributes == {
        "messaging.system": "asgi_push",
        "messaging.destination.name": "#11",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.message.body.size": 5,
        "messaging.message.id": f"{result.position.offset}.{result.position.epoch}",
        "asgi_push.broker": "memory",
        "asgi_push.receivers": 2,
    }


@pytest.mark.parametrize("receivers", [1, 2])
async def test_the_handing_out_is_a_span_below_the_publication(receivers: int) -> None:
    """Whether that is a run of its own, or one receiver is written to at once."""
    recorder = Recorder()
    async with traced(recorder) as (push, server):
        clients = [await server.connect("/ws/11") for _ in range(receivers)]
        await push.send_to_user("11", "hello")
        await received(*clients)
    publication, run = recorder.one("publish"), recorder.one("deliver")
    assert leads_to(publication, run)
    assert linked(run) == ids([publication])
    assert run.kind is SpanKind.CONSUMER
    assert run.attributes == {
        "messaging.system": "asgi_push",
        "messaging.destination.name": "#11",
        "messaging.operation.name": "deliver",
        "messaging.operation.type": "process",
        "messaging.batch.message_count": 1,
        "asgi_push.deliveries": receivers,
    }


async def test_a_run_is_linked_to_all_that_it_hands_out() -> None:
    """It is one span, in the trace of the first, however many publications and channels it has."""
    recorder = Recorder()
    async with traced(recorder) as (push, server):
        clients = [await server.connect("/ws/11?channels=news") for _ in range(2)]
        for channel in ("#11", "news", "#11"):  # nothing here waits for the run
            with recorder.request():
                await push.publish(channel, channel)
        for _ in range(3):
            await received(*clients)
    publications, run = recorder.spans("publish"), recorder.one("deliver")
    assert len(traces(publications)) == 3
    assert leads_to(publications[0], run)
    assert linked(run) == ids(publications)
    assert run.attributes is not None
    assert run.attributes["messaging.batch.message_count"] == 3
    assert run.attributes["asgi_push.deliveries"] == 6
    assert "messaging.destination.name" not in run.attributes


async def test_the_links_of_a_run_are_bounded() -> None:
    """A run may hand out more publications than a span may have links."""
    recorder = Recorder()
    async with traced(recorder) as (push, server):
        clients = [await server.connect("/ws/11") for _ in range(2)]
        for number in range(150):
            await push.send_to_user("11", number)
        for _ in range(150):
            await received(*clients)
    run = recorder.one("deliver")
    assert len(run.links) == 128
    assert run.attributes is not None
    assert run.attributes["messaging.batch.message_count"] == 150


@pytest.mark.parametrize("receivers", [1, 2])
async def test_nothing_is_written_below_what_is_not_sampled(receivers: int) -> None:
    """Neither is a sampler asked: the request that led here has been decided about."""
    recorder = Recorder(sampled=False)
    async with traced(recorder) as (push, server):
        clients = [await server.connect("/ws/11") for _ in range(receivers)]
        with recorder.request():
            asked = recorder.asked
            await push.send_to_user("11", "hello")
            assert await received(*clients) == ["hello"] * receivers
            assert recorder.asked == asked
        await push.send_to_user("11", "again")
        assert await received(*clients) == ["again"] * receivers
        assert recorder.asked > asked
    assert not recorder.spans("publish")
    assert not recorder.spans("deliver")


async def test_a_sampler_is_told_of_the_channel() -> None:
    """So one may be written that leaves out the publications of a busy channel."""
    recorder = Recorder(sampled=False)
    async with traced(recorder) as (push, _):
        await push.publish("news", "hello")
    assert recorder.told == {
        "messaging.system": "asgi_push",
        "messaging.destination.name": "news",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "asgi_push.broker": "memory",
    }


async def test_a_sampler_is_not_asked_about_each_of_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again about another channel, and after a moment; below a request all is as always."""
    times = [clock.monotonic()]
    recorder = Recorder(sampled=False)
    async with traced(recorder) as (push, _):
        monkeypatch.setattr(clock, "monotonic", lambda: times[-1])
        asked = [recorder.asked]
        for channel, later in (("news", 0.0), ("news", 0.001), ("other", 0.0), ("news", 0.003), ("news", 0.002)):
            times.append(times[-1] + later)
            await push.publish(channel, "hello")
            asked.append(recorder.asked)
    assert [after - before for before, after in pairwise(asked)] == [1, 0, 1, 0, 1]


async def test_a_burst_that_is_recorded_is_recorded_whole() -> None:
    """Each publication begins a trace of its own."""
    recorder = Recorder()
    async with traced(recorder) as (push, _):
        for _ in range(3):
            await push.publish("news", "hello")
        recorder.sampled = False
        await push.publish("news", "hello")
        recorder.sampled = True
        with recorder.request():
            await push.publish("news", "hello")
    assert len(traces(recorder.spans("publish"))) == 4


async def test_all_verbs_that_publish_write_a_span() -> None:
    """What goes to one session alone is no publication in a channel."""
    recorder = Recorder()
    async with traced(recorder) as (push, server):
        client = await server.connect("/ws/11")
        (session,) = push.sessions("11")
        await push.send_to_users(["11", "12"], "hello")
        await push.send_to_all("hello")
        await push.publish("news", "hello")
        await push.send_to_user("11", "hello", inbox=True)
        await push.send_to_session(session.id, "hello")
        await session.send("hello")
        for _ in range(5):
            assert await client.receive() == "hello"
    found = [(span.attributes or {})["messaging.destination.name"] for span in recorder.spans("publish")]
    assert found == ["#11", "#12", "*", "news", "#11"]
    kept = recorder.spans("publish")[-1].attributes
    assert kept is not None
    assert kept["asgi_push.receivers"] == 1


async def test_a_client_that_publishes_writes_a_span() -> None:
    """As the application does."""
    recorder = Recorder()
    async with traced(recorder) as (_, server):
        client = await server.connect("/connection/websocket")
        client.send(json.dumps({"id": 1, "connect": {}}))
        await client.receive()
        client.send(json.dumps({"id": 2, "publish": {"channel": "news", "data": {}}}))
        await client.receive()
    attributes = recorder.one("publish").attributes
    assert attributes is not None
    assert attributes["messaging.destination.name"] == "news"


async def test_a_publication_from_another_thread_is_below_its_request() -> None:
    """``push.blocking`` takes the trace of its thread along."""
    recorder = Recorder()
    async with traced(recorder) as (push, server):
        client = await server.connect("/ws/11")
        requests = []

        def handle() -> None:
            with recorder.request() as request:
                requests.append(request)
                push.blocking.send_to_user("11", "hello")

        thread = threading.Thread(target=handle)
        thread.start()
        assert await client.receive() == "hello"
        await anyio.to_thread.run_sync(thread.join)
    assert leads_to(requests[0], recorder.one("publish"))


async def test_what_failed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The span has the error, and the caller too."""

    async def publish(*_: object) -> None:
        raise BrokerError("the server is gone")

    monkeypatch.setattr(MemoryBroker, "publish", publish)
    recorder = Recorder()
    async with traced(recorder) as (push, _):
        with pytest.raises(BrokerError, match="gone"):
            await push.send_to_user("11", "hello")
    span = recorder.one("publish")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "the server is gone")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "BrokerError"


@pytest.mark.parametrize("trace", ["", "no traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_a_trace_that_is_none_harms_nothing(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker may bring anything: it is delivered, and has no span."""
    monkeypatch.setattr("asgi_push.tracing.publications.traceparent_of", lambda _: trace)
    recorder = Recorder()
    async with traced(recorder) as (push, server):
        clients = [await server.connect("/ws/11"), await server.connect("/ws/11?channels=news")]
        await push.send_to_user("11", "hello")
        await push.publish("news", "hello")
        assert await received(*clients, clients[1]) == ["hello"] * 3
    assert len(recorder.spans("publish")) == 2
    assert not recorder.spans("deliver")


# -- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_session_is_one_span() -> None:
    """Below its handshake, from its opening to its end, however many messages it gets."""
    recorder = Recorder()
    async with traced(recorder, on_message=lambda *_: None) as (push, server):
        with recorder.request() as handshake:
            client = await server.connect("/ws/11?channels=news")
        (session,) = push.sessions("11")
        await session.subscribe("more")
        for _ in range(5):
            await session.send("hello")
            client.send("ping")
        await session.close(Disconnect(4001, "enough"))
        client.close()
        await client.ended()
    span = recorder.one("session")
    assert leads_to(handshake, span)
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        ("accepted", {}),
        *(("subscribed", {"messaging.destination.name": channel}) for channel in ("*", "#11", "news", "more")),
        ("closed", {"asgi_push.code": 4001, "asgi_push.reason": "enough"}),
    ]
    assert span.attributes == {
        "asgi_push.session.id": session.id,
        "asgi_push.protocol": "plain",
        "asgi_push.transport": "websocket",
        "user.id": "11",
    }


@pytest.mark.parametrize("path", ["/connection/websocket", "/push/events"])
async def test_sessions_of_all_endpoints_are_spans(path: str) -> None:
    """An SDK's, and an event stream."""
    recorder = Recorder()
    async with traced(recorder, sse=True) as (push, server):
        if path.startswith("/push"):
            client = server.begin(path, type="http", method="GET", scheme="http")
        else:
            client = await server.connect(path)
            client.send(json.dumps({"id": 1, "connect": {}}))
        await client.message()
        assert not recorder.spans("session")
        await push.drain(0)
    events = [event.name for event in recorder.one("session").events]
    assert events == ["accepted", "subscribed", "closed"]


async def test_what_was_never_opened_has_no_span() -> None:
    """A handshake that is refused is its server's business."""
    recorder = Recorder()
    async with traced(recorder, authenticate=lambda _: None, anonymous=False) as (_, server):
        client = server.begin("/ws/11")
        client.send("hello")
        client.close()
        await client.ended()
    assert not recorder.spans("session")


async def test_a_session_below_what_is_not_sampled_has_no_span() -> None:
    """Nothing is kept for it."""
    recorder = Recorder(sampled=False)
    async with traced(recorder) as (push, server):
        client = await server.connect("/ws/11")
        await push.send_to_user("11", "hello")
        assert await client.receive() == "hello"
    assert not recorder.spans("session")


# -- off --------------------------------------------------------------------------------------------------------------


async def test_off_writes_nothing() -> None:
    """Whatever the application around it records."""
    recorder = Recorder()
    with recorder.recording():
        async with pushing() as (push, server):
            client = await server.connect("/ws/11")
            with recorder.request():
                await push.send_to_user("11", "hello")
            assert await client.receive() == "hello"
    assert not recorder.spans("publish") + recorder.spans("deliver") + recorder.spans("session")


def test_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without opentelemetry-api the setting is refused, and says what to install."""
    modules = __import__("sys").modules
    for name in [name for name in modules if name.startswith("asgi_push.tracing.")]:
        if not name.endswith("factory"):
            monkeypatch.delitem(modules, name)
    monkeypatch.setitem(modules, "opentelemetry", None)
    with pytest.raises(SettingsError, match=r'extra \[otel\]: pip install "opentelemetry-api>='):
        Push(tracing=True)
