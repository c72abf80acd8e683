"""What a publisher is told that clients of other processes have is what they have."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, Push
from asgi_push.brokers import commands
from asgi_push.push import core_of
from tests import asgi
from tests.asgi import Closed, until
from tests.brokers.faulty import FaultyRedis, faulty_redis
from tests.endpoints.centrifuge.peers import OPTIONS, House, Peer, house

LONG = 60.0

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


class Reader:
    """An SDK client that notes what it has, and confirms that from time to time; or vanishes, and comes back."""

    def __init__(self, houses: list[House], channel: str, chance: random.Random, *, cut: bool) -> None:
        self.has: dict[str, set[int]] = {}  # by session
        self._houses = houses
        self._channel = channel
        self._chance = chance
        self._cut = cut
        self._at = (0, "")
        self.ready = anyio.Event()

    async def run(self) -> None:
        while True:
            peer = await self._chance.choice(self._houses).stranger()
            with suppress(Closed):
                await self._live(peer)
            peer.client.close()
            await peer.client.ended()

    async def _live(self, peer: Peer) -> None:
        offset, epoch = self._at
        known = {"recover": True, "epoch": epoch, "offset": offset} if epoch else {}
        peer.say({"id": 1, "connect": {}})
        session = (await peer.hear())["connect"]["client"]
        has = self.has[session] = set()
        answer = (await peer.ask("subscribe", channel=self._channel, **known))["subscribe"]
        self._at = (answer.get("offset", 0), answer["epoch"])
        self._take(has, answer.get("publications", []))
        self.ready.set()
        confirmed = 0
        while not (self._cut and self._chance.random() < 0.05):
            offset = self._at[0]
            if confirmed < offset and (not self._cut or self._chance.random() < 0.7):
                confirmed = offset
                data = {"channel": self._channel, "offset": offset}
                peer.say({"id": 2, "rpc": {"method": "push.ack", "data": data}})
            message = await peer.hear()
            assert "error" not in message
            if "push" in message:
                self._take(has, [message["push"]["pub"]])

    def _take(self, has: set[int], publications: list[dict[str, Any]]) -> None:
        for publication in publications:
            assert publication["offset"] == self._at[0] + 1
            self._at = (publication["offset"], self._at[1])
            has.add(publication["offset"])


@asynccontextmanager
async def workers(redis: FaultyRedis, number: int = 2) -> AsyncIterator[list[House]]:
    """Several processes, as far as they know."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(house(broker=redis.url)) for _ in range(number)]


async def read(houses: list[House], channel: str, *, many: int, cut: bool, publisher: Push, count: int) -> None:
    """Publish to readers, and compare what is told of them with what they have."""
    chance = random.Random(channel)
    readers = [Reader(houses, channel, chance, cut=cut) for _ in range(many)]
    async with anyio.create_task_group() as tasks:
        for reader in readers:
            tasks.start_soon(reader.run)
        for reader in readers:
            await reader.ready.wait()

        async def publish(number: int) -> None:
            result = await publisher.publish(channel, number, confirm=3.0 if cut else LONG)
            assert result.position is not None
            has = {session for reader in readers for session, offsets in reader.has.items()
                   if result.position.offset in offsets}  # fmt: skip
            assert set(result.confirmed) <= has
            assert len(set(result.confirmed)) == len(result.confirmed)
            if not cut:
                assert (set(result.confirmed), result.receivers) == (has, many)
            told.append(result.confirmed)

        told: list[list[str]] = []
        with anyio.fail_after(60):
            async with anyio.create_task_group() as publishing:
                for number in range(count):
                    publishing.start_soon(publish, number)
                    await anyio.sleep(0.002)
        assert sum(map(len, told)) > count  # most of them confirm
        tasks.cancel_scope.cancel()


async def test_all_confirm(redis: FaultyRedis) -> None:
    """Then all are told, whichever process they are in, and each publisher goes on at once."""
    async with workers(redis) as houses, Push(broker=redis.url) as publisher:
        await read(houses, "whole", many=6, cut=False, publisher=publisher, count=100)
        assert core_of(publisher).hub.counters.confirmation.count == 600


async def test_some_are_cut_off(redis: FaultyRedis) -> None:
    """Nobody is told to have what they have not; who came back and was sent it counts, too."""
    async with workers(redis) as houses:
        await read(houses, "cut", many=6, cut=True, publisher=houses[0].push, count=100)


async def test_a_process_that_was_killed_holds_nobody_up(redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who are there confirm in time, and are told when the time is over."""
    monkeypatch.setattr(commands, "_PATIENCE", 5.0)
    async with workers(redis, 1) as (here,), Push(broker=redis.url) as publisher:
        peer = await here.peer()
        await peer.ask("subscribe", channel="killed")
        await publisher.subscribe("nobody", "killed")  # both are known to each other now
        registry = core_of(publisher).hub.broker.keys.key("processes", "")  # type: ignore[attr-defined]
        redis.do("ZADD", registry, 1e15, "killed")
        results = []

        async def publish(seconds: float) -> None:
            results.append(await publisher.publish("killed", 1, confirm=seconds))

        async with anyio.create_task_group() as tasks:
            for number in (1, 2):
                tasks.start_soon(publish, 4.0)
                assert (await peer.hear())["push"]["pub"]["offset"] == number
                await peer.ask("rpc", method="push.ack", data={"channel": "killed", "offset": number})
        (session,) = here.push.sessions()
        assert [(result.confirmed, result.receivers) for result in results] == [([session.id], 1)] * 2
        with pytest.raises(BrokerError, match=r"who has it is not known: .*1 of 3 processes"):
            await publisher.publish("killed", 1, confirm=LONG)
        redis.do("ZREM", registry, "killed")


async def test_redis_is_away(redis: FaultyRedis) -> None:
    """What was not published is an error, as it always is."""
    async with asgi.pushing(**OPTIONS, broker=redis.url) as (push, _):
        await push.publish("news", 1, confirm=LONG)
        redis.kill()
        await until(lambda: not core_of(push).hub.broker.connected)
        with pytest.raises(BrokerError):
            await push.publish("news", 1, confirm=LONG)
        redis.start()
