"""What is counted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from asgi_push import BrokerError, Disconnect
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.metrics.counters import BOUNDS, KINDS, Histogram
from asgi_push.push import core_of
from tests.asgi import Client, Clock, pushing, until
from tests.metrics.scraping import PLAIN, SDK, numbers, of


async def test_sessions_and_their_ends() -> None:
    """Sessions are counted as they come and go; why they went is a name of ours, never a client's words."""
    async with pushing(metrics=True) as (push, server):
        clients = [await server.connect("/ws/alice") for _ in range(4)]
        await push.disconnect(session=push.sessions()[0].id)
        clients[1].close(1001, "away")
        clients[2].close(4321, "a client's own words")
        await until(lambda: len(push.sessions()) == 1)
        found = await numbers(server.app)
    assert of(found, "sessions", **PLAIN, writes="ordinary") == 1
    assert of(found, "connects_total", **PLAIN) == 4
    assert {reason: of(found, "disconnects_total", reason=reason) for reason in ("force", "closed_by_client", "other")}
    ends = {name: value for name, value in found.items() if name.startswith("asgi_push_disconnects_total") and value}
    assert set(ends) == {f"asgi_push_disconnects_total reason={why}" for why in ("force", "closed_by_client", "other")}


@pytest.mark.parametrize("path", ["/ws/alice", "/connection/websocket"])
async def test_every_kind_of_session_is_known(path: str) -> None:
    """Its samples were there before it came. (Event streams: tests/endpoints/sse.)"""
    async with pushing() as (push, server):
        counters = core_of(push).hub.counters
        known = set(counters.sessions)
        assert {kind[:2] for kind in known} == set(counters.connects) == set(KINDS)
        await connect_sdk(server) if "connection" in path else await server.connect(path)
        await until(push.sessions)
        assert set(counters.sessions) == known
        assert set(counters.connects) == set(KINDS)


def test_reasons_are_bounded() -> None:
    """Each named reason has a label of its own, and whatever a client says has one of them."""
    named = [item for item in vars(Disconnect).values() if isinstance(item, Disconnect)]
    assert len({item.label for item in named}) == len(named)
    assert Disconnect(3501, "bad request: no such field").label == "bad_request"
    assert {Disconnect(code, "x").label for code in range(1000, 5000)} <= set(Disconnect.LABELS)


async def test_publications_and_deliveries() -> None:
    """A publication counts once, its deliveries once for each session, whichever way they are handed out."""
    async with pushing(metrics=True) as (push, server):
        alice = [await server.connect("/ws/alice") for _ in range(3)]
        await server.connect("/ws/bob")
        await push.send_to_user("alice", "to three")
        await core_of(push).hub.fanout.settled()  # a run for one channel; the next is for two
        await push.send_to_user("alice", "to three")
        await push.send_to_all("to four")
        await push.send_to_user("bob", "to one")
        await push.publish("empty", "to nobody")
        await alice[0].receive()
        await core_of(push).hub.fanout.settled()
        found = await numbers(server.app)
    assert of(found, "published_total") == of(found, "publications_total") == 5
    assert of(found, "deliveries_total") == 3 + 3 + 4 + 1
    assert of(found, "fanout_seconds_count") >= 1
    assert of(found, "fanout_hold_seconds_count") >= of(found, "fanout_seconds_count")
    assert of(found, "channels") == 3
    assert of(found, "broker_seconds_count", operation="publish") == 5


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_drops_and_queues(policy: str) -> None:
    """What a policy throws away is counted under its name, and what waits is measured in bytes."""
    async with pushing(metrics=True, slow_consumer=policy, queue_messages=3) as (push, server):
        client = await server.connect("/ws/alice")
        client.block()
        for number in range(7):
            await push.send_to_user("alice", f"message {number}")
            await core_of(push).hub.fanout.settled()
        found = await numbers(server.app)
    assert of(found, "drops_total", policy=policy) == 4
    assert of(found, "queue_bytes") >= 3 * len("message 0")


async def connect_sdk(server: Any, **params: Any) -> Client:
    client: Client = await server.connect("/connection/websocket")
    client.send(orjson.dumps({"id": 1, "connect": params}).decode())
    return client


async def test_heartbeat_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time from a ping to its pong is measured."""
    clock = Clock(monkeypatch)
    async with pushing(metrics=True, ping_interval=30) as (push, server):
        client = await connect_sdk(server)
        await client.receive()
        await clock.advance(push, 31)
        assert await client.receive() == "{}"
        clock.ahead += 0.3
        client.send("{}")
        await until(lambda: core_of(push).hub.counters.heartbeat_round_trip.count)
        found = await numbers(server.app)
    assert of(found, "heartbeat_round_trip_seconds_bucket", le="0.25") == 0
    assert of(found, "heartbeat_round_trip_seconds_bucket", le="10.0") == 1
    assert of(found, "sessions", **SDK, writes="ordinary") == 1


async def test_recoveries() -> None:
    """A client that comes back is counted, by whether what it missed was still there."""
    async with pushing(metrics=True, authorize=lambda session, channel, action: True) as (push, server):
        position = (await push.publish("news", 1)).position
        assert position is not None
        client = await connect_sdk(server)
        await client.receive()
        for number, epoch in enumerate((position.epoch, "another life"), 2):
            known = {"channel": "news", "recover": True, "offset": 1, "epoch": epoch}
            client.send(orjson.dumps({"id": number, "subscribe": known}).decode())
            await client.receive()
            client.send(orjson.dumps({"id": 9, "unsubscribe": {"channel": "news"}}).decode())
            await client.receive()
        found = await numbers(server.app)
    assert of(found, "recoveries_total", outcome="recovered") == 1
    assert of(found, "recoveries_total", outcome="unrecoverable") == 1


async def test_broker_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that the broker does not answer is counted and timed; whether it is up is told."""
    async with pushing(metrics=True) as (push, server):

        async def fail(*arguments: object) -> None:
            raise BrokerError("gone")

        monkeypatch.setattr(MemoryBroker, "publish", fail)
        monkeypatch.setattr(MemoryBroker, "connected", False)
        with pytest.raises(BrokerError):
            await push.publish("news", 1)
        found = await numbers(server.app)
    assert of(found, "broker_errors_total", operation="publish") == 1
    assert of(found, "broker_seconds_count", operation="publish") == 1
    assert of(found, "published_total") == 0
    assert of(found, "broker_up") == 0


async def test_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription that lost a publication on the way is counted."""
    async with pushing(metrics=True, authorize=lambda session, channel, action: True) as (push, server):
        client = await connect_sdk(server)
        await client.receive()
        client.send('{"id":2,"subscribe":{"channel":"news"}}')
        await client.receive()
        with monkeypatch.context() as lossy:
            lossy.setattr(core_of(push).hub.publisher, "deliver", lambda publication: 0)
            lossy.setattr(core_of(push).hub.broker._broker, "_deliver", lambda publication: 0)  # type: ignore[attr-defined]
            await push.publish("news", "lost")
        await push.publish("news", "after it")
        await client.receive()
        found = await numbers(server.app)
    assert of(found, "gaps_total") == 1


def test_histogram() -> None:
    """A time is counted in the bucket of the first bound that it does not exceed; the longest is told once."""
    histogram = Histogram()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1] + 1):
        histogram.observe(seconds)
    assert histogram.counts == [2, 1, *[0] * (len(BOUNDS) - 2), 1]
    assert histogram.count == 4
    assert [histogram.take_longest(), histogram.take_longest()] == [BOUNDS[-1] + 1, 0.0]
