"""A connection that answers, and on which nothing comes any more: it is found, told of, and replaced."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from asgi_push import BrokerError
from asgi_push.brokers import StreamOptions
from asgi_push.brokers.redis.broker import RedisBroker
from tests.asgi import PATIENCE, until
from tests.brokers.contract import Process, publication
from tests.brokers.faulty import FaultyRedis, cluster, faulty_redis
from tests.servers import HOST

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def consumer(url: str) -> AsyncIterator[tuple[Process, RedisBroker]]:
    """A process that hears ``news``."""
    process, broker = Process(), RedisBroker(url, "test")
    await broker.start(process.receiver)
    await broker.join("news", kept=False)
    try:
        yield process, broker
    finally:
        await broker.stop()


async def heard_again(process: Process, broker: RedisBroker) -> None:
    """Return when what is kept nowhere comes here."""
    before = len(process.publications.items)
    with anyio.fail_after(PATIENCE):
        while len(process.publications.items) == before:
            with suppress(BrokerError):
                await broker.publish(publication("news", 1), None)
            await asyncio.sleep(0.02)


async def test_a_node_that_has_left_its_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers all that it is asked, and what the others publish does not come there."""
    with cluster(tmp_path, replicas=1) as nodes:
        (leaving,) = nodes.replicas
        monkeypatch.setattr(random, "choice", lambda found: min(found, key=lambda node: node.port != leaving.port))
        async with consumer(nodes.redis) as (process, broker):
            while not leaving.client_list("pubsub"):  # it is not among the nodes as soon as the cluster is up
                for node in nodes.primaries:
                    node.kill_connections("pubsub")
                await asyncio.sleep(0.1)
            left = leaving.do("CLUSTER", "MYID")
            leaving.do("CLUSTER", "RESET", "HARD")
            for node in nodes.primaries:
                node.do("CLUSTER", "FORGET", left)
            await heard_again(process, broker)
            assert not leaving.client_list("pubsub")
            assert broker.outages["deaf"]
            await until(lambda: broker.connected)


class Swallowing:
    """Carries everything between a client and Redis, except what is published, on the connections that it had then."""

    def __init__(self, redis: FaultyRedis) -> None:
        self._redis = redis
        self.tasks: set[asyncio.Task[None]] = set()
        self.deaf: set[asyncio.StreamWriter] = set()
        self.clients: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader_of_redis, writer_of_redis = await asyncio.open_connection(HOST, self._redis.port)
        self.clients.add(writer)
        await asyncio.gather(self._pump(reader, writer_of_redis), self._pump(reader_of_redis, writer))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # a reset is an end like any other
            while data := await source.read(65_536):
                if target not in self.deaf or b"\r\nmessage\r\n" not in data:
                    target.write(data)
        target.close()

    def swallow(self) -> None:
        """From now on, on the connections that there are."""
        self.deaf |= self.clients


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[tuple[Swallowing, str]]:
    with faulty_redis(tmp_path) as redis:
        proxy = Swallowing(redis)
        listener = await asyncio.start_server(proxy.serve, HOST, 0)
        port = listener.sockets[0].getsockname()[1]
        yield proxy, f"redis://{HOST}:{port}"
        listener.close()
        for writer in proxy.clients:
            writer.close()
        await until(lambda: all(writer.is_closing() for writer in proxy.clients))


async def test_something_between_swallows_what_is_published(
    proxied: tuple[Swallowing, str], caplog: pytest.LogCaptureFixture
) -> None:
    """And goes on to carry what is answered."""
    proxy, url = proxied
    async with consumer(url) as (process, broker):
        await heard_again(process, broker)
        proxy.swallow()
        await until(lambda: broker.outages["deaf"])
        await heard_again(process, broker)
        await until(lambda: broker.connected)
    assert "tells nothing of what is published" in caplog.text


async def test_as_long_as_nothing_comes_it_is_told(proxied: tuple[Swallowing, str]) -> None:
    """Though each new connection is made, and answers: that ends no outage. It is told of once."""
    proxy, url = proxied
    async with consumer(url) as (process, broker):
        swallowing = asyncio.create_task(_always(proxy))
        await until(lambda: "tells nothing" in broker.problem)
        connections = len(proxy.clients)
        await until(lambda: len(proxy.clients) > connections + 3)
        assert not broker.connected
        assert broker.outages["deaf"] == 1
        swallowing.cancel()
        await until(lambda: broker.connected)
        await heard_again(process, broker)


async def _always(proxy: Swallowing) -> None:
    while True:
        proxy.swallow()
        await asyncio.sleep(0.005)


async def test_what_is_lost_with_a_sign_is_found_with_it(proxied: tuple[Swallowing, str]) -> None:
    """A sign that does not come is reason enough to compare what is kept, long before the next check is due."""
    proxy, url = proxied
    process, broker = Process(), RedisBroker(url, "test")
    await broker.start(process.receiver)
    await broker.join("kept", kept=True)
    proxy.swallow()
    publishing = asyncio.create_task(broker.publish(publication("kept", 1), StreamOptions(size=10, ttl=60.0)))
    assert (await process.next()).data == 1
    await publishing
    await broker.stop()


async def test_a_stop_that_is_cancelled(tmp_path: Path) -> None:
    """Leaves no connection and no task behind, whatever Redis does."""
    with faulty_redis(tmp_path) as redis:
        process, broker = Process(), RedisBroker(redis.url, "test")
        before = asyncio.all_tasks()
        await broker.start(process.receiver)
        await broker.join("news", kept=True)
        stopping = asyncio.create_task(broker.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert asyncio.all_tasks() == before
        await until(lambda: len(redis.client_list("normal")) == 1)  # that which asks
        await until(lambda: redis.client_list("pubsub") == [])
