"""Several workers and one Redis under load: whatever happens, each client gets everything, in order and once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from asgi_push import BrokerError, Push
from tests.brokers.faulty import faulty_redis
from tests.live.crowd import CHANNEL, PlainClient, SdkClient, tasks_of, until
from tests.servers import Serve, Server

CLIENTS = 500
APP = "tests.live.app:app"

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def settings(redis: str, prefix: str) -> dict[str, str]:
    # A heartbeat of each of 500 clients is more than a busy machine answers in time.
    return {
        "ASGI_PUSH_BROKER": redis, "ASGI_PUSH_REDIS_PREFIX": prefix, "ASGI_PUSH_HISTORY_SIZE": "1000",
        "ASGI_PUSH_PING_INTERVAL": "3600",
    }  # fmt: skip


def sdk_clients(server: Server, many: int) -> list[SdkClient]:
    return [SdkClient(f"{server.ws}/connection/websocket") for _ in range(many)]


def serving(server: Server) -> dict[psutil.Process, int]:
    """The workers that have connections of clients, with their number. Chance may leave one without any."""
    found: dict[psutil.Process, int] = {}
    for worker in psutil.Process(server.process.pid).children():
        mine = [link for link in worker.net_connections() if link.status == "ESTABLISHED"]
        if many := sum(link.laddr.port == server.port for link in mine):
            found[worker] = many
    return found


def right(clients: list[SdkClient], last: int) -> Callable[[], bool]:
    return lambda: all(client.offset == last for client in clients) or any(client.wrong for client in clients)


def check(clients: list[SdkClient], last: int) -> None:
    assert [wrong for client in clients for wrong in client.wrong] == []
    assert {client.offset for client in clients} == {last}


@pytest.mark.parametrize("workers", [2, 4])
async def test_everybody_gets_everything(serve: Serve, redis: Server, workers: int) -> None:
    """500 clients of both protocols on all workers; published by one of these, and by a process without clients."""
    prefix = f"everybody{workers}"
    env = settings(redis.redis, prefix)
    with serve(APP, env=env, args=["--workers", f"{workers}"]) as server:
        await until(lambda: server.log().count("startup complete") == workers)
        sdk = sdk_clients(server, CLIENTS // 2)
        plain = [PlainClient(f"{server.ws}/websocket/{user}?channels={CHANNEL}") for user in range(CLIENTS // 2)]
        async with (
            tasks_of([*sdk, *plain]),
            Push(broker=redis.redis, redis_prefix=prefix, history_size=1000) as push,
        ):
            await asyncio.gather(*(client.subscribed.wait() for client in sdk))
            await asyncio.gather(*(client.opened.wait() for client in plain))
            with Redis(port=redis.port) as client:
                channels = client.pubsub_channels(f"{prefix}:0:channel:{{.{CHANNEL}}}")
                assert client.pubsub_numsub(*channels) == [(channels[0], len(serving(server)))]

            async def publish(numbers: range) -> None:
                for number in numbers:
                    await push.publish(CHANNEL, number)

            await asyncio.gather(*[publish(range(first, 200, 10)) for first in range(10)])
            await until(right(sdk, 200))
            check(sdk, 200)
            order = [item.data for item in (await push.history(CHANNEL)).publications]
            assert sorted(order) == list(range(200))
            await until(lambda: all(len(client.numbers) >= 200 for client in plain))
            assert all(client.numbers == order for client in plain)


async def test_a_worker_that_is_killed(serve: Serve, redis: Server) -> None:
    """Its clients come back to others, and go on where they were."""
    with serve(APP, env=settings(redis.redis, "killed"), args=["--workers", "2"]) as server:
        await until(lambda: server.log().count("startup complete") == 2)
        clients = sdk_clients(server, CLIENTS // 2)
        for client in clients:
            client.expected_closes.add(1006)
        async with tasks_of(clients), publishing(redis.redis, "killed") as push:
            await asyncio.gather(*(client.subscribed.wait() for client in clients))
            max(serving(server).items(), key=itemgetter(1))[0].kill()
            await until(lambda: sum(client.connections > 1 for client in clients) > len(clients) // 10)
            await until(lambda: all(client.connected for client in clients))
            last = await push.stop()
            await until(right(clients, last))
            check(clients, last)


async def test_redis_that_stops_for_ten_seconds(serve: Serve, tmp_path: Path) -> None:
    """Sessions stay, and heartbeats are answered; publishers are told; then all goes on without a gap."""
    with (
        faulty_redis(tmp_path) as redis,
        serve(APP, env=settings(redis.url, "asgi_push"), args=["--workers", "2"]) as server,
    ):
        clients, pages = sdk_clients(server, 50), [PlainClient(f"{server.ws}/websocket/{user}") for user in range(10)]
        async with tasks_of([*clients, *pages]), publishing(redis.url, "asgi_push") as push:
            await asyncio.gather(*(client.subscribed.wait() for client in clients))
            await asyncio.gather(*(page.opened.wait() for page in pages))
            redis.pause()
            until_then = time.monotonic() + 10
            while time.monotonic() < until_then or push.failed < 2:  # publishing is an error in a bounded time
                await asyncio.gather(*(page.heartbeat() for page in pages))
                await asyncio.sleep(0.2)
            redis.resume()
            before = push.published
            await until(lambda: push.published > before + 10)
            last = await push.stop()
            await until(right(clients, last))
            check(clients, last)
            assert [client.connections for client in clients] == [1] * len(clients)


class Publisher:
    """Publishes one number after the other, until it is stopped."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._task = asyncio.create_task(self._run())
        self.published = self.failed = 0

    async def _run(self) -> None:
        for number in count():
            try:
                await self._push.publish(CHANNEL, number)
                self.published += 1
            except BrokerError:
                self.failed += 1
            await asyncio.sleep(0.02)

    async def stop(self) -> int:
        """Return the offset of the last publication."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        return (await self._push.history(CHANNEL, limit=1, reverse=True)).position.offset


@asynccontextmanager
async def publishing(redis: str, prefix: str) -> Any:
    async with Push(broker=redis, redis_prefix=prefix, history_size=1000) as push:
        yield Publisher(push)
