"""Redis goes away, comes back with its data or without, stops, slows down, loses messages: all is heard, or told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, Publication
from asgi_push.brokers import StreamOptions, envelope, pipeline
from asgi_push.brokers.redis import connection, consumer
from asgi_push.brokers.redis import pipeline as redis_pipeline
from asgi_push.brokers.redis.scripts import PUBLISH
from asgi_push.logs import RateLimit
from tests.asgi import PATIENCE, until
from tests.brokers.contract import publication
from tests.brokers.faulty import KEEPING, FaultyRedis, faulty_redis, hurry
from tests.brokers.station import KEPT, Station, publish, publish_surely, station
from tests.endpoints.centrifuge.proxy import proxy_for

FEW = StreamOptions(size=5, ttl=60.0)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path, *KEEPING) as redis:
        yield redis


@pytest.fixture
async def here(redis: FaultyRedis) -> AsyncIterator[Station]:
    async with station(redis.url) as process:
        yield process


@pytest.fixture
async def there(redis: FaultyRedis) -> AsyncIterator[Station]:
    """Another process, which only publishes."""
    async with station(redis.url, hears=False) as process:
        yield process


# -- connections, and Redis itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_connections_that_are_killed(here: Station, there: Station, redis: FaultyRedis, kind: str) -> None:
    """While publications come: each is heard once, in its place."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish_surely, there, *range(400))
        for place in (50, 150, 250):
            await until(lambda: len(here.publications.items) >= place)  # noqa: B023  # waited for here
            redis.kill_connections(kind)
    await here.numbers(*range(400))
    assert here.told_of_loss == []


async def test_redis_that_comes_back_with_its_data(here: Station, there: Station, redis: FaultyRedis) -> None:
    """Who publishes meanwhile is told; then it goes on where it was."""
    await publish(there, *range(10))
    redis.kill()
    for _ in range(3):
        with pytest.raises(BrokerError):
            await publish(there, -1)
    redis.start()
    await publish_surely(there, *range(10, 20))
    await here.numbers(*range(20))
    assert here.told_of_loss == []


async def test_redis_that_comes_back_with_nothing(tmp_path: Path) -> None:
    """Those who keep a position are told; all that is published in the new life is heard, though this comes late."""
    with faulty_redis(tmp_path) as redis, proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here, station(redis.url, hears=False) as there:
            await publish(there, 1, 2)
            await here.numbers(1, 2)
            proxy.cut()
            redis.kill()
            redis.start()
            await publish_surely(there, 3, 4, 5)
            proxy.restore()
            await here.numbers(3, 4, 5)
            assert here.told_of_loss == ["news"]
            await publish(there, 6)
            await here.numbers(6)
            assert here.told_of_loss == ["news"]


async def test_a_loss_is_told_though_nothing_is_published(here: Station, there: Station, redis: FaultyRedis) -> None:
    """What was published between the last that came and the loss, nobody knows."""
    await publish(there, 1)
    await here.numbers(1)
    redis.do("FLUSHALL")
    redis.kill_connections("pubsub")
    await until(lambda: here.told_of_loss)
    assert here.told_of_loss == ["news"]


async def test_redis_that_is_not_there_yet(tmp_path: Path) -> None:
    """A process starts all the same; what it wants to hear it hears once Redis is there."""
    redis = FaultyRedis(tmp_path)
    try:
        async with station(redis.url, hears=False) as here:
            for _ in range(2):
                with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
                    await here.broker.join("news", kept=True)
                with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
                    await here.broker.command(b"x")
            assert not here.broker.connected
            redis.start()
            await until(lambda: here.broker.connected)
            with anyio.fail_after(PATIENCE):
                await here.broker.join("news", kept=True)
            await publish_surely(here, 1)
            await here.numbers(1)
    finally:
        redis.close()


