"""Whatever the broker is: its server goes away, comes back, stops: all is heard, or told, and nobody waits for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from asgi_push import BrokerError, Publication
from asgi_push.brokers import pipeline
from asgi_push.brokers.postgres import broker as postgres_broker
from asgi_push.brokers.postgres import upkeep
from asgi_push.brokers.redis import subscriber
from tests.asgi import PATIENCE, until
from tests.brokers.faulty import KEEPING, FaultyRedis, faulty_redis
from tests.brokers.postgres_server import PostgresServer, postgres_server
from tests.brokers.station import Station, station
from tests.endpoints.centrifuge.proxy import Proxy, proxy_for
from tests.engines import Engine, nothing_runs, temporary_home

Faulty = FaultyRedis | PostgresServer

# What is killed: a kind of connections to Redis, or those to PostgreSQL whose last statement was this.
REDIS = ["pubsub", "normal"]
POSTGRES = ["LISTEN", "asgi_push.put", "asgi_push.read", ""]


pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


# For those that need no server of TCP, and none that ends and is started by the test.
everywhere = pytest.mark.parametrize("kind", ["redis", "local", "postgres"])


@pytest.fixture(params=["redis", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Faulty]:
    """One that runs, with nothing in it."""
    if kind == "redis":
        with faulty_redis(tmp_path, *KEEPING) as redis:
            yield redis
    elif kind == "local":
        with temporary_home() as home:
            yield Engine("faults")
            nothing_runs(home)
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        postgres.empty()
        yield postgres


async def refused(process: Station) -> None:
    """Publishing is an error, in a bounded time."""
    with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
        await process.publish(-1)


async def together(process: Station, many: int) -> list[object]:
    """Publish so often at once; return the errors."""
    with anyio.fail_after(PATIENCE):
        return await asyncio.gather(*[process.publish(-1) for _ in range(many)], return_exceptions=True)


# -- connections, and the server itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "which"),
    [*((kind, which) for kind in ("redis", "local") for which in REDIS), *(("postgres", which) for which in POSTGRES)],
)
async def test_connections_that_are_killed(here: Station, there: Station, server: Faulty, which: str) -> None:
    """While publications come: each is heard once, in its place."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(there.publish_surely, *range(300))
        for place in (50, 120, 200):
            await until(lambda: len(here.publications.items) >= place)  # noqa: B023  # waited for here
            await anyio.to_thread.run_sync(server.kill_connections, which)
    await here.numbers(*range(300))
    assert here.told_of_loss == []


@pytest.mark.parametrize(("kind", "how"), [("redis", "kill"), ("postgres", "kill"), ("postgres", "stop")])
async def test_a_server_that_comes_back(here: Station, there: Station, server: Faulty, how: str) -> None:
    """With its data: who publishes meanwhile is told; then it goes on where it was."""
    await there.publish(*range(10))
    await anyio.to_thread.run_sync(getattr(server, how))
    for _ in range(3):
        await refused(there)
    assert not there.broker.connected
    await anyio.to_thread.run_sync(server.start)
    await there.publish_surely(*range(10, 20))
    await here.numbers(*range(20))
    assert here.told_of_loss == []
    await until(lambda: there.broker.connected and here.broker.connected)
    with anyio.fail_after(PATIENCE):
        await there.broker.command(b"x")
    assert await here.next_command() == b"x"


async def test_a_server_that_is_not_there_yet(server: Faulty) -> None:
    """A process starts all the same; what it wants to hear it hears once the server is there."""
    await anyio.to_thread.run_sync(server.kill)
    async with station(server.url, hears=False) as here:
        for _ in range(2):
            with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
                await here.broker.join("news", kept=True)
            with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
                await here.broker.command(b"x")
        assert not here.broker.connected
        assert here.broker.problem.endswith(" does not answer")
        assert here.broker.outages["connection"] >= 1
        await anyio.to_thread.run_sync(server.start)
        await until(lambda: here.broker.connected)
        with anyio.fail_after(PATIENCE):
            await here.broker.join("news", kept=True)
        await here.publish_surely(1)
        await here.numbers(1)


