"""Where a stream stood at a time in the past: behind all that was published before, and before all that came since."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from asgi_push import StreamPosition, clock
from asgi_push.brokers import StreamOptions
from asgi_push.brokers.postgres.functions import PLACE
from tests.brokers.postgres_server import PostgresServer
from tests.brokers.station import KEPT, Station, station
from tests.servers import Server

pytestmark = pytest.mark.anyio

FEW = StreamOptions(size=5, ttl=60.0)
CHANNEL = f"places{secrets.token_hex(4)}"  # others may have written to this Redis
MANY = 40  # more than are looked at together


@pytest.fixture
def anyio_backend() -> str:
    """These brokers need asyncio."""
    return "asyncio"


@pytest.fixture
async def redis_station(redis: Server) -> AsyncIterator[Station]:
    async with station(redis.redis, hears=False) as process:
        yield process


@pytest.fixture
async def postgres_station(postgres: PostgresServer) -> AsyncIterator[Station]:
    postgres.empty()
    async with station(postgres.url, hears=False) as process:
        yield process


async def published(process: Station, stream: StreamOptions, channel: str) -> list[tuple[int, float]]:
    """Publish, and return the offsets and times of what is kept."""
    await process.publish(*range(MANY), stream=stream, channel=channel)
    history = await process.broker.history(channel, -1, None, reverse=False)
    return [(item.offset, item.time) for item in history.publications]


def expected(items: list[tuple[int, float]], time: float) -> int:
    """The offset before the first of the last that are not older."""
    offset = items[-1][0]
    while items and items[-1][1] >= time:
        offset = items.pop()[0] - 1
    return offset


@pytest.mark.parametrize("stream", [KEPT, FEW])
async def test_in_redis(redis_station: Station, stream: StreamOptions) -> None:
    """The time is told in milliseconds; what is not kept any more counts as older."""
    streams = redis_station.broker._streams
    channel = f"{CHANNEL}:{stream.size}"
    assert await streams.place_before(channel, 0) == StreamPosition(0, "")  # it has not begun
    items = await published(redis_station, stream, channel)
    epoch = (await redis_station.broker.history(channel, 0, None, reverse=False)).position.epoch
    for time in [0.0, *(time + more for _, time in items for more in (0.0, 0.001))]:
        place = await streams.place_before(channel, round(time * 1000))
        assert place == StreamPosition(expected([*items], time), epoch)


async def test_in_redis_by_the_clock_here(redis_station: Station) -> None:
    """Nothing that was published after a time is before the place of that time."""
    streams = redis_station.broker._streams
    channel = f"{CHANNEL}:clock"
    times = []
    for number in range(MANY):
        times.append(clock.monotonic())
        await redis_station.publish(number, channel=channel)
    for offset, time in enumerate(times):
        assert (await streams.place_at(channel, time)).offset <= offset
    assert (await streams.place_at(channel, clock.monotonic() + 60)).offset == MANY


@pytest.mark.parametrize("stream", [KEPT, FEW])
async def test_in_postgres(postgres_station: Station, stream: StreamOptions) -> None:
    """What is in no history has a place, too."""
    broker = postgres_station.broker
    assert await broker.reading.call(PLACE, "news", 0.0) == [(None, None, None)]  # it has not begun
    items = await published(postgres_station, stream, "news")
    await postgres_station.publish(MANY, stream=None)
    ((epoch, *ends),) = await broker.reading.call(PLACE, "news", items[-1][1] + 3600)
    assert epoch
    assert ends == [MANY + 1, MANY]
    for offset, time in items:
        ((_, seq, top),) = await broker.reading.call(PLACE, "news", time)
        assert seq == top <= offset - 1
