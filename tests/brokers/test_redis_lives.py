"""Redis goes back in time: it was started again with older data, or another server took over that had not got all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgi_push import BrokerError, StreamPosition, UnrecoverablePosition
from asgi_push.brokers.redis import consumer
from tests.asgi import until
from tests.brokers.faulty import KEEPING, FaultyRedis, faulty_redis
from tests.brokers.station import KEPT, Station, station
from tests.endpoints.centrifuge.proxy import proxy_for

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[FaultyRedis]:
    """One that keeps what it is told to save, and nothing else."""
    with faulty_redis(tmp_path) as redis:
        yield redis


def go_back(redis: FaultyRedis) -> None:
    """It crashes, and comes back as it was when it last saved."""
    redis.kill()
    redis.start()


async def place(process: Station) -> StreamPosition:
    """Where the stream stands."""
    return (await process.broker.history("news", 0, None, reverse=False)).position


async def test_all_that_is_published_after_it_is_heard(redis: FaultyRedis) -> None:
    """By every process, though the offsets were given out before; who kept a position is told once, in one new life."""
    async with station(redis.url) as here, station(redis.url) as there:
        await there.publish(*range(1, 6))
        redis.do("SAVE")
        await there.publish(*range(6, 11))
        before = await place(there)
        for process in (here, there):
            await process.numbers(*range(1, 11))
        go_back(redis)
        results = await here.publish_surely(*range(11, 15)) + await there.publish_surely(*range(15, 31))
        for process in (here, there):
            await process.numbers(*range(11, 31))
            assert process.told_of_loss == ["news"]
        places = [result.position for result in results]
        assert places[0]
        assert places == [StreamPosition(offset, places[0].epoch) for offset in range(6, 26)]
        assert places[0].epoch != before.epoch


async def test_a_lost_position_is_never_recovered(redis: FaultyRedis) -> None:
    """Though the new life has gone beyond it before anybody looked; one from before the loss is good as ever."""
    async with station(redis.url, hears=False) as there:
        await there.publish(*range(1, 6))
        redis.do("SAVE")
        await there.publish(*range(6, 11))
        epoch = (await place(there)).epoch
        go_back(redis)
        await there.publish_surely(*range(11, 31))
        for offset in (6, 10, 15):
            assert not (await there.broker.recover("news", StreamPosition(offset, epoch))).recovered
            with pytest.raises(UnrecoverablePosition):
                await there.broker.history("news", -1, StreamPosition(offset, epoch), reverse=False)
        for offset in (5, 4):
            recovery = await there.broker.recover("news", StreamPosition(offset, epoch))
            assert recovery.recovered
            assert [item.data for item in recovery.publications] == [5, *range(11, 31)][offset - 4 :]
            assert recovery.position.epoch != epoch


@pytest.mark.parametrize("known", [3, 10])
async def test_a_process_that_looks_late(redis: FaultyRedis, known: int) -> None:
    """When the new life is beyond all that it has; it is told only if it has what was lost."""
    with proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here, station(redis.url, hears=False) as there:
            await there.publish(*range(1, known + 1))
            if known > 5:
                redis.do("SAVE")
                await there.publish(*range(known + 1, known + 3))
            await here.numbers(*range(1, known + 1 + 2 * (known > 5)))
            proxy.cut()
            if known <= 5:
                await there.publish(4)
                redis.do("SAVE")
                await there.publish(5, 6)
            go_back(redis)
            await there.publish_surely(*range(20, 40))
            proxy.restore()
            await here.numbers(*([4] if known <= 5 else []), *range(20, 40))
            assert here.told_of_loss == (["news"] if known > 5 else [])


async def test_nothing_was_lost(tmp_path: Path) -> None:
    """Redis came back with all that it had: positions are recovered, and nobody is told of anything."""
    with faulty_redis(tmp_path, *KEEPING) as redis:
        async with station(redis.url) as here:
            await here.publish(1, 2, 3)
            before = await place(here)
            for number in (4, 5):
                go_back(redis)
                await here.publish_surely(number)
            recovery = await here.broker.recover("news", before)
            assert [item.data for item in recovery.publications] == [4, 5]
            await here.numbers(1, 2, 3, 4, 5)
            assert here.told_of_loss == []


async def test_a_replica_that_had_not_got_all(tmp_path: Path) -> None:
    """Takes over at the same address."""
    folders = tmp_path / "old", tmp_path / "new"
    for folder in folders:
        folder.mkdir()
    with (
        faulty_redis(folders[0], "--repl-diskless-sync-delay", "0") as old,
        proxy_for(old.port) as between,
        faulty_redis(folders[1], "--replicaof", f"127.0.0.1 {between.port}") as new,
        proxy_for(old.port) as proxy,
    ):
        async with station(f"redis://127.0.0.1:{proxy.port}") as here:
            await here.publish(1, 2)
            await until(lambda: new.do("HGET", "test:position:{.news}", "s") == b"2")
            between.cut()
            await here.publish(3, 4)
            old.kill()
            new.do("REPLICAOF", "NO", "ONE")
            proxy.server_port = new.port
            await here.publish_surely(*range(5, 15))
            await here.numbers(*range(1, 15))
            assert here.told_of_loss == ["news"]


async def test_a_stream_that_stands_below_what_is_known(redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has lost something, whoever did that: it is found by the check, and its next life is another."""
    monkeypatch.setattr(consumer, "_CHECK_INTERVAL", 0.1)
    async with station(redis.url) as here, station(redis.url) as there:
        await there.publish(*range(1, 6))
        before = await place(there)
        redis.do("HSET", here.broker.keys.key("position", "news"), "s", 3)
        await until(lambda: here.told_of_loss and there.told_of_loss)
        await here.publish(6, 7)
        for process in (here, there):
            await process.numbers(*range(1, 8))
            assert process.told_of_loss == ["news"]
        assert not (await here.broker.recover("news", before)).recovered