async def test_an_outage_is_told_once(here: Station, server: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """When it begins and when it is over, however often the server is asked meanwhile."""
    await anyio.to_thread.run_sync(server.kill)
    for _ in range(10):
        await refused(here)
    await anyio.to_thread.run_sync(server.start)
    await here.publish_surely(1)
    await here.numbers(1)
    await until(lambda: "answers again" in caplog.text)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING], caplog.text


# -- a server that does not answer ------------------------------------------------------------------------------------


@everywhere
async def test_a_server_that_stops(here: Station, there: Station, server: Faulty) -> None:
    """Each of many publishers is told within a bounded time, and nothing piles up; afterwards all goes on."""
    await there.publish(*range(10))
    server.pause()
    try:
        for _ in range(3):
            assert {type(error) for error in await together(there, 100)} == {BrokerError}
            assert not waiting(there)
        assert there.broker.outages["timeout"] >= 1
    finally:
        server.resume()
    await there.publish_surely(*range(10, 20))
    # What was sent before the stop may have been done after it; it was not answered for.
    heard = [item.data for item in await heard_up_to(here, 19)]
    assert [number for number in heard if number >= 0] == list(range(20))
    assert here.told_of_loss == []


def waiting(process: Station) -> object:
    """The publications that wait for the server."""
    pipeline = process.broker.writing if hasattr(process.broker, "writing") else process.broker.pipeline
    return pipeline._waiting


async def heard_up_to(process: Station, number: int) -> list[Publication]:
    found = list[Publication]()
    while not found or found[-1].data != number:
        found.append(await process.next())
    return found


