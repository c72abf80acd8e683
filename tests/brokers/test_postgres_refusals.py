"""PostgreSQL answers, and refuses: its disk is full, others are in the way, it is a standby. All are told why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from asgi_push import BrokerError
from asgi_push.brokers.postgres import broker
from tests.asgi import PATIENCE, until
from tests.brokers.postgres_server import PostgresServer, postgres_server
from tests.brokers.station import Station, station
from tests.endpoints.centrifuge.proxy import proxy_for

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def shared() -> Iterator[PostgresServer]:
    with postgres_server("wal_level=replica") as server:
        yield server


@pytest.fixture
def server(shared: PostgresServer) -> PostgresServer:
    """One that runs, with nothing in it."""
    shared.empty()
    return shared


@contextmanager
def failing(server: PostgresServer, state: str, times: int = 1_000_000) -> Iterator[None]:
    """Have so many publications fail with an SQLSTATE."""
    server.do("CREATE SEQUENCE failures")
    server.do(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('failures') <= {times} THEN RAISE 'as the test wants' USING ERRCODE = '{state}'; END IF;"
        " RETURN NEW; END $$"
    )
    server.do("CREATE TRIGGER fail BEFORE INSERT ON asgi_push.items FOR EACH ROW EXECUTE FUNCTION fail()")
    try:
        yield
    finally:
        server.do("DROP FUNCTION fail CASCADE")
        server.do("DROP SEQUENCE failures")


@pytest.mark.parametrize(("state", "why"), [("53100", "oom"), ("42501", "noperm")])
async def test_a_publication_is_refused(here: Station, server: PostgresServer, state: str, why: str) -> None:
    """As its disk is full, or the user may not: it is told in the server's words, until it works again."""
    with failing(server, state):
        for _ in range(2):
            with pytest.raises(BrokerError, match="as the test wants"):
                await here.publish(-1)
        assert here.broker.outages[why] == 1
        assert here.broker.problem == "PostgreSQL: as the test wants"
        assert not here.broker.connected
    await here.publish(1)
    await here.numbers(1)
    assert here.broker.connected


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_somebody_else_is_in_the_way(here: Station, server: PostgresServer, state: str) -> None:
    """It is tried again, and published once."""
    with failing(server, state, times=3):
        await here.publish(1)
        await here.numbers(1)
    with failing(server, state), pytest.raises(BrokerError, match="as the test wants"):
        await here.publish(2)
    assert here.broker.connected


async def test_one_value_that_cannot_be_taken_is_refused_alone(here: Station) -> None:
    """What was sent in the same statement is done."""
    outcomes = list[str]()

    async def tell(process_id: str) -> None:
        try:
            await here.broker.tell(process_id, b"told")
        except BrokerError:
            outcomes.append("refused " + process_id)
        else:
            outcomes.append("told " + process_id)

    async with anyio.create_task_group() as tasks:
        for process_id in ("aaa", "\0", "bbb", "x" * 64, "ccc"):
            tasks.start_soon(tell, process_id)
    assert sorted(outcomes) == ["refused \0", "refused " + "x" * 64, "told aaa", "told bbb", "told ccc"]
    assert here.broker.connected


async def test_it_takes_no_writes(here: Station, server: PostgresServer) -> None:
    """As a server does that became a standby: another may be at its address, so the connection is made anew."""
    await here.publish(1)
    (writing,) = server.do(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%asgi_push.put%' AND pid <> pg_backend_pid()"
    )
    with failing(server, "25006"):
        with pytest.raises(BrokerError, match="as the test wants"):
            await here.publish(-1)
        assert here.broker.outages["readonly"] >= 1
    await here.publish_surely(2)
    await here.numbers(1, 2)
    assert not server.do("SELECT FROM pg_stat_activity WHERE pid = %s", *writing)


async def test_a_standby_takes_over(server: PostgresServer) -> None:
    """Before that it is refused; then positions that it knows are good, and nobody is told of a loss."""
    with proxy_for(server.port) as proxy:
        url = server.url.replace(f":{server.port}", f":{proxy.port}")
        async with station(url) as here:
            await here.publish(1, 2)
            before = (await here.broker.history("news", 0, None, reverse=False)).position
            standby = await anyio.to_thread.run_sync(server.standby)
            try:
                proxy.server_port = standby.port
                await anyio.to_thread.run_sync(server.stop)
                with pytest.raises(BrokerError), anyio.fail_after(PATIENCE):
                    await here.publish(-1)
                await until(lambda: "it is a standby, and takes no writes" in here.broker.problem)
                assert here.broker.outages["readonly"] >= 1
                standby.do("SELECT pg_promote()")
                await here.publish_surely(3)
                await here.numbers(1, 2, 3)
                assert here.told_of_loss == []
                recovery = await here.broker.recover("news", before)
                assert [item.data for item in recovery.publications] == [3]
                assert recovery.position.epoch != before.epoch
            finally:
                await anyio.to_thread.run_sync(standby.close)
                await anyio.to_thread.run_sync(server.start)


@pytest.mark.parametrize("how", ["late", "cut"])
async def test_what_does_not_come_holds_no_publisher_up(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Longer than that may take, and not at all when nothing is heard any more."""
    monkeypatch.setattr(broker, "_ECHO_TIME", 0.1 if how == "late" else 3600.0)
    with proxy_for(server.port) as proxy:
        listen_url = server.url.replace(f":{server.port}", f":{proxy.port}")
        async with station(server.url, listen_url=listen_url) as here:
            monkeypatch.setattr(here.broker._consumer, "_round", never)
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    for number in (1, 2):  # the first may come by a reading that is under way
                        tasks.start_soon(here.publish, number)
                    if how == "cut":
                        await until(lambda: here.broker._consumer.cursors["news"].waiting)
                        proxy.cut()


async def never(*_: object) -> None:
    """Nothing is read any more."""
    await anyio.sleep_forever()
