"""What every presence store keeps to, and what one that is shared keeps to over several processes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, ClientInfo, Settings
from asgi_push.brokers import PresenceStore, liveness
from asgi_push.brokers import presence as any_presence
from asgi_push.brokers.memory import MemoryPresence
from asgi_push.brokers.postgres.presence import PostgresPresence
from asgi_push.brokers.redis import presence, presence_table
from asgi_push.brokers.redis.connection_factory import ConnectionFactory
from asgi_push.brokers.redis.health import RedisHealth
from asgi_push.brokers.redis.keys import Keys
from asgi_push.brokers.redis.pipeline import RedisPipeline
from asgi_push.brokers.redis.presence import RedisPresence
from asgi_push.connection import Connection
from asgi_push.encoding import Encoder
from asgi_push.registry import Registry
from asgi_push.subscription import Subscription, TrackedSubscription
from tests.asgi import PATIENCE, until, until_answer
from tests.brokers import contract
from tests.brokers.contract import over_postgres
from tests.brokers.faulty import Cluster, cluster
from tests.brokers.postgres_server import PostgresServer
from tests.brokers.station import short_lives
from tests.servers import Server


class Process:
    """What a process has of presence: its sessions, and its store."""

    def __init__(self, store: PresenceStore) -> None:
        self.store = store
        self.registry: Registry[Connection, Subscription] = Registry()
        self.evicted: list[str] = []
        store.start(self.registry, lambda channel: channel != "unwatched", self.evict)

    async def evict(self, session_ids: Iterable[str]) -> None:
        self.evicted += session_ids

    def enter(
        self, name: str, user: str = "alice", channel: str = "", info: Any = None, ago: float = 0.0
    ) -> Connection:
        owner: Any = Encoder(None, 0)  # all that it needs of a hub
        session = Connection(name, user, None, None, owner, None, time.monotonic() - ago)  # type: ignore[arg-type]
        session.info = info
        self.registry.add(session)
        self.store.add(f"#{user}", session)
        if channel:
            self.join(session, channel)
        return session

    def join(self, session: Connection, channel: str, subscription: Subscription | None = None) -> None:
        session.put(channel, subscription or Subscription(0))
        self.registry.join(session, channel, session.subscriptions[channel])
        self.store.add(channel, session)

    def leave(self, session: Connection) -> None:
        self.registry.remove(session)
        self.store.remove(f"#{session.user}", session)
        for channel in session.subscriptions:
            self.store.remove(channel, session)
            self.registry.leave(session, channel)

    async def members(self, channel: str) -> set[str]:
        return set(await self.store.members(channel))


@asynccontextmanager
async def running(store: PresenceStore) -> AsyncIterator[Process]:
    process = Process(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        yield process
        tasks.cancel_scope.cancel()
    await store.stop()


# Starts one more process.
Start = Callable[..., Any]


@pytest.fixture
async def start(redis: Server) -> AsyncIterator[Start]:
    async with sharing(redis) as start:
        yield start


@pytest.fixture(params=["redis", "postgres"])
async def start_any(request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    """Starts processes that share one of the servers that can be shared."""
    server = request.getfixturevalue(request.param)
    async with (sharing if request.param == "redis" else sharing_postgres)(server) as start:
        yield start


@asynccontextmanager
async def sharing_postgres(server: PostgresServer) -> AsyncIterator[Start]:
    """Start processes that share a PostgreSQL, which is empty."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Process:
            broker = await stack.enter_async_context(over_postgres(server, empty=False))
            await broker.start(contract.Process().receiver)
            stack.push_async_callback(broker.stop)
            store = PostgresPresence(broker.writing, Settings(**settings))
            return await stack.enter_async_context(running(store))

        server.empty()
        yield start


@asynccontextmanager
async def sharing(redis: Server) -> AsyncIterator[Start]:
    """Start processes that share a Redis, which is empty."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Process:
            pipeline = await stack.enter_async_context(linked(redis))
            store = RedisPresence(pipeline, Keys("test", 0), Settings(**settings))
            return await stack.enter_async_context(running(store))

        await flush(redis)
        yield start


async def flush(redis: Server) -> None:
    """Have Redis forget everything."""
    async with linked(redis) as pipeline:
        await pipeline.call("FLUSHALL")


@asynccontextmanager
async def linked(redis: Server | Cluster) -> AsyncIterator[RedisPipeline]:
    factory = ConnectionFactory(redis.redis)
    pipeline = RedisPipeline(factory, RedisHealth(factory.name), Keys("test", 0))
    await pipeline.start()
    yield pipeline
    await pipeline.stop()


@pytest.fixture(params=["memory-asyncio", "memory-trio", "redis-asyncio", "postgres-asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The loop that a kind of store is for; redis-py needs asyncio."""
    name = str(request.getfixturevalue("kind")) if "kind" in request.fixturenames else "asyncio"
    return name.rpartition("-")[2]


