"""One trace leads from a request to the sessions of other processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from asgi_push import ChannelOptions, Push
from tests import servers
from tests.asgi import Server, pushing
from tests.live.talking import until
from tests.servers import PATIENCE, Serve
from tests.tracing.spans import Recorder, ids, leads_to, linked

NONE = {"brief": ChannelOptions(history_size=0)}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def traced(recorder: Recorder, url: str, prefix: str) -> AsyncIterator[tuple[Push, Server]]:
    """As another process of the same application."""
    options: dict[str, Any] = {"broker": url, "redis_prefix": prefix, "namespaces": NONE}
    with recorder.recording():
        running = pushing(tracing=True, authorize=lambda *_: True, **options)
        async with running as (push, server):
            yield push, server


@pytest.mark.parametrize("channel", ["news", "brief:news"])
async def test_a_run_elsewhere_is_below_the_publication(redis: servers.Server, channel: str) -> None:
    """In a channel with a history and in one without; and no client is told of it."""
    here, there = Recorder(), Recorder()
    async with AsyncExitStack() as stack:
        push, _ = await stack.enter_async_context(traced(here, redis.redis, f"trace.{channel}"))
        _, server = await stack.enter_async_context(traced(there, redis.redis, f"trace.{channel}"))
        envelopes = await server.connect(f"/ws/11?since=&channels={channel}")
        assert json.loads(await envelopes.receive())["type"] == "welcome"
        sdk = await server.connect("/connection/websocket")
        sdk.send(json.dumps({"id": 1, "connect": {}}))
        await sdk.receive()
        sdk.send(json.dumps({"id": 2, "subscribe": {"channel": channel}}))
        await sdk.receive()
        with here.request() as request:
            await push.publish(channel, {"n": 1}, tags={"a": "b"})
        told = json.loads(await envelopes.receive())
        assert told.keys() - {"id", "time"} == {"channel", "data"}
        pub = json.loads(await sdk.receive())["push"]["pub"]
        assert pub.keys() - {"offset", "time"} == {"data", "tags"}
        assert pub["tags"] == {"a": "b"}
    publication, run = here.one("publish"), there.one("deliver")
    assert leads_to(request, publication)
    assert leads_to(publication, run)
    assert linked(run) == ids([publication])
    assert run.attributes is not None
    assert run.attributes["asgi_push.deliveries"] == 2
    assert (publication.attributes or {})["asgi_push.broker"] == "redis"


async def test_what_is_not_sampled_is_not_sampled_elsewhere(redis: servers.Server) -> None:
    """Nothing is sent along, and nobody is asked there."""
    here, there = Recorder(sampled=False), Recorder()
    async with AsyncExitStack() as stack:
        push, _ = await stack.enter_async_context(traced(here, redis.redis, "trace.not"))
        _, server = await stack.enter_async_context(traced(there, redis.redis, "trace.not"))
        client = await server.connect("/ws/11")
        await push.send_to_user("11", "hello")
        assert await client.receive() == "hello"
    assert not there.spans("deliver")


def spans(server: servers.Server) -> list[dict[str, Any]]:
    """What a server has recorded so far."""
    answer = httpx.get(f"{server.http}/spans", timeout=PATIENCE, verify=False)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


def test_a_caller_s_trace_leads_to_the_sessions(serve: Serve, redis: servers.Server) -> None:
    """Request, publication and run, behind OpenTelemetry's middleware on real servers."""
    env = {"ASGI_PUSH_BROKER": redis.redis, "ASGI_PUSH_REDIS_PREFIX": "trace.real"}
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    with serve("tests.tracing.app:app", env=env) as here, serve("tests.tracing.app:app", env=env) as there:
        with connect(f"{there.ws}/ws/11", open_timeout=PATIENCE) as client:
            answer = httpx.post(f"{here.http}/send/11", json="hello", headers=headers, timeout=PATIENCE, verify=False)
            answer.raise_for_status()
            assert client.recv(PATIENCE) == "hello"
        (session,) = until(lambda: [span for span in spans(there) if span["name"] == "session"])
        (publication,) = [span for span in spans(here) if span["name"] == "publish"]
        # It ends after its answer, which the caller may have by then.
        (request,) = until(lambda: [span for span in spans(here) if span["id"] == publication["parent"]])
        (run,) = [span for span in spans(there) if span["name"] == "deliver"]
        assert {span["trace"] for span in (request, publication, run)} == {trace}
        assert run["parent"] == publication["id"]
        assert request["name"].startswith("POST")
        assert session["events"] == ["accepted", "subscribed", "subscribed", "closed"]
        assert session["parent"] is not None  # below the middleware's span of the connection
