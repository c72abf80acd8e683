"""What is over goes, in small steps; what somebody may still want stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from asgi_push.brokers import StreamOptions
from asgi_push.brokers.postgres.functions import BURY, SWEEP
from tests.brokers.postgres_server import PostgresServer
from tests.brokers.station import KEPT, Station, station

FEW = StreamOptions(size=2, ttl=60.0)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(postgres: PostgresServer) -> PostgresServer:
    postgres.empty()
    return postgres


@pytest.fixture
async def here(server: PostgresServer) -> AsyncIterator[Station]:
    async with station(server.url, hears=False) as process:
        yield process


def later(server: PostgresServer, minutes: int) -> None:
    """Let everything in the database be so much older."""
    ago = f"interval '{minutes} minutes'"
    server.do(f"UPDATE asgi_push.items SET at = at - {ago}")
    server.do(f"UPDATE asgi_push.results SET at = at - {ago}")
    server.do(f"UPDATE asgi_push.processes SET until = until - {ago}")
    server.do(
        f"UPDATE asgi_push.channels SET sweep_at = sweep_at - {ago},"
        f" expires_at = expires_at - {ago}, keep_until = keep_until - {ago}"
    )


async def sweep(process: Station, channels: int = 100, items: int = 1000) -> bool:
    ((more,),) = await process.broker.reading.call(SWEEP, channels, items)
    return bool(more)


async def kept(process: Station) -> list[int]:
    history = await process.broker.history("news", -1, None, reverse=False)
    return [item.data for item in history.publications]


def items(server: PostgresServer) -> list[Any]:
    found = server.do('SELECT "offset" FROM asgi_push.items ORDER BY channel, seq')
    return [offset for (offset,) in found]


async def test_what_no_history_keeps_goes_after_a_minute(here: Station, server: PostgresServer) -> None:
    """Until then processes that are behind may need it; what a history keeps stays."""
    await here.publish(1, 2, 3, stream=FEW)
    await here.publish(4, stream=None)
    server.do("UPDATE asgi_push.channels SET sweep_at = '-infinity'")
    await sweep(here)
    assert items(server) == [1, 2, 3, None]
    later(server, 1)
    server.do("UPDATE asgi_push.channels SET expires_at = 'infinity', sweep_at = '-infinity'")
    await sweep(here)
    assert items(server) == [2, 3]
    assert await kept(here) == [2, 3]


async def test_a_history_goes_after_its_time(here: Station, server: PostgresServer) -> None:
    """It is read no more at once, is swept later, and the position goes on."""
    await here.publish(1, 2)
    position = (await here.broker.history("news", 0, None, reverse=False)).position
    later(server, 2)
    assert await kept(here) == []
    await here.publish(3)
    assert await kept(here) == [3]
    server.do("UPDATE asgi_push.channels SET sweep_at = '-infinity'")
    await sweep(here)
    assert items(server) == [3]
    assert (await here.broker.recover("news", position)).recovered


async def test_a_position_goes_after_a_week(here: Station, server: PostgresServer) -> None:
    """Nothing is left of the channel then."""
    await here.publish(1)
    later(server, 6 * 24 * 60)
    await sweep(here)
    assert items(server) == []
    assert server.do("SELECT top FROM asgi_push.channels") == [(1,)]
    later(server, 2 * 24 * 60)
    await sweep(here)
    assert server.do("SELECT top FROM asgi_push.channels") == []


async def test_keys_and_dead_processes_go(here: Station, server: PostgresServer) -> None:
    """Each after its time."""
    await here.publish_surely(1)
    server.do("SELECT asgi_push.alive('killed', true, 6)")
    server.do("SELECT asgi_push.enter('news', 'killed', 'session', 0, '')")
    for minutes, left in ((0, 1), (6, 0)):
        later(server, minutes)
        await sweep(here)
        await here.broker.reading.call(BURY)
        counts = [server.do(f"SELECT count(*) FROM asgi_push.{name}") for name in ("results", "processes", "presence")]
        assert counts == [[(left,)]] * 3


async def test_it_goes_in_small_steps(here: Station, server: PostgresServer) -> None:
    """And it is said whether there is more."""
    await here.publish(*range(25), stream=KEPT)
    later(server, 10)
    assert [await sweep(here, items=10) for _ in range(3)] == [True, True, False]
    assert items(server) == []
    for channel in range(5):
        await here.publish(1, channel=f"channel:{channel}")
    later(server, 10)
    server.do("UPDATE asgi_push.channels SET sweep_at = 'infinity' WHERE channel = 'news'")
    assert [await sweep(here, channels=3) for _ in range(2)] == [True, False]


async def test_it_waits_for_nobody(here: Station, server: PostgresServer) -> None:
    """A channel that somebody publishes to is swept another time."""
    await here.publish(1)
    later(server, 10)
    with server.connect() as connection, connection.transaction():
        connection.execute("SELECT FROM asgi_push.channels FOR UPDATE")
        await sweep(here)
        assert items(server) == [1]
    await sweep(here)
    assert items(server) == []
