"""The schema: made by whoever may, once; what is missing is said with the command that helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from asgi_push import BrokerError, ChannelOptions, Push, SettingsError
from asgi_push.cli import main
from tests import asgi
from tests.asgi import until, until_answer
from tests.brokers.postgres_server import PostgresServer
from tests.brokers.station import Station, hurry, station
from tests.servers import HOST, Server, find_program, free_port, run_server


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def bare(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """One without the schema, with a role that may do nothing but connect."""
    postgres.forget()
    postgres.do("DO $$ BEGIN CREATE ROLE shop LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    yield postgres
    postgres.forget()


def as_shop(server: PostgresServer) -> str:
    return server.url.replace("postgres@", "shop@")


async def start(url: str) -> None:
    async with station(url):
        """It works."""


async def test_first_starts_at_once(bare: PostgresServer) -> None:
    """One makes the schema, the others wait for it; another start finds it."""
    async with AsyncExitStack() as stack:
        stations = [stack.enter_async_context(station(bare.url)) for _ in range(6)]
        first, *others = await asyncio.gather(*stations)
        await first.publish(1)
        for process in (first, *others):
            await process.numbers(1)
    assert bare.do("SELECT version FROM asgi_push.version") == [(1,)]


async def test_a_role_that_may_not(bare: PostgresServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Is told to have the schema made, then to be given its rights; with both it works."""
    with pytest.raises(BrokerError, match="shop may not create it: run `asgi-push postgres apply URL`"):
        await start(as_shop(bare))
    apply = "postgres", "apply", bare.url
    assert await anyio.to_thread.run_sync(main, apply) == 0
    with pytest.raises(BrokerError, match="run `asgi-push postgres apply URL --role shop`"):
        await start(as_shop(bare))
    assert await anyio.to_thread.run_sync(main, (*apply, "--role", "shop")) == 0
    await start(as_shop(bare))
    said = "made the schema asgi_push\nthe schema asgi_push is there already; shop may use it\n"
    assert capsys.readouterr().out == said
    async with station(as_shop(bare)) as here:
        with psycopg.connect(as_shop(bare)) as connection:
            await Push(broker=as_shop(bare)).publish("news", 1, using=connection)
            connection.execute("SELECT asgi_push.publish('news', '2')")
        await here.numbers(1, 2)


async def test_a_database_that_cannot_hold_all_names(bare: PostgresServer) -> None:
    """Is refused by its encoding; that of the connection is always the right one."""
    bare.do("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(BrokerError, match="the encoding of its database is LATIN1, and UTF8 is needed"):
        await start(bare.url.removesuffix("postgres") + "latin")
    bare.do("DROP DATABASE latin")
    async with station(f"{bare.url}?client_encoding=LATIN1") as here:
        assert (await here.broker.history("\U0001f600", 0, None, reverse=False)).publications == []


def test_what_is_printed_is_what_is_run(bare: PostgresServer, capsys: pytest.CaptureFixture[str]) -> None:
    """For who runs it by other means; it is made once."""
    assert main(["postgres", "print", "--role", "shop"]) == 0
    printed = capsys.readouterr().out
    with bare.connect() as connection:
        connection.execute(printed.encode())
        with pytest.raises(psycopg.errors.DuplicateSchema):
            connection.execute(printed.encode())
    asyncio.run(start(as_shop(bare)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["apply"], "apply needs the URL"),
        (["print", "postgres://localhost"], "print needs no URL"),
        (["apply", f"postgres://{HOST}:1"], "the schema could not be made: "),
        (["apply", "nonsense"], "the schema could not be made: "),
    ],
)
def test_what_the_command_says(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and exit code 1."""
    assert main(["postgres", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


async def test_a_newer_schema(bare: PostgresServer) -> None:
    """Is nothing that this version can speak to."""
    await start(bare.url)
    bare.do("UPDATE asgi_push.version SET version = 2")
    with pytest.raises(BrokerError, match="has version 2, and this asgi_push knows 1"):
        await start(bare.url)


def test_trio_is_told(postgres: PostgresServer) -> None:
    """At the start, and in plain words."""

    async def start() -> None:
        async with Push(broker=postgres.url):
            pass

    with pytest.raises(BrokerError, match="asyncio"):
        anyio.run(start, backend="trio")


def test_settings() -> None:
    """What is no URL is refused with its name, and a password is not shown."""
    for wrong in ("postgres://[::1", "postgres://localhost/?nonsense=1"):
        with pytest.raises(SettingsError, match="broker"):
            Push(broker=wrong)
    with pytest.raises(SettingsError, match="postgres_listen_url"):
        Push(broker="postgres://localhost", postgres_listen_url="redis://localhost")
    url = "postgres://user:secret@localhost:1/shop"
    assert "secret" not in repr(Push(broker=url, postgres_listen_url=url).settings)


# -- through a PgBouncer -----------------------------------------------------------------------


@contextmanager
def pgbouncer(server: PostgresServer, folder: Path) -> Iterator[Server]:
    """One that gives a connection to the server for no longer than a transaction."""
    port = free_port()
    settings = (
        f"[databases]\npostgres = host={HOST} port={server.port} user=postgres pool_size=3\n"
        f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nauth_type = any\n"
        "pool_mode = transaction\nunix_socket_dir =\n"
    )
    folder.chmod(0o755)
    path = folder / "pgbouncer.ini"
    path.write_text(settings)
    command = [find_program("pgbouncer", "/usr/sbin/pgbouncer"), *server.ordinary_user("-u"), f"{path}"]
    with run_server("pgbouncer", command, port=port, log_path=folder / "pgbouncer.log") as found:
        yield found


@pytest.fixture
def bouncer(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one."""
    folder = tmp_path_factory.mktemp("pgbouncer")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o055)
    with pgbouncer(postgres, folder) as found:
        yield f"postgres://postgres@{HOST}:{found.port}/postgres"


