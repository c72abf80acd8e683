"""Many transactions, publishers that are killed, connections that are cut: each reader has what was committed."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import cycle, pairwise

import anyio
import pytest

from asgi_push import BrokerError, Publication
from asgi_push.brokers import StreamOptions
from asgi_push.brokers.postgres import functions
from tests.asgi import PATIENCE
from tests.brokers.contract import publication
from tests.brokers.postgres_server import PostgresServer, postgres_server
from tests.brokers.station import Station, hurry, station
from tests.endpoints.centrifuge.proxy import Proxy, proxy_for
from tests.servers import ROOT

# POSTGRES_DEATHS=10000 makes the large run of it: so many transactions over 50 channels.
TRANSACTIONS = int(os.environ.get("POSTGRES_DEATHS", "200"))
LARGE = "POSTGRES_DEATHS" in os.environ
CHANNELS = [f"channel:{number}" for number in range(50 if LARGE else 8)]
PUBLISHERS = 4 if LARGE else 2  # processes
CONNECTIONS = 8  # of each
BLOWS = 60 if LARGE else 4

KEPT = StreamOptions(size=100_000, ttl=3600.0)

Heard = dict[str, list[str]]  # what came, by channel


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """One that knows when each transaction was committed."""
    hurry(monkeypatch)
    with postgres_server("track_commit_timestamp=on") as server:
        server.do("CREATE TABLE ledger (channel text, name text)")
        server.do("CREATE SEQUENCE turns")
        yield server


class Publishers:
    """Processes that publish in transactions; another comes for each that is killed."""

    def __init__(self, url: str) -> None:
        self._command = [sys.executable, "-m", "tests.brokers.transactions_process", url]
        self._command += [f"{TRANSACTIONS}", f"{len(CHANNELS)}", f"{CONNECTIONS}"]
        self._running = [self._start() for _ in range(PUBLISHERS)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, cwd=ROOT)

    def kill_one(self) -> None:
        """Kill the one that has lived longest."""
        victim = self._running.pop(0)
        victim.kill()
        victim.wait()
        self._running.append(self._start())

    def wait(self) -> None:
        """Return when all transactions are made."""
        assert [process.wait() for process in self._running] == [0] * PUBLISHERS

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()


@contextmanager
def publishers(url: str) -> Iterator[Publishers]:
    running = Publishers(url)
    try:
        yield running
    finally:
        running.end()


class Client:
    """Who comes, gets what was missed, and goes, again and again."""

    def __init__(self, process: Station, name: int) -> None:
        self._broker = process.broker
        self._random = random.Random(name)
        self.heard: Heard = defaultdict(list)
        self.comings = 0

    async def begin(self) -> None:
        self._places = {name: (await self._broker.history(name, 0, None, False)).position for name in CHANNELS}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            try:
                await self.come()
            except BrokerError:
                continue

    async def come(self) -> None:
        for name in self._random.sample(CHANNELS, len(CHANNELS)):
            recovery = await self._broker.recover(name, self._places[name])
            assert recovery.recovered
            self._places[name] = recovery.position
            self.heard[name] += [str(item.data) for item in recovery.publications]
        self.comings += 1


async def publish_directly(process: Station, name: str, enough: asyncio.Event) -> None:
    """Publish without transactions, too, until it is enough; what is refused is tried again."""
    chance = random.Random(name)
    number = 0
    while not enough.is_set():
        number += 1
        channel, data = chance.choice(CHANNELS), f"{name}.{number}"
        item = publication(channel, data)
        while True:
            try:
                await process.broker.publish(item, KEPT, data)
                break
            except BrokerError:
                await asyncio.sleep(0.01)
        await asyncio.sleep(chance.uniform(0.0, 0.02))


@asynccontextmanager
async def running(*work: object) -> AsyncIterator[None]:
    """Have work done meanwhile; a failure of it is one of the test."""
    tasks = [asyncio.ensure_future(one) for one in work]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in ended if isinstance(one, Exception)] == []


async def storm(server: PostgresServer, proxy: Proxy, publishing: Publishers) -> None:
    """Strike, evenly over all transactions."""
    blows = cycle([publishing.kill_one, proxy.cut, proxy.restore, server.kill_connections])
    for number in range(1, BLOWS + 1):
        await until_turn(server, TRANSACTIONS * number // (BLOWS + 1))
        await anyio.to_thread.run_sync(next(blows))
    await anyio.to_thread.run_sync(proxy.restore)


async def until_turn(server: PostgresServer, turn: int) -> None:
    """Wait until so many transactions were begun."""
    with anyio.fail_after(PATIENCE):
        while True:
            ((last,),) = await anyio.to_thread.run_sync(server.do, "SELECT last_value FROM turns")
            if last >= turn:
                return
            await asyncio.sleep(0.02)


def committed(server: PostgresServer) -> Heard:
    """What transactions published, in the order of their commits."""
    order = "pg_xact_commit_timestamp(xmin), split_part(name, '.', 2)::int"
    found: Heard = defaultdict(list)
    for channel, name in server.do(f"SELECT channel, name FROM ledger ORDER BY {order}"):
        found[channel].append(name)
    return found


async def received(process: Station, total: int) -> Heard:
    """All that came, in the order of its offsets, which have no hole."""
    heard: Heard = defaultdict(list)
    for _ in range(total):
        item: Publication = await process.next()
        heard[item.channel].append(str(item.data))
        assert item.offset == len(heard[item.channel])
    assert not process.publications.items
    assert process.told_of_loss == []
    return heard


async def test_every_reader_has_the_committed_ones_in_their_order(server: PostgresServer) -> None:
    """A process near by, one whose connections are cut, and clients that come and go; nothing else, and once."""
    if LARGE:
        faulthandler.cancel_dump_traceback_later()  # it may take its time
    with ExitStack() as stack, proxy_for(server.port) as proxy:
        url = server.url.replace(f":{server.port}", f":{proxy.port}")
        async with station(server.url) as near, station(url) as far, station(server.url, hears=False) as reader:
            for process in (near, far):
                await asyncio.gather(*[process.broker.join(name, kept=True) for name in CHANNELS])
            await near.broker.writing.call(functions.REMEMBER, "", KEPT.size, KEPT.ttl)  # for SQL
            clients = [Client(reader, name) for name in range(10)]
            for client in clients:
                await client.begin()
            publishing = stack.enter_context(publishers(server.url))
            enough = asyncio.Event()
            both = ((near, "near"), (far, "far"))
            direct = [asyncio.ensure_future(publish_directly(process, name, enough)) for process, name in both]
            async with running(*direct, *[client.run() for client in clients]):
                await storm(server, proxy, publishing)
                await anyio.to_thread.run_sync(publishing.wait)
                enough.set()
                await asyncio.wait(direct)  # what is under way may come after what is read below
            kept = {
                name: [str(item.data) for item in (await reader.broker.history(name, -1, None, False)).publications]
                for name in CHANNELS
            }
            total = sum(map(len, kept.values()))
            heard = [await received(process, total) for process in (near, far)]
            for client in clients:
                await client.come()
    check(committed(server), kept, [*heard, *[client.heard for client in clients]])
    comings = sum(client.comings for client in clients)
    print(f"{total} publications, {BLOWS} blows, clients came {comings} times")


def check(committed: Heard, kept: Heard, heard: list[Heard]) -> None:
    """Everybody has the same, in one order, which is that of the commits."""
    for one in heard:
        assert {name: data for name, data in kept.items() if data} == one
    for name, data in kept.items():
        assert [one for one in data if one[0].isdigit()] == committed[name]
        for publisher in ("near", "far"):
            numbers = [int(one.split(".")[1]) for one in data if one.startswith(publisher)]
            assert all(before < after for before, after in pairwise(numbers))
