"""A cluster of Redis whose nodes die, and whose slots move."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError
from asgi_push.brokers import StreamOptions, stopping
from asgi_push.brokers.redis.broker import RedisBroker
from tests.asgi import PATIENCE
from tests.brokers.contract import Process, publication
from tests.brokers.faulty import Cluster, cluster

KEPT = StreamOptions(size=1000, ttl=60.0)
CHANNELS = [f"news{number}" for number in range(12)]  # on all nodes


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), replicas=1) as nodes:
        yield nodes


async def publish_surely(broker: RedisBroker, channel: str, *numbers: int) -> None:
    for number in numbers:
        while True:
            try:
                await broker.publish(publication(channel, number), KEPT, str(number))
                break
            except BrokerError:
                await asyncio.sleep(0.02)


async def test_names_that_look_like_hash_tags(nodes: Cluster) -> None:
    """All that belongs to one channel is on one node, whatever its name."""
    process, broker = Process(), RedisBroker(nodes.redis, "test")
    await broker.start(process.receiver)
    for channel in ("{", "}", "{}", "}{", "{a}b", "}:x", "#{u}"):
        await broker.join(channel, kept=True)
        for key in ("key", "key", "other}{"):
            await broker.publish(publication(channel, key), KEPT, key)
        heard = [await process.next(), await process.next()]
        assert [(item.channel, item.data) for item in heard] == [(channel, "key"), (channel, "other}{")]
        assert (await broker.history(channel, 0, None, reverse=False)).position.offset == 2
    await broker.stop()


async def test_a_stop_at_any_moment(nodes: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it asks who is in the cluster: it ends, leaves no connection behind, and who waits is told."""
    monkeypatch.setattr(stopping, "_AGAIN", 0.05)
    for turns in range(0, 60, 2):
        broker = RedisBroker(nodes.redis, "test")
        await broker.start(Process().receiver)
        broker.pipeline.rediscover()
        asked = asyncio.ensure_future(broker.pipeline.call("GET", "test"))
        for _ in range(turns):
            await asyncio.sleep(0)
        with anyio.fail_after(PATIENCE):
            await broker.stop()
            await asyncio.wait([asked])
        assert asked.exception() or asked.result() is None
    del broker, asked
    gc.collect()  # which tells of connections that nobody closed


async def test_a_node_that_is_found_to_be_gone(nodes: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a look, which comes now and then: what was to be sent after it goes to those who are there now."""
    broker = RedisBroker(nodes.redis, "test")
    await broker.start(Process().receiver)
    probe = broker.pipeline._probe

    async def find(connection: Any, *what: Any) -> None:
        await probe(connection, *what)
        await connection.close()

    monkeypatch.setattr(broker.pipeline, "_probe", find)
    broker.pipeline._look_at = 0.0
    assert await broker.pipeline.call("GET", "test") is None
    await broker.stop()


async def test_nodes_that_die_and_slots_that_move(nodes: Cluster) -> None:
    """Their channels go on as soon as the cluster does, and nothing is lost on the way."""
    here, there = Process(), Process()
    brokers = [RedisBroker(nodes.redis, "test"), RedisBroker(nodes.redis, "test")]
    for broker, process in zip(brokers, (here, there), strict=True):
        await broker.start(process.receiver)
    for channel in CHANNELS:
        await brokers[0].join(channel, kept=True)

    async def publish_all(*numbers: int) -> None:
        await asyncio.gather(*[publish_surely(brokers[1], channel, *numbers) for channel in CHANNELS])

    await publish_all(*range(10))
    nodes.replicated()
    nodes.primaries[0].kill()
    await publish_all(*range(10, 20))
    nodes.move_slots_of_second()
    await publish_all(*range(20, 30))
    for node in nodes.nodes[1:]:
        node.kill_connections("pubsub")
    await publish_all(*range(30, 40))
    heard: dict[str, list[int]] = {channel: [] for channel in CHANNELS}
    for _ in range(40 * len(CHANNELS)):
        item = await here.next()
        heard[item.channel].append(item.data)
    assert heard == {channel: list(range(40)) for channel in CHANNELS}
    assert here.told_of_loss == []
    for broker in brokers:
        await broker.stop()
