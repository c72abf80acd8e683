"""A process with a broker over a Redis that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from asgi_push import BrokerError, PublishResult
from asgi_push.brokers import StreamOptions
from asgi_push.brokers.credentials import BrokerCredentials
from asgi_push.brokers.redis.broker import RedisBroker
from tests.asgi import PATIENCE
from tests.brokers.contract import Process, publication

KEPT = StreamOptions(size=1000, ttl=60.0)


class Station(Process):
    """A process with a broker, which hears ``news``."""

    def __init__(self, url: str, credentials: BrokerCredentials | None = None) -> None:
        super().__init__()
        self.broker = RedisBroker(url, "test", credentials)

    async def numbers(self, *expected: int) -> None:
        """These are the next that it hears, and nothing else has come."""
        assert [(await self.next()).data for _ in expected] == list(expected)
        await asyncio.sleep(0)
        assert not self.publications.items


@asynccontextmanager
async def station(
    url: str, *, hears: bool = True, credentials: BrokerCredentials | None = None
) -> AsyncIterator[Station]:
    process = Station(url, credentials)
    await process.broker.start(process.receiver)
    if hears:
        await process.broker.join("news", kept=True)
    try:
        yield process
    finally:
        with anyio.fail_after(PATIENCE):
            await process.broker.stop()


async def publish(process: Station, *numbers: int, stream: StreamOptions | None = KEPT) -> None:
    for number in numbers:
        await process.broker.publish(publication("news", number), stream)


async def publish_surely(process: Station, *numbers: int) -> list[PublishResult]:
    """As a careful caller does: with a key by which it may try again."""
    results = []
    for number in numbers:
        while True:
            try:
                results.append(await process.broker.publish(publication("news", number), KEPT, str(number)))
                break
            except BrokerError:
                await asyncio.sleep(0.01)
    return results