async def test_through_pgbouncer(postgres: PostgresServer, bouncer: str) -> None:
    """With the URL of the server itself to listen at, all works as without."""
    async with station(bouncer, listen_url=postgres.url) as one, station(bouncer, listen_url=postgres.url) as other:
        await asyncio.gather(*[one.publish(number) for number in range(200)])
        assert sorted([(await other.next()).data for _ in range(200)]) == list(range(200))
        await other.broker.command(b"x")
        assert await one.next_command() == b"x"


async def test_pgbouncer_is_no_place_to_listen(
    postgres: PostgresServer, bouncer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that is said, with the setting that helps."""
    hurry(monkeypatch)
    # Whose turn it is at a connection is chance: with others at work, the notifications go to them.
    process = Station(bouncer)
    await process.broker.start(process.receiver)
    listener = process.broker._listener
    monkeypatch.setattr(listener, "_take", lambda name, text: None)  # what chance does
    with pytest.raises(BrokerError):
        await process.broker.join("news", kept=True)
    await until(lambda: process.broker.outages["deaf"])
    assert "postgres_listen_url" in str(process.broker._health._down["listening"])
    await process.broker.stop()


# -- sessions ----------------------------------------------------------------------------------


@pytest.fixture
async def pushing(postgres: PostgresServer) -> AsyncIterator[Any]:
    """Two processes, each with a server."""
    postgres.empty()
    settings: Any = {
        "broker": postgres.url,
        "authorize": lambda *_: True,
        "namespaces": {"live": ChannelOptions(history_size=0, presence=True, join_leave=True)},
    }
    async with asgi.pushing(**settings) as one, asgi.pushing(**settings) as two:
        yield one, two


async def test_sessions_of_two_processes(pushing: Any) -> None:
    """What one publishes the sessions of the other get; commands and presence are of both."""
    (push, server), (other, other_server) = pushing
    ann, bob = await server.connect("/ws/ann"), await other_server.connect("/ws/bob?channels=live:1")
    await push.send_to_user("bob", "hello")
    await other.send_to_user("ann", "hello")
    assert [await ann.receive(), await bob.receive()] == ["hello", "hello"]
    await push.publish("live:1", "typing")
    assert await bob.receive() == "typing"
    await until_answer(lambda: push.is_online("bob"), True)
    await until_answer(lambda: users_in(push, "live:1"), {"bob"})
    await push.subscribe("bob", "news")
    await push.publish("news", "last")
    await push.disconnect("bob")
    assert await bob.receive() == "last"
    await bob.receive_close()
    await until_answer(lambda: push.is_online("bob"), False)


async def users_in(push: Push, channel: str) -> set[str]:
    """Return the users who are present in a channel."""
    return {info.user for info in (await push.presence(channel)).values()}