async def test_an_outage_is_told_once(here: Station, redis: FaultyRedis, caplog: pytest.LogCaptureFixture) -> None:
    """When it begins and when it is over, however often Redis is asked meanwhile."""
    redis.kill()
    for _ in range(20):
        with pytest.raises(BrokerError):
            await publish(here, -1)
    redis.start()
    await publish_surely(here, 1)
    await here.numbers(1)
    await until(lambda: "answers again" in caplog.text)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING], caplog.text


async def test_a_connection_that_was_closed_while_idle(
    there: Station, redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Redis does after its `timeout`: nobody is told of that, it is made anew. And scripts are sent again."""
    await publish(there, 1)
    monkeypatch.setattr(connection, "_FRESH", 0.0)
    redis.kill_connections("normal")
    redis.do("SCRIPT", "FLUSH")
    await asyncio.sleep(0)
    await publish(there, 2)
    assert (await there.broker.history("news", 0, None, reverse=False)).position.offset == 2


async def test_a_connection_that_carries_nothing_any_more(tmp_path: Path) -> None:
    """And of which nobody says that it is over, as behind a firewall that has forgotten it: it is found by silence.

    What is not kept no other check would find.
    """
    with faulty_redis(tmp_path) as redis, proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here, station(redis.url, hears=False) as there:
            proxy.silence()
            await publish(there, 1, 2)
            await here.numbers(1, 2)
            with anyio.fail_after(PATIENCE):
                while not here.publications.items:
                    await publish(there, 3, stream=None)
                    await asyncio.sleep(0.01)
            assert (await here.next()).data == 3


async def test_another_server_takes_over(tmp_path: Path) -> None:
    """At the same address: the one that may not write any more is left, and what it had goes on there."""
    folders = tmp_path / "old", tmp_path / "new"
    for folder in folders:
        folder.mkdir()
    with (
        faulty_redis(folders[0]) as old,
        faulty_redis(folders[1], "--replicaof", f"127.0.0.1 {old.port}") as new,
        proxy_for(old.port) as proxy,
    ):
        async with station(f"redis://127.0.0.1:{proxy.port}") as here:
            await publish(here, 1, 2)
            await until(lambda: new.do("EXISTS", "test:position:{.news}"))
            await until(lambda: new.do("HGET", "test:position:{.news}", "s") == b"2")
            proxy.server_port = new.port
            new.do("REPLICAOF", "NO", "ONE")
            old.do("REPLICAOF", "127.0.0.1", new.port)
            with pytest.raises(BrokerError):
                await publish(here, -1)
            await publish_surely(here, 3, 4)
            await here.numbers(1, 2, 3, 4)
            assert here.told_of_loss == []


# -- Redis that does not answer, or late ------------------------------------------------------------------------------


async def test_redis_that_stops(here: Station, there: Station, redis: FaultyRedis) -> None:
    """Each of many publishers is told within a bounded time, and nothing piles up; afterwards all goes on."""
    await publish(there, *range(10))
    redis.pause()
    for _ in range(10):
        with anyio.fail_after(PATIENCE):
            results = await asyncio.gather(*[publish(there, -1) for _ in range(100)], return_exceptions=True)
        assert {type(result) for result in results} == {BrokerError}
        assert not there.broker.pipeline._waiting
    redis.resume()
    await publish_surely(there, *range(10, 20))
    # What was sent before the stop may have been done after it; it was not answered for.
    heard = [item.data for item in await heard_up_to(here, 19)]
    assert [number for number in heard if number >= 0] == list(range(20))
    assert here.told_of_loss == []


async def heard_up_to(process: Station, number: int) -> list[Publication]:
    found = list[Publication]()
    while not found or found[-1].data != number:
        found.append(await process.next())
    return found


async def test_no_more_wait_than_may(there: Station, redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is told at once."""
    monkeypatch.setattr(pipeline, "_MAX_WAITING", 10)
    redis.pause()
    results = await asyncio.gather(*[publish(there, -1) for _ in range(100)], return_exceptions=True)
    assert all(isinstance(result, BrokerError) for result in results)
    assert sum("wait for Redis already" in str(result) for result in results) == 90
    redis.resume()


async def test_redis_that_is_slow(tmp_path: Path) -> None:
    """Many publishers share a round trip, so that its time does not add up."""
    with faulty_redis(tmp_path) as redis, proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here:
            await publish(here, 0)
            proxy.delay = 0.05
            began = time.monotonic()
            await asyncio.gather(*[publish(here, number) for number in range(1, 300)])
            # One by one it would be 30 s.
            assert time.monotonic() - began < 10
            assert sorted([(await here.next()).data for _ in range(300)]) == list(range(300))


# -- messages that are lost on the way --------------------------------------------------------------------------------


async def lose(process: Station, number: int, stream: StreamOptions = KEPT) -> None:
    """Publish in a way in which the message never comes."""
    keys = [process.broker.keys.key(kind, "news") for kind in ("position", "stream")]
    body = envelope.body(publication("news", number))
    await process.broker.pipeline.run(PUBLISH, keys, "elsewhere", body, stream.size, 60_000, 60_000, "new", 0)


async def test_a_lost_message_is_found_by_the_next(here: Station, there: Station) -> None:
    """And comes before it."""
    await publish(there, 1)
    await lose(there, 2)
    await lose(there, 3)
    await publish(there, 4)
    await here.numbers(1, 2, 3, 4)


async def test_a_lost_message_is_found_without_another(
    redis: FaultyRedis, there: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the check that comes now and then; the first of a stream, too."""
    monkeypatch.setattr(consumer, "_CHECK_INTERVAL", 0.1)
    async with station(redis.url) as here:
        for number in range(3):
            await lose(there, number)
            await here.numbers(number)
        assert here.told_of_loss == []


async def test_more_is_lost_than_is_kept(here: Station, there: Station) -> None:
    """Who keeps a position is told; the others get what is there."""
    await publish(there, 1, stream=FEW)
    for number in range(2, 12):
        await lose(there, number, FEW)
    await publish(there, 12, stream=FEW)
    await here.numbers(1, 8, 9, 10, 11, 12)
    assert here.told_of_loss == ["news"]


def lines(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """How often something was said; a slow machine may say more."""
    return sum(text in record.getMessage() for record in caplog.records)


async def test_what_somebody_else_put_there(
    here: Station,
    there: Station,
    redis: FaultyRedis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is left out, said once, and is a gap where it took a place; nothing else is disturbed."""
    monkeypatch.setattr(envelope, "_quiet", RateLimit(3600.0))  # another test in this process may just have said it
    await publish(there, 1)
    await here.numbers(1)
    for rubbish in ("", "rubbish", "0::", "x::j0:1", "0::z0:1", "0::j9:1", "0::j2:[]1", '0::j11:{"info":{}}1'):
        assert redis.do("PUBLISH", there.broker.keys.published("news"), rubbish) == 1
    redis.do("HINCRBY", there.broker.keys.key("position", "news"), "s", 1)
    redis.do("RPUSH", there.broker.keys.key("stream", "news"), "rubbish")
    await publish(there, 3)
    await here.numbers(3)
    assert here.told_of_loss == ["news"]
    assert [item.data for item in (await there.broker.history("news", -1, None, False)).publications] == [1, 3]
    assert lines(caplog, "that is no publication") == 1


async def test_what_cannot_be_delivered(here: Station, there: Station, caplog: pytest.LogCaptureFixture) -> None:
    """Costs itself: who keeps a position is told, and all that comes after it is delivered."""
    deliver = here.receiver.deliver

    def failing(item: Publication) -> int:
        if item.data in (2, 3):
            raise LookupError("broken")
        return deliver(item)

    object.__setattr__(here.receiver, "deliver", failing)
    await publish(there, 1, 2, 3, 4)
    await here.numbers(1, 4)
    assert here.told_of_loss == ["news", "news"]
    assert lines(caplog, "a delivery 'news' failed") == 1


async def test_what_cannot_be_taken(
    here: Station, there: Station, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Costs itself, and not the connection: what it was is read where it is kept."""
    parse = envelope.parse

    def failing(channel: str, message: bytes) -> Any:
        if message.endswith(b"j0:2"):
            raise RecursionError
        return parse(channel, message)

    monkeypatch.setattr(envelope, "parse", failing)
    await publish(there, 1, 2)
    await here.numbers(1, 2)
    await publish(there, 3)
    await here.numbers(3)
    assert here.told_of_loss == []
    assert lines(caplog, "could not be taken") == 1


async def test_a_process_that_does_not_keep_up(tmp_path: Path) -> None:
    """Redis drops its connection when too much waits in it; what it missed it gets when it has room again."""
    with faulty_redis(tmp_path, "--client-output-buffer-limit", "pubsub 100kb 0 0") as redis:
        async with station(redis.url) as here, station(redis.url, hears=False) as there:
            free = anyio.Event()
            object.__setattr__(here.receiver, "wait_capacity", free.wait)
            await asyncio.gather(
                *[there.broker.publish(publication("news", str(number).ljust(10_000)), KEPT) for number in range(900)]
            )
            assert not here.publications.items
            free.set()
            assert sorted([int((await here.next()).data) for _ in range(900)]) == list(range(900))
            assert here.told_of_loss == []


# -- the rest ---------------------------------------------------------------------------------------------------------


async def test_a_command_that_does_not_come_back(here: Station, redis: FaultyRedis) -> None:
    """Is an error in a bounded time."""
    redis.pause()
    with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
        await here.broker.command(b"x")
    redis.resume()
    await until(lambda: here.broker.connected)
    await here.broker.command(b"y")
    heard = await here.next_command()
    while heard != b"y":
        assert heard == b"x"
        heard = await here.next_command()


async def test_the_stop_is_bounded(redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Redis does; whose round trip is under way is told, and so is who waits for the next."""
    monkeypatch.setattr(redis_pipeline, "MAX_TOGETHER", 5)
    async with station(redis.url) as here:
        await publish(here, 0)
        redis.pause()
        results = asyncio.gather(*[publish(here, -1) for _ in range(10)], return_exceptions=True)
        await until(lambda: len(here.broker.pipeline._waiting) >= 5)  # and perhaps a sign of life
    with anyio.fail_after(PATIENCE):
        assert all(isinstance(result, BrokerError) for result in await results)
    redis.resume()


async def test_commands_that_are_lost_on_the_way(redis: FaultyRedis, there: Station) -> None:
    """A process whose connection was lost obeys what it missed, in its order."""
    with proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here:
            await there.broker.command(b"1")
            assert await here.next_command() == b"1"
            proxy.cut()
            for number in (b"2", b"3"):
                await there.broker.command(number)
            proxy.restore()
            assert [await here.next_command(), await here.next_command()] == [b"2", b"3"]
            await there.broker.command(b"4")
            assert await here.next_command() == b"4"


async def test_what_comes_after_a_command_waits_for_it(here: Station, there: Station) -> None:
    """To whom it is delivered may depend on it."""
    obeying, obeyed = anyio.Event(), anyio.Event()

    async def apply_control(message: bytes) -> None:
        obeying.set()
        await here.broker.join("more", kept=True)  # which waits for Redis
        await obeyed.wait()

    object.__setattr__(here.receiver, "apply_control", apply_control)
    giving = asyncio.create_task(there.broker.command(b"x"))
    await obeying.wait()
    await publish(there, 1, 2)
    await there.broker.publish(publication("more", 3), KEPT)
    with anyio.move_on_after(0.1):
        await here.next()
        pytest.fail("it came before")
    obeyed.set()
    assert sorted([(await here.next()).data for _ in range(3)]) == [1, 2, 3]
    await giving