async def test_commands_go_on(redis: FaultyRedis) -> None:
    """Their stream went back, too."""
    async with station(redis.url) as here, station(redis.url) as there:
        await there.broker.command(b"1")
        redis.do("SAVE")
        for command in (b"2", b"3"):
            await there.broker.command(command)
        go_back(redis)
        while True:
            try:
                await there.broker.command(b"4")
                break
            except BrokerError:
                await asyncio.sleep(0.02)
        await there.broker.command(b"5")
        for process in (here, there):
            while await process.next_command() != b"5":
                pass


async def test_a_key_that_was_lost_publishes_again(redis: FaultyRedis) -> None:
    """One that was kept does not."""
    async with station(redis.url) as here:
        (first,) = await here.publish_surely(1)
        redis.do("SAVE")
        await here.publish_surely(2)
        go_back(redis)
        again = await here.publish_surely(1, 2)
        assert again[0] == first
        await here.numbers(1, 2, 2)


async def test_what_is_left_of_a_stream_that_is_gone(redis: FaultyRedis) -> None:
    """Belongs to no other life: a position that expired or was evicted takes its publications with it."""
    async with station(redis.url, hears=False) as there:
        for begin in (place, lambda process: process.publish(9)):
            await there.publish(1, 2)
            redis.do("DEL", there.broker.keys.key("position", "news"))
            await begin(there)
            found = await there.broker.history("news", -1, None, reverse=False)
            assert [item.data for item in found.publications] == ([9] if found.position.offset else [])


async def test_whoever_reads_or_looks_keeps_a_position_alive(redis: FaultyRedis) -> None:
    """For a week, though its publications are gone before."""
    async with station(redis.url, hears=False) as there:
        key = there.broker.keys.key("position", "news")
        for look in (
            lambda: there.broker.history("news", 0, None, reverse=False),
            lambda: there.broker.recover("news", StreamPosition(1, "")),
            lambda: there.broker.join("news", kept=True),
        ):
            await there.publish(1, stream=KEPT)
            redis.do("PEXPIRE", key, 1000)
            await look()
            assert redis.do("PTTL", key) > 6 * 24 * 60 * 60 * 1000


async def test_no_stream_begins_with_an_epoch_again(redis: FaultyRedis) -> None:
    """However often Redis loses it; other streams may begin with the same one."""
    async with station(redis.url, hears=False) as here:
        epochs = []
        for _ in range(3):
            for channel in ("news", "other"):
                top, _ = await here.broker._streams.look(channel, None, begins=True)
                epochs.append((channel, top.epoch))
            redis.do("FLUSHALL")
        assert len(set(epochs)) == len(epochs)