@pytest.fixture
async def process(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    if kind.startswith("memory"):
        async with running(MemoryPresence()) as process:
            yield process
    elif kind.startswith("redis"):
        async with sharing(request.getfixturevalue("redis")) as start:
            yield await start()
    else:
        async with sharing_postgres(request.getfixturevalue("postgres")) as start:
            yield await start()


async def test_who_is_here_is_known(process: Process) -> None:
    """From the moment in which they come to that in which they go, with all that is said of them."""
    first = process.enter("1", info={"name": "A"})
    second = process.enter("2", "bob", "news")
    process.join(first, "news")
    assert isinstance(first.subscriptions["news"], Subscription)
    assert await process.store.members("news") == {
        "1": ClientInfo("alice", "1", {"name": "A"}),
        "2": ClientInfo("bob", "2"),
    }
    assert await process.store.is_online("#alice")
    assert not await process.store.is_online("#carol")
    process.leave(first)
    assert await process.members("news") == {"2"}
    assert not await process.store.is_online("#alice")
    assert await process.store.is_online("#bob")
    process.leave(second)
    assert await process.members("news") == set()
    assert not await process.store.is_online("#bob")


async def test_all_processes_know(start_any: Start) -> None:
    """What happens in one of them, soon."""
    one, other = await start_any(), await start_any()
    session = one.enter("1", channel="news", info=[1])
    other.enter("2", channel="news")
    await until_answer(lambda: other.members("news"), {"1", "2"})
    assert (await other.store.members("news"))["1"] == ClientInfo("alice", "1", [1])
    one.leave(session)
    await until_answer(lambda: other.members("news"), {"2"})


async def test_what_is_said_of_who_is_here(start_any: Start) -> None:
    """All processes know what the application says of a session, and of it in one channel."""
    one, other = await start_any(), await start_any()
    session = one.enter("1", user='the "first"', info={"name": "Ä"})
    subscription = TrackedSubscription(0)
    subscription.info = b'{"role":"writer"}'
    one.join(session, "news", subscription)
    one.join(session, "more")
    told = ClientInfo('the "first"', "1", {"name": "Ä"}, {"role": "writer"})
    for process in (one, other):
        await until_answer(lambda process=process: process.store.members("news"), {"1": told})
        members = await process.store.members("more")
        assert members == {"1": replace(told, chan_info=None)}


async def test_the_last_to_leave_are_gone(start: Start, redis: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends in good order leaves nobody behind."""
    monkeypatch.setattr(any_presence, "_STOP_TIME", PATIENCE)
    other = await start()
    async with linked(redis) as pipeline, running(RedisPresence(pipeline, Keys("test", 0), Settings())) as ending:
        session = ending.enter("1", channel="news")
        await until_answer(lambda: other.members("news"), {"1"})
        ending.leave(session)
    assert await other.members("news") == set()


async def test_many_come_and_go(start_any: Start) -> None:
    """More than are written in one call."""
    one, other = await start_any(), await start_any()
    sessions = [one.enter(str(number), channel=f"news:{number % 3}") for number in range(1000)]
    for session in sessions[::2]:
        one.leave(session)
    for channel in range(3):
        assert await one.members(f"news:{channel}") == {
            str(number) for number in range(1, 1000, 2) if number % 3 == channel
        }
    assert len(await other.members("news:0")) == len(await one.members("news:0"))


async def test_what_is_not_watched_is_not_written(start_any: Start) -> None:
    """It would be work for nothing."""
    process, other = await start_any(), await start_any()
    process.enter("1", channel="unwatched")
    assert await process.store.is_online("#alice")
    assert await other.members("#alice") == {"1"}
    assert await other.members("unwatched") == set()


# -- a process that is killed -----------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_table, "_EXPIRY_MS", 2000)
    monkeypatch.setattr(presence, "_RENEW_EVERY", 0.2)
    monkeypatch.setattr(liveness, "_EXPIRY", 2.0)
    monkeypatch.setattr(liveness, "_EVERY", 0.2)


@pytest.mark.usefixtures("short")
async def test_the_sessions_of_a_killed_process_expire(start: Start, redis: Server) -> None:
    """Those of the others are renewed, and stay; nothing is left in Redis when all are gone."""
    other = await start()
    other.enter("2", channel="news")
    async with linked(redis) as pipeline:
        killed = Process(RedisPresence(pipeline, Keys("test", 0), Settings()))  # which nothing runs, and nothing stops
        killed.enter("1", channel="news")
        killed.enter("3", channel="asked")
        await until_answer(lambda: killed.members("news"), {"1", "2"})
        assert await killed.members("asked") == {"3"}
        # Nobody asks, but the next who writes takes it out of Redis.
        await until_answer(lambda: pipeline.call("HLEN", Keys("test", 0).key("processes", "news")), 1)
        assert await other.members("news") == {"2"}
        await until_answer(lambda: other.members("asked"), set())
        for session in list(other.registry.sessions()):
            other.leave(session)
        assert await other.members("news") == set()
        await until_answer(lambda: pipeline.call("KEYS", "*"), [f"test:process:{{.{other.store._life.id}}}".encode()])


async def test_a_killed_process_leaves_no_place_behind(start: Start, redis: Server, short: None) -> None:
    """Who comes back finds room as soon as it is known that it lives no more."""
    settings = Settings(max_sessions_per_user=1)
    async with linked(redis) as pipeline:
        killed = Process(RedisPresence(pipeline, Keys("test", 0), settings))
        session = killed.enter("1")
        assert await killed.store.reserve("#alice", session)
    other = await start(max_sessions_per_user=1)
    coming = Connection("2", "alice", None, None, Encoder(None, 0), None, time.monotonic())  # type: ignore[arg-type]
    await until_answer(lambda: other.store.reserve("#alice", coming), True)
    assert await other.members("#alice") == set()
    other.store.remove("#alice", coming)
    await other.store.is_online("#alice")
    async with linked(redis) as pipeline:
        assert not [key for key in await pipeline.call("KEYS", "*") if b"#alice" in key]


async def test_who_leaves_while_redis_is_away(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Is gone as soon as it is back, and its place is free at once."""
    monkeypatch.setattr(any_presence, "_RETRY_AFTER", 0.1)
    one, other = [await start(max_sessions_per_user=1) for _ in range(2)]
    session = one.enter("1", channel="news")
    await until_answer(lambda: other.members("news"), {"1"})
    with broken(one):
        one.leave(session)
        await until(lambda: "do not see all" in caplog.text)
    assert await one.store.reserve("#alice", session)
    await until_answer(lambda: other.members("news"), set())


@pytest.mark.usefixtures("short")
async def test_what_nobody_told_redis_is_mended(start: Start, monkeypatch: pytest.MonkeyPatch, redis: Server) -> None:
    """A renewal finds what is there and should not be, and what is missing: Redis may have gone back in time."""
    one, other = await start(), await start()
    session = one.enter("1", channel="news")
    one.enter("2", channel="news")
    await until_answer(lambda: other.members("news"), {"1", "2"})
    async with linked(redis) as pipeline:
        key = f"{Keys('test', 0).key('presence', 'news')}:{one.store._life.id}"
        entry = await pipeline.call("HGET", key, "1")
        one.leave(session)
        await until_answer(lambda: other.members("news"), {"2"})
        await pipeline.call("HSET", key, "1", entry)
        await until_answer(lambda: other.members("news"), {"2"})
        await pipeline.call("HDEL", key, "2")
        await until_answer(lambda: other.members("news"), {"2"})


@pytest.mark.usefixtures("short")
async def test_a_process_that_was_taken_for_dead(start: Start, redis: Server) -> None:
    """As it was held up for long: its sessions are there again when it goes on."""
    one, other = await start(), await start()
    one.enter("1", channel="news")
    await until_answer(lambda: other.members("news"), {"1"})
    async with linked(redis) as pipeline:
        await pipeline.call("DEL", f"test:process:{{.{one.store._life.id}}}")
        await pipeline.call("DEL", f"{Keys('test', 0).key('presence', 'news')}:{one.store._life.id}")
        await until_answer(lambda: other.members("news"), {"1"})


async def test_what_postgres_forgets_is_written_again(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server that crashed, or of a process that was taken for dead; the dead ones do not count."""
    short_lives(monkeypatch)
    async with sharing_postgres(postgres) as start:
        one, other = await start(), await start()
        one.enter("1", channel="news")
        await until_answer(lambda: other.members("news"), {"1"})
        postgres.do("TRUNCATE asgi_push.presence, asgi_push.processes")
        await until_answer(lambda: other.members("news"), {"1"})
        postgres.do("INSERT INTO asgi_push.presence VALUES ('news', 'dead', '2', 0, '[null, null, null]')")
        await until_answer(lambda: other.members("news"), {"1"})


@pytest.mark.usefixtures("short")
async def test_what_redis_forgets_is_written_again(start: Start, redis: Server) -> None:
    """By the next renewal."""
    one, other = await start(), await start()
    one.enter("1", info=1)
    one.enter("2", "bob", "news")
    await until_answer(lambda: other.members("news"), {"2"})
    await flush(redis)
    await until_answer(lambda: other.members("news"), {"2"})
    await until_answer(lambda: other.store.members("#alice"), {"1": ClientInfo("alice", "1", 1)})


async def test_without_redis_nothing_is_known(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asks is told so; what happened meanwhile is written soon afterwards."""
    monkeypatch.setattr(any_presence, "_RETRY_AFTER", 0.1)
    process = await start()
    with broken(process) as pipeline:
        session = process.enter("1", channel="news")
        for ask in (process.store.members, process.store.is_online):
            with pytest.raises(BrokerError):
                await ask("news")
        with pytest.raises(BrokerError):
            await process.store.reserve("#alice", session)
        await until(lambda: "do not see all" in caplog.text)
        assert pipeline.calls
    await until_answer(lambda: process.members("news"), {"1"})


class Broken:
    def __init__(self) -> None:
        self.calls = 0

    async def run(self, *_: Any) -> Any:
        self.calls += 1
        raise BrokerError("no Redis")

    call = run


@contextmanager
def broken(process: Process) -> Iterator[Broken]:
    """Cut a process off."""
    assert isinstance(process.store, RedisPresence)
    pipeline, no_pipeline = process.store._table._pipeline, Broken()
    process.store._table._pipeline = process.store._life._pipeline = no_pipeline  # type: ignore[assignment]
    yield no_pipeline
    process.store._table._pipeline = process.store._life._pipeline = pipeline


# -- how many sessions a user may have --------------------------------------------------------------------------------


async def test_no_more_than_a_user_may_have(start_any: Start) -> None:
    """However many ask for the last place at once, in whichever process; one that leaves makes room."""
    one, other, watching = [await start_any(max_sessions_per_user=2) for _ in range(3)]
    admitted = list[Connection]()

    async def come(process: Process, number: int) -> None:
        session = Connection(str(number), "alice", *[None] * 4, time.monotonic())  # type: ignore[arg-type]
        if await process.store.reserve("#alice", session):
            admitted.append(session)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(come, (one, other)[number % 2], number)
    assert len(admitted) == 2
    one.store.remove("#alice", admitted[0])
    other.store.remove("#alice", admitted[0])
    await until_answer(lambda: watching.members("#alice"), {admitted[1].id})
    await come(other, 20)
    await come(other, 21)
    assert len(admitted) == 3


async def test_the_oldest_gives_way(start_any: Start) -> None:
    """In whichever process it is; a renewal does not bring it back."""
    one, other = [await start_any(max_sessions_per_user=2, when_exceeded="replace") for _ in range(2)]
    first = one.enter("1")
    assert await one.store.is_online("#alice")
    other.enter("2")
    await until_answer(lambda: one.members("#alice"), {"1", "2"})
    other.enter("3")
    await until(lambda: other.evicted == ["1"])
    one.leave(first)
    assert await one.members("#alice") == {"2", "3"}
    assert one.evicted == []


async def test_clocks_may_differ(start_any: Start) -> None:
    """Who comes stays, however early it is by the clock of its machine."""
    one, other = [await start_any(max_sessions_per_user=1, when_exceeded="replace") for _ in range(2)]
    one.enter("1")
    assert await one.store.is_online("#alice")
    other.enter("2", ago=3600.0)
    await until(lambda: other.evicted == ["1"])
    assert await other.members("#alice") == {"2"}


async def test_over_a_cluster(tmp_path: Path) -> None:
    """Whichever node has a channel."""
    settings = Settings(max_sessions_per_user=1)
    with cluster(tmp_path) as nodes:
        async with linked(nodes) as pipeline, running(RedisPresence(pipeline, Keys("test", 0), settings)) as process:
            channels = [f"news:{number}" for number in range(20)]
            sessions = [process.enter(channel, channel, channel) for channel in channels]
            for number, channel in enumerate(channels):
                assert await process.members(channel) == {channel}
                assert await process.store.reserve(f"#{channel}", sessions[number])
                assert not await process.store.reserve(f"#{channel}", sessions[number - 1])
                assert await process.store.is_online(f"#{channel}")
        assert all(node.do("DBSIZE") for node in nodes.nodes)
