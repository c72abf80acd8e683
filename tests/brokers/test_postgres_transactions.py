"""Publishing inside transactions: what commits is delivered, once and in order; nothing else ever is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import anyio
import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sqlalchemy_async

from asgi_push import ChannelOptions, Publication, Push
from tests import asgi
from tests.brokers.postgres_server import PostgresServer
from tests.brokers.station import Station, station


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(postgres: PostgresServer) -> PostgresServer:
    postgres.empty()
    return postgres


@pytest.fixture
async def here(server: PostgresServer) -> AsyncIterator[Station]:
    async with station(server.url) as process:
        yield process


@pytest.fixture
def push(server: PostgresServer) -> Push:
    """Not running: what is published in a transaction needs no event loop of push."""
    return Push(broker=server.url)


def sqlalchemy_url(server: PostgresServer, driver: str) -> str:
    return server.url.replace("postgres://", f"postgresql+{driver}://")


# -- one test for each driver ------------------------------------------------------------------


async def test_psycopg(server: PostgresServer, here: Station, push: Push) -> None:
    """Sync, also through ``push.blocking``."""
    with psycopg.connect(server.url) as connection:
        push.blocking.publish("news", {"n": 1}, using=connection)
        await push.publish("news", 2, tags={"a": "b"}, using=connection)
        result = await push.publish("news", b"\x00\xff", using=connection)
        assert (result.position, result.receivers) == (None, None)
    assert [(await here.next()).data for _ in range(3)] == [{"n": 1}, 2, b"\x00\xff"]
    with psycopg.connect(server.url) as connection:
        push.blocking.publish("news", 3, using=connection)
        connection.rollback()
        push.blocking.publish("news", 4, using=connection)
    await here.numbers(4)


async def test_async_psycopg(server: PostgresServer, here: Station, push: Push) -> None:
    """With a savepoint that is rolled back."""
    async with await psycopg.AsyncConnection.connect(server.url) as connection:
        await push.publish("news", 1, using=connection)
        with suppress(ZeroDivisionError):
            async with connection.transaction():
                await push.publish("news", 2, using=connection)
                raise ZeroDivisionError
        await push.publish("news", 3, using=connection)
        with pytest.raises(ValueError, match="await"):
            push.blocking.publish("news", 4, using=connection)
    await here.numbers(1, 3)


async def test_asyncpg(server: PostgresServer, here: Station, push: Push) -> None:
    """A connection, and one of a pool."""
    connection = await asyncpg.connect(server.url)
    async with asyncpg.create_pool(server.url, min_size=1, max_size=1) as pool:
        for one in (connection, await pool.acquire()):
            with suppress(ZeroDivisionError):
                async with one.transaction():
                    await push.publish("news", 1, using=one)
                    raise ZeroDivisionError
            async with one.transaction():
                await push.publish("news", 2, using=one)
            await here.numbers(2)
        await pool.release(one)
    await connection.close()


async def test_sqlalchemy(server: PostgresServer, here: Station, push: Push) -> None:
    """Connections and sessions."""
    engine = sqlalchemy.create_engine(sqlalchemy_url(server, "psycopg"))
    with engine.connect() as connection:
        push.blocking.publish("news", 1, using=connection)
        connection.rollback()
        push.blocking.publish("news", 2, using=connection)
        connection.commit()
    with orm.Session(engine) as session, session.begin():
        await push.publish("news", 3, using=session)
    scoped = orm.scoped_session(orm.sessionmaker(engine))
    push.blocking.publish("news", 4, using=scoped)
    scoped.commit()
    scoped.remove()
    engine.dispose()
    await here.numbers(2, 3, 4)


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_async_sqlalchemy(server: PostgresServer, here: Station, push: Push, driver: str) -> None:
    """Connections and sessions."""
    engine = sqlalchemy_async.create_async_engine(sqlalchemy_url(server, driver))
    async with engine.connect() as connection:
        await push.publish("news", 1, using=connection)
        await connection.rollback()
        await push.publish("news", 2, using=connection)
        await connection.commit()
    async with sqlalchemy_async.AsyncSession(engine) as session, session.begin():
        await push.publish("news", 3, tags={"a": "b"}, idempotency_key="key", using=session)
    await engine.dispose()
    await here.numbers(2, 3)


async def test_inbox(server: PostgresServer) -> None:
    """What commits is kept with its publication, in order and once for a key; what does not, is not."""
    told: list[tuple[str, Any]] = []

    async def note(user: str, publication: Publication) -> None:
        told.append((user, publication.data))

    async with Push(broker=server.url, inbox_size=3, on_undelivered=note) as push:
        with psycopg.connect(server.url) as connection:
            for number in range(4):
                await push.send_to_user("bob", number, inbox=True, using=connection)
            push.blocking.send_to_user("ann", 1, inbox=True, using=connection)
            await push.send_to_user("ann", 2, using=connection)
            for _ in range(2):
                given = {"idempotency_key": "a", "using": connection}
                await push.send_to_user("ann", 3, inbox=True, **given)
            assert await push.inbox("ann") == []
        with psycopg.connect(server.url) as connection:
            await push.send_to_user("ann", 4, inbox=True, using=connection)
            connection.rollback()
        engine = sqlalchemy.create_engine(sqlalchemy_url(server, "psycopg"))
        with engine.begin() as transaction:
            await push.send_to_user("ann", 5, inbox=True, using=transaction)
        engine.dispose()
        connection_ = await asyncpg.connect(server.url)
        await push.send_to_user("ann", 6, inbox=True, using=connection_)
        await connection_.close()
        found = await push.inbox("ann")
        kept = {item.offset: item.data for item in (await push.history("#ann")).publications}
        assert [item.data for item in found] == [3, 5, 6]  # 1 had no room
        assert all(kept[item.offset] == item.data for item in found)
        assert [item.data for item in await push.inbox("bob")] == [1, 2, 3]
        with psycopg.connect(server.url) as connection:
            given = {"inbox": True, "undelivered_after": 0.0, "using": connection}
            await push.send_to_user("cid", 7, **given)
        await asgi.until(lambda: told)
        assert told == [("cid", 7)]


async def test_inbox_from_sql(server: PostgresServer) -> None:
    """It has the room that processes have written down, and what falls due is told."""
    told: list[tuple[str, Any]] = []
    send = "SELECT asgi_push.send_to_user"

    async def note(user: str, publication: Publication) -> None:
        told.append((user, publication.data))

    options = {"inbox_size": 2, "inbox_bytes": 20, "inbox_ttl": 60.0, "on_undelivered": note}
    async with asgi.pushing(broker=server.url, **options) as (push, web):
        client = await web.connect("/ws/ann?since=")  # who is here writes it down
        assert json.loads(await client.receive())["type"] == "welcome"
        for number in range(3):
            server.do(f"{send}('ann', '{number}', inbox => true)")
        server.do(f"{send}('ann', to_jsonb(3), inbox => false)")
        server.do(f"{send}('ann', to_json('\u00e9'::text), true, idempotency_key => 'a')")
        server.do(f"{send}('ann', '5', true, NULL, 'a')")
        assert [json.loads(await client.receive())["data"] for _ in range(5)] == [0, 1, 2, 3, "\u00e9"]
        assert [item.data for item in await push.inbox("ann")] == [2, "\u00e9"]
        server.do(f"{send}('bob', '{{}}', inbox => true, undelivered_after => 0)")
        await asgi.until(lambda: told)
        assert told == [("bob", {})]
        for wrong, word in (
            ("NULL, '1', true", "user_id"),
            (f"'{'a' * 255}', '1', true", "user_id"),
            ("'ann', NULL::text, true", "data"),
            ("'ann', '\"12345678901234567890\"', true", "inbox_bytes"),
            ("'ann', '1', true, 61", "inbox_ttl"),
            ("'ann', '1', false, 1", "needs inbox"),
        ):
            with pytest.raises(psycopg.errors.DataError, match=word):
                server.do(f"{send}({wrong})")
    async with asgi.pushing(broker=server.url, inbox_size=0) as (_, web):
        await web.connect("/ws/ann")
        with pytest.raises(psycopg.errors.DataError, match="inbox_size"):
            server.do(f"{send}('ann', '1', true)")


@pytest.fixture
def django_settings() -> Iterator[None]:
    """Django has some, for as long as it takes."""
    from django.conf import empty, settings

    settings.configure()
    yield
    settings._wrapped = empty


@pytest.mark.filterwarnings("ignore:Accessing the database during app initialization")
@pytest.mark.usefixtures("django_settings")
async def test_django(server: PostgresServer, here: Station, push: Push) -> None:
    """Inside ``transaction.atomic()``, in a thread, as Django runs its views."""
    from django.db import connections, transaction
    from django.db.utils import ConnectionHandler

    database = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres"}
    handler = ConnectionHandler({"default": {**database, "HOST": "127.0.0.1", "PORT": server.port}, "lite": LITE})

    def view() -> None:
        connections["default"] = handler["default"]
        try:
            with suppress(ZeroDivisionError), transaction.atomic():
                push.blocking.publish("news", 1, using=connections["default"])
                raise ZeroDivisionError
            with transaction.atomic():
                push.blocking.publish("news", 2, using=connections["default"])
                push.blocking.publish("news", 3, using=transaction.get_connection())
            with pytest.raises(ValueError, match="not sqlite"):
                push.blocking.publish("news", 4, using=handler["lite"])
        finally:
            handler["default"].close()
            del connections["default"]

    await anyio.to_thread.run_sync(view)
    await here.numbers(2, 3)


LITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}


# -- what may be given -------------------------------------------------------------------------


async def test_a_user_is_sent_to_in_a_transaction(server: PostgresServer, here: Station, push: Push) -> None:
    """As in a channel."""
    await here.broker.join("#ann", kept=True)
    with psycopg.connect(server.url) as connection:
        push.blocking.send_to_user("ann", 1, using=connection)
        await push.send_to_user("ann", 2, using=connection)
    await here.numbers(1, 2)


async def test_a_key_publishes_once(server: PostgresServer, here: Station, push: Push) -> None:
    """In whichever transaction; one that is rolled back has used it for nothing."""
    with psycopg.connect(server.url) as connection:
        for number, end in ((1, connection.rollback), (2, connection.commit), (3, connection.commit)):
            push.blocking.publish("news", number, idempotency_key="key", using=connection)
            end()
    await here.publish(4)
    await here.numbers(2, 4)


async def test_the_history_is_that_of_the_namespace(server: PostgresServer) -> None:
    """In a transaction, and from SQL, as a process that has sessions has told."""
    namespaces = {"live": ChannelOptions(history_size=0), "one": ChannelOptions(history_size=1)}
    async with asgi.pushing(broker=server.url, namespaces=namespaces) as (push, web):
        await web.connect("/ws/ann")
        with psycopg.connect(server.url) as connection:
            for channel in ("live:a", "one:a", "other:a", "plain"):
                for _ in range(2):
                    await push.publish(channel, 1, using=connection)
                    connection.execute("SELECT asgi_push_publish(%s, '[2]')", [channel])
        kept = [len((await push.history(name)).publications) for name in ("live:a", "one:a", "other:a", "plain")]
    assert kept == [0, 1, 4, 4]


@pytest.mark.parametrize("broker", ["memory://", "redis://localhost:1"])
async def test_another_broker_has_no_transactions(broker: str) -> None:
    """And says so."""
    push = Push(broker=broker)
    with pytest.raises(ValueError, match="postgres://"):
        await push.publish("news", 1, using=object())
    with pytest.raises(ValueError, match="postgres://"):
        push.blocking.send_to_user("ann", 1, using=object())


async def test_what_is_no_connection(push: Push) -> None:
    """Is refused by its name; so is one to another database."""
    with pytest.raises(ValueError, match=r"using: must be .*not builtins\.object"):
        await push.publish("news", 1, using=object())
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(ValueError, match="not sqlite"):
        push.blocking.publish("news", 1, using=connection)
    engine.dispose()


async def test_from_sql(server: PostgresServer, here: Station) -> None:
    """JSON in all its forms, from a trigger too; what is no JSON is an error."""
    server.do("SELECT asgi_push_publish('news', '{\"id\": 7}')")
    server.do("SELECT asgi_push.publish('news', jsonb_build_object('id', 8))")
    server.do("SELECT asgi_push_publish('news', to_json('text'::text), 'key')")
    server.do("SELECT asgi_push_publish('news', json_build_array(1), 'key')")
    server.do("CREATE TABLE IF NOT EXISTS orders (id int)")
    server.do(
        "CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM asgi_push_publish('news', to_jsonb(NEW)); RETURN NEW; END $$"
    )
    server.do("DROP TRIGGER IF EXISTS tell ON orders")
    server.do("CREATE TRIGGER tell AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell()")
    server.do("INSERT INTO orders VALUES (1), (2)")
    expected = [{"id": 7}, {"id": 8}, "text", {"id": 1}, {"id": 2}]
    assert [(await here.next()).data for _ in expected] == expected
    for wrong in ("'news', 'no json'", "'', '1'", "NULL, '1'", "'news', NULL::text"):
        with pytest.raises(psycopg.errors.DataError):
            server.do(f"SELECT asgi_push_publish({wrong})")


# -- beside others -----------------------------------------------------------------------------


async def test_a_transaction_that_waits_holds_nobody_up(server: PostgresServer, here: Station, push: Push) -> None:
    """It has its place only when it commits."""
    with psycopg.connect(server.url) as connection:
        await push.publish("news", 1, using=connection)
        await here.publish(2)
        await here.numbers(2)
    await here.numbers(1)