@everywhere
async def test_no_more_wait_than_may(there: Station, server: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is told at once."""
    await there.publish(1)
    monkeypatch.setattr(pipeline, "_MAX_WAITING", 10)
    server.pause()
    try:
        errors = await together(there, 100)
    finally:
        server.resume()
    assert all(isinstance(error, BrokerError) for error in errors)
    assert sum("already" in str(error) for error in errors) >= 80


@everywhere
async def test_the_stop_is_bounded(server: Faulty) -> None:
    """Whatever the server does; whose request is under way is told, and who waits for the next round trip."""
    async with station(server.url) as here:
        await here.publish(0)
        server.pause()
        results = asyncio.gather(*[here.publish(-1) for _ in range(10)], return_exceptions=True)
        await asyncio.sleep(0)
    with anyio.fail_after(PATIENCE):
        assert all(isinstance(result, BrokerError) for result in await results)
    server.resume()


# -- commands ---------------------------------------------------------------------------------------------------------


@everywhere
async def test_a_command_that_does_not_come_back(here: Station, server: Faulty) -> None:
    """Is an error in a bounded time."""
    server.pause()
    try:
        with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
            await here.broker.command(b"x")
    finally:
        server.resume()
    await until(lambda: here.broker.connected)
    await here.broker.command(b"y")
    heard = await here.next_command()
    while heard != b"y":
        assert heard == b"x"
        heard = await here.next_command()


async def test_commands_that_are_lost_on_the_way(server: Faulty, there: Station) -> None:
    """A process whose connection was lost obeys what it missed, in its order."""
    with proxy_for(server.port) as proxy:
        async with station(through(proxy, server)) as here:
            await there.broker.command(b"1")
            assert await here.next_command() == b"1"
            proxy.cut()
            giving = [asyncio.create_task(there.broker.command(name)) for name in (b"2", b"3")]
            await asyncio.sleep(0)
            proxy.restore()
            assert [await here.next_command(), await here.next_command()] == [b"2", b"3"]
            await asyncio.gather(*giving)
            await there.broker.command(b"4")
            assert await here.next_command() == b"4"


async def test_a_channel_that_is_joined_while_nothing_is_heard(
    server: Faulty, there: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is published from then on comes once the server is back, though nobody was in it before."""
    await there.publish(0, channel="more")
    make_older(server)
    with proxy_for(server.port) as proxy:
        async with station(through(proxy, server)) as here:
            proxy.cut()
            await until(lambda: not here.broker.connected)
            await join_in_vain(here, "more", monkeypatch)
            await there.publish(1, 2, channel="more")
            proxy.restore()
            await there.publish(*range(3, 20), channel="more")
            await here.numbers(*range(1, 20))
            assert here.told_of_loss == []


async def join_in_vain(process: Station, channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried for a moment."""
    with monkeypatch.context() as patch:
        for module in (subscriber, postgres_broker):
            patch.setattr(module, "_PATIENCE", 0.1)
        with pytest.raises(BrokerError):
            await process.broker.join(channel, kept=True)


def make_older(server: Faulty) -> None:
    """What was published in a channel was so an hour ago."""
    if isinstance(server, FaultyRedis):
        key = "test:stream:{.more}"
        for place, body in enumerate(server.do("LRANGE", key, 0, -1)):
            time, rest = body[:13], body[13:]
            server.do("LSET", key, place, b"%d" % (int(time) - 3_600_000) + rest)
    else:
        server.do("UPDATE asgi_push.items SET at = at - interval '1 hour' WHERE channel = 'more'")


async def test_a_process_that_has_heard_nothing_yet(
    server: Faulty, there: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It carries out the commands that were given since it wanted to, and hears what was published."""
    with proxy_for(server.port) as proxy:
        proxy.cut()
        async with station(through(proxy, server), hears=False) as here:
            await join_in_vain(here, "news", monkeypatch)
            await there.broker.command(b"x")
            await there.publish(1)
            proxy.restore()
            await here.numbers(1)
            assert await here.next_command() == b"x"


def through(proxy: Proxy, server: Faulty) -> str:
    """The server's URL by way of the proxy."""
    return server.url.replace(f":{server.port}", f":{proxy.port}")


@everywhere
async def test_what_comes_after_a_command_waits_for_it(here: Station, there: Station) -> None:
    """To whom it is delivered may depend on it."""
    obeying, obeyed = anyio.Event(), anyio.Event()

    async def obey(message: bytes) -> None:
        await here.broker.join("more", kept=True)  # which waits for the server
        obeying.set()
        await obeyed.wait()

    object.__setattr__(here.receiver, "apply_control", obey)
    giving = asyncio.create_task(there.broker.command(b"x"))
    await obeying.wait()
    await there.publish(1, 2)
    await there.publish(3, channel="more")
    with anyio.move_on_after(0.1):
        await here.next()
        pytest.fail("it came before")
    obeyed.set()
    assert sorted([(await here.next()).data for _ in range(3)]) == [1, 2, 3]
    await giving


# -- a server that has lost what it had -------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("published", [0, 1])
async def test_a_loss_is_told_though_nothing_is_published(
    here: Station, there: Station, server: Faulty, published: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was published between the last that came and the loss, nobody knows."""
    monkeypatch.setattr(upkeep, "_POLL_INTERVAL", 3600.0)  # it is found before
    before = (await here.broker.history("news", 0, None, reverse=False)).position
    await there.publish(*range(published))
    await here.numbers(*range(published))
    forget(server)
    await until(lambda: here.told_of_loss)
    assert here.told_of_loss == ["news"]
    assert not (await there.broker.recover("news", before)).recovered


def forget(server: Faulty) -> None:
    """Have everything forgotten, and a process look whether it missed anything."""
    if isinstance(server, FaultyRedis):
        server.do("FLUSHALL")
        server.kill_connections("pubsub")
    else:
        server.empty()
        server.kill_connections("LISTEN")
