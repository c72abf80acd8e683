"""A process with a broker over a server that fails, and times that tests can wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, PublishResult
from asgi_push.brokers import StreamOptions, backoff, commands, health, liveness, pipeline, presence
from asgi_push.brokers.local import engine
from asgi_push.brokers.local.broker import LocalBroker
from asgi_push.brokers.postgres import consumer as postgres_consumer
from asgi_push.brokers.postgres import listener
from asgi_push.brokers.postgres import pipeline as postgres_pipeline
from asgi_push.brokers.postgres.broker import PostgresBroker
from asgi_push.brokers.redis import connection, connection_factory, consumer, control, loopback, subscriber
from asgi_push.brokers.redis import pipeline as redis_pipeline
from asgi_push.brokers.redis.broker import RedisBroker
from tests.asgi import PATIENCE
from tests.brokers.contract import Process, publication

KEPT = StreamOptions(size=1000, ttl=60.0)

# What a server that works may take, in seconds: on a busy machine it takes tenths, and now and then a second or two. A
# test fails if it is taken for one that does not work.
_MAY_TAKE = 3.0

# How soon it is looked and tried again: every few tenths of a second.
_TIMES: tuple[tuple[Any, dict[str, float]], ...] = (
    (pipeline, {"_IDLE": 0.5, "_PATIENCE": 1.0}),
    (backoff, {"_MAX_BACKOFF": 0.2}),
    (health, {"_SHORT": 0.3}),
    (commands, {"_PATIENCE": 20.0, "_LOOK_EVERY": 0.1}),
    (presence, {"_RETRY_AFTER": 0.1}),
    (connection, {"_LOOK_ANYWAY": 0.5}),
    (connection_factory, {"CONNECT_TIME": _MAY_TAKE}),
    (redis_pipeline, {"CONNECT_TIME": _MAY_TAKE, "_ROUND_TRIP": _MAY_TAKE, "_PROBE_AGAIN": 0.1}),
    (subscriber, {"CONNECT_TIME": _MAY_TAKE, "_SILENCE": _MAY_TAKE / 3, "_PATIENCE": _MAY_TAKE}),
    (loopback, {"_EVERY": 0.1, "_LATE": _MAY_TAKE}),
    (consumer, {"_CHECK_AGAIN": 0.05}),
    (control, {"_ALIVE": _MAY_TAKE, "_RENEW_EVERY": 0.3}),
    (postgres_pipeline, {"_ROUND_TRIP": _MAY_TAKE}),
    (listener, {"_EVERY": 0.2, "_LATE": _MAY_TAKE}),
    (engine, {"_MAX_SILENT_LOOKS": 1000}),  # it is stopped on purpose
    (postgres_consumer, {"_AGAIN": 0.05}),
)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let less time pass before a broker does what it does."""
    for module, times in _TIMES:
        for name, seconds in times.items():
            monkeypatch.setattr(module, name, seconds)


def short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who says nothing be taken for dead soon."""
    monkeypatch.setattr(liveness, "_EXPIRY", 2.0)
    monkeypatch.setattr(liveness, "_EVERY", 0.2)


class Station(Process):
    """A process with a broker, which hears ``news``."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__()
        self.broker = _broker(url, options)

    async def numbers(self, *expected: int) -> None:
        """These are the next that it hears, and nothing else has come."""
        assert [(await self.next()).data for _ in expected] == list(expected)
        await asyncio.sleep(0)
        assert not self.publications.items

    async def publish(self, *numbers: int, stream: StreamOptions | None = KEPT, channel: str = "news") -> None:
        for number in numbers:
            await self.broker.publish(publication(channel, number), stream)

    async def publish_surely(self, *numbers: int) -> list[PublishResult]:
        """As a careful caller does: with a key by which it may try again."""
        results = []
        for number in numbers:
            while True:
                try:
                    results.append(await self.broker.publish(publication("news", number), KEPT, str(number)))
                    break
                except BrokerError:
                    await asyncio.sleep(0.01)
        return results


def _broker(url: str, options: dict[str, Any]) -> Any:
    if url.startswith("local://"):
        return LocalBroker(url.removeprefix("local://"), "test")
    return PostgresBroker(url, **options) if url.startswith("postgres") else RedisBroker(url, "test", **options)


@asynccontextmanager
async def station(url: str, *, hears: bool = True, **options: Any) -> AsyncIterator[Station]:
    process = Station(url, **options)
    await process.broker.start(process.receiver)
    if hears:
        await join(process)
    try:
        yield process
    finally:
        with anyio.fail_after(PATIENCE):
            await process.broker.stop()


async def join(process: Station) -> None:
    """Hear ``news``; on a busy machine the first connections may take longer than tests wait for them."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                return await process.broker.join("news", kept=True)
            except BrokerError:
                await asyncio.sleep(0.01)
