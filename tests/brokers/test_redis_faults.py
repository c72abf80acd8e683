"""What only Redis can do: it comes back with nothing, slows down, loses messages. All is heard, or told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, Publication
from asgi_push.brokers import StreamOptions, envelope
from asgi_push.brokers.redis import connection, consumer
from asgi_push.brokers.redis.scripts import PUBLISH
from asgi_push.logs import RateLimit
from tests.asgi import PATIENCE, until
from tests.brokers.contract import publication
from tests.brokers.faulty import KEEPING, FaultyRedis, faulty_redis
from tests.brokers.station import KEPT, Station, station
from tests.endpoints.centrifuge.proxy import proxy_for

FEW = StreamOptions(size=5, ttl=60.0)


pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path, *KEEPING) as redis:
        yield redis


@pytest.fixture
def server(redis: FaultyRedis) -> FaultyRedis:
    return redis


# -- connections, and Redis itself ------------------------------------------------------------------------------------


async def test_redis_that_comes_back_with_nothing(tmp_path: Path) -> None:
    """Those who keep a position are told; all that is published in the new life is heard, though this comes late."""
    with faulty_redis(tmp_path) as redis, proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here, station(redis.url, hears=False) as there:
            await there.publish(1, 2)
            await here.numbers(1, 2)
            proxy.cut()
            redis.kill()
            redis.start()
            await there.publish_surely(3, 4, 5)
            proxy.restore()
            await here.numbers(3, 4, 5)
            assert here.told_of_loss == ["news"]
            await there.publish(6)
            await here.numbers(6)
            assert here.told_of_loss == ["news"]


async def test_a_connection_that_was_closed_while_idle(
    there: Station, redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Redis does after its `timeout`: nobody is told of that, it is made anew. And scripts are sent again."""
    await there.publish(1)
    monkeypatch.setattr(connection, "_FRESH", 0.0)
    redis.kill_connections("normal")
    redis.do("SCRIPT", "FLUSH")
    idle = there.broker.pipeline._connection._connection
    await until(idle._reader.at_eof)
    await there.publish(2)
    assert (await there.broker.history("news", 0, None, reverse=False)).position.offset == 2


async def test_a_connection_that_carries_nothing_any_more(tmp_path: Path) -> None:
    """And of which nobody says that it is over, as behind a firewall that has forgotten it: it is found by silence.

    What is not kept no other check would find.
    """
    with faulty_redis(tmp_path) as redis, proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here, station(redis.url, hears=False) as there:
            proxy.silence()
            await there.publish(1, 2)
            await here.numbers(1, 2)
            with anyio.fail_after(PATIENCE):
                while not here.publications.items:
                    await there.publish(3, stream=None)
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
            await here.publish(1, 2)
            await until(lambda: new.do("EXISTS", "test:position:{.news}"))
            await until(lambda: new.do("HGET", "test:position:{.news}", "s") == b"2")
            proxy.server_port = new.port
            new.do("REPLICAOF", "NO", "ONE")
            old.do("REPLICAOF", "127.0.0.1", new.port)
            with pytest.raises(BrokerError):
                await here.publish(-1)
            await here.publish_surely(3, 4)
            await here.numbers(1, 2, 3, 4)
            assert here.told_of_loss == []


async def test_redis_that_is_slow(tmp_path: Path) -> None:
    """Many publishers share a round trip, so that its time does not add up."""
    with faulty_redis(tmp_path) as redis, proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here:
            await here.publish(0)
            proxy.delay = 0.2
            with anyio.fail_after(PATIENCE):  # one by one it would be two minutes
                await asyncio.gather(*[here.publish(number) for number in range(1, 300)])
            assert sorted([(await here.next()).data for _ in range(300)]) == list(range(300))


# -- messages that are lost on the way --------------------------------------------------------------------------------


async def lose(process: Station, number: int, stream: StreamOptions = KEPT) -> None:
    """Publish in a way in which the message never comes."""
    keys = [process.broker.keys.key(kind, "news") for kind in ("position", "stream")]
    body = envelope.body(publication("news", number))
    await process.broker.pipeline.run(PUBLISH, keys, "elsewhere", body, stream.size, 60_000, 60_000, "new", 0)


async def test_a_lost_message_is_found_by_the_next(here: Station, there: Station) -> None:
    """And comes before it."""
    await there.publish(1)
    await lose(there, 2)
    await lose(there, 3)
    await there.publish(4)
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
    await there.publish(1, stream=FEW)
    for number in range(2, 12):
        await lose(there, number, FEW)
    await there.publish(12, stream=FEW)
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
    await there.publish(1)
    await here.numbers(1)
    for rubbish in ("", "rubbish", "0::", "x::j0:1", "0::z0:1", "0::j9:1", "0::j2:[]1", '0::j11:{"info":{}}1'):
        assert redis.do("PUBLISH", there.broker.keys.published("news"), rubbish) == 1
    redis.do("HINCRBY", there.broker.keys.key("position", "news"), "s", 1)
    redis.do("RPUSH", there.broker.keys.key("stream", "news"), "rubbish")
    await there.publish(3)
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
    await there.publish(1, 2, 3, 4)
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
    await there.publish(1, 2)
    await here.numbers(1, 2)
    await there.publish(3)
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
