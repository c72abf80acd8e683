"""A cluster of Redis whose nodes die, and whose slots move."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from asgi_push import BrokerError
from asgi_push.brokers import StreamOptions
from asgi_push.brokers.redis.broker import RedisBroker
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
