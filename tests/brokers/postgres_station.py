"""A process with a broker over PostgreSQL, and times that tests can wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError
from asgi_push.brokers import StreamOptions, backoff, health, liveness, pipeline, presence
from asgi_push.brokers.postgres import consumer, listener
from asgi_push.brokers.postgres import pipeline as postgres_pipeline
from asgi_push.brokers.postgres.broker import PostgresBroker
from tests.asgi import PATIENCE
from tests.brokers.contract import Process, publication

KEPT = StreamOptions(size=1000, ttl=60.0)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look, and try again, every few tenths of a second.

    What a server that works may take stays seconds: on a busy machine it takes tenths, and a test fails if it is taken
    for one that does not work.
    """
    for module, name, seconds in (
        (pipeline, "_PATIENCE", 1.0),
        (postgres_pipeline, "_ROUND_TRIP", 3.0),
        (pipeline, "_IDLE", 0.5),
        (listener, "_EVERY", 0.2),
        (listener, "_LATE", 2.0),
        (backoff, "_MAX_BACKOFF", 0.1),
        (health, "_SHORT", 0.3),
        (consumer, "_AGAIN", 0.05),
        (presence, "_RETRY_AFTER", 0.1),
    ):
        monkeypatch.setattr(module, name, seconds)


def short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who says nothing be taken for dead soon."""
    monkeypatch.setattr(liveness, "_EXPIRY", 2.0)
    monkeypatch.setattr(liveness, "_EVERY", 0.2)


class Station(Process):
    """A process with a broker, which hears ``news``."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__()
        self.broker = PostgresBroker(url, **options)

    async def numbers(self, *expected: int) -> None:
        """These are the next that it hears, and nothing else has come."""
        assert [(await self.next()).data for _ in expected] == list(expected)
        await asyncio.sleep(0)
        assert not self.publications.items

    async def publish(self, *numbers: int, stream: StreamOptions | None = KEPT, channel: str = "news") -> None:
        for number in numbers:
            await self.broker.publish(publication(channel, number), stream)

    async def publish_surely(self, numbers: Iterable[int]) -> None:
        """As a careful caller does: with a key by which it may try again."""
        for number in numbers:
            while True:
                try:
                    await self.broker.publish(publication("news", number), KEPT, str(number))
                    break
                except BrokerError:
                    await asyncio.sleep(0.01)


@asynccontextmanager
async def station(url: str, *, hears: bool = True, **options: Any) -> AsyncIterator[Station]:
    process = Station(url, **options)
    await process.broker.start(process.receiver)
    if hears:
        await process.broker.join("news", kept=True)
    try:
        yield process
    finally:
        with anyio.fail_after(PATIENCE):
            await process.broker.stop()
