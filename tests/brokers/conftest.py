"""Each broker by its name, for the tests that run over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asgi_push.brokers.local.directory import Directory
from tests.brokers.contract import Factory, memory, over_local, over_postgres, over_redis
from tests.brokers.faulty import Cluster, cluster
from tests.brokers.station import Station, station
from tests.engines import nothing_runs, temporary_home


@pytest.fixture(
    scope="module",
    params=[
        "memory-asyncio",
        "memory-trio",
        "redis-asyncio",
        "cluster-asyncio",
        "local-asyncio",
        "postgres-asyncio",
    ],
)
def kind(request: pytest.FixtureRequest) -> str:
    """A broker and an event loop; the file names the latter by a fixture ``anyio_backend``."""
    return str(request.param)


@pytest.fixture(scope="module")
def make_broker(kind: str, request: pytest.FixtureRequest) -> Factory:
    if kind.startswith("memory"):
        return memory
    if kind.startswith("local"):
        return partial(over_local, request.getfixturevalue("engine"))
    if kind.startswith("postgres"):
        return partial(over_postgres, request.getfixturevalue("postgres"))
    server = request.getfixturevalue("redis" if kind.startswith("redis") else "nodes")
    return partial(over_redis, server.redis)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The name of an engine, which stays when the broker of a test has left it."""
    with temporary_home():
        held = Directory("contract")
        held.hold()
        yield "contract"
        held.let_go()


@pytest.fixture
async def here(server: Any) -> AsyncIterator[Station]:
    """A process at the ``server`` of the file."""
    async with station(server.url) as process:
        yield process


@pytest.fixture
async def there(server: Any) -> AsyncIterator[Station]:
    """Another process, which only publishes."""
    async with station(server.url, hears=False) as process:
        yield process


@pytest.fixture
async def logged() -> AsyncIterator[list[dict[str, Any]]]:
    """What asyncio logs by itself: failures that nobody has looked at."""
    loop = asyncio.get_running_loop()
    before, found = loop.get_exception_handler(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    loop.set_exception_handler(before)


@pytest.fixture
def home() -> Iterator[Path]:
    """The temporary directory, in which nothing runs at the end."""
    with temporary_home() as home:
        yield home
        nothing_runs(home)
