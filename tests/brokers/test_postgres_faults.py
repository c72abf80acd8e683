"""What only PostgreSQL can do: it loses notifications, is set back, is made anew. All is heard, or told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anyio
import pytest

from asgi_push import BrokerError, StreamPosition
from asgi_push.brokers import StreamOptions, commands
from asgi_push.brokers.postgres import functions, upkeep
from asgi_push.brokers.postgres.broker import PostgresBroker
from asgi_push.brokers.postgres.cursor import Row
from tests.asgi import PATIENCE, until
from tests.brokers.contract import publication
from tests.brokers.postgres_server import PostgresServer, postgres_server
from tests.brokers.station import Station, join, short_lives, station
from tests.endpoints.centrifuge.proxy import proxy_for

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def shared() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def server(shared: PostgresServer) -> PostgresServer:
    """One that runs, with nothing in it."""
    shared.empty()
    return shared


# -- what does not come ------------------------------------------------------------------------


async def test_a_listener_that_hears_nothing(server: PostgresServer) -> None:
    """And of which nobody says that it is over: it is found by its own notifications."""
    with proxy_for(server.port) as proxy:
        listen_url = server.url.replace(f":{server.port}", f":{proxy.port}")
        async with station(server.url, listen_url=listen_url) as here:
            proxy.silence()
            await here.publish(1, 2)
            await here.numbers(1, 2)
            await until(lambda: here.broker.outages["deaf"] == 1)
            await until(lambda: here.broker.connected)


async def test_a_lost_notification_is_found_by_the_next(here: Station, there: Station) -> None:
    """And what was lost comes before it."""
    deaf = pytest.MonkeyPatch()
    deaf.setattr(here.broker, "woken", lambda channels: None)
    await there.publish(1, 2)
    deaf.undo()
    await there.publish(3)
    await here.numbers(1, 2, 3)


async def test_a_lost_notification_is_found_without_another(
    server: PostgresServer, there: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the poll that comes now and then."""
    monkeypatch.setattr(upkeep, "_POLL_INTERVAL", 0.1)
    monkeypatch.setattr(PostgresBroker, "woken", lambda self, channels: None)
    async with station(server.url) as here:
        await there.publish(1, 2)
        await here.numbers(1, 2)
        assert here.told_of_loss == []


async def test_place_that_is_known(here: Station, there: Station) -> None:
    """Whoever begins a channel is told where it stands here, but for what was published while nothing was heard."""
    broker = here.broker
    await there.publish(1)
    await here.numbers(1)
    place = broker.begin_now("news")
    assert place
    assert place.offset == 1
    broker.silent()
    assert broker.begin_now("news") is None
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(broker, "woken", lambda channels: None)
    await there.publish(2)
    assert broker.begin_now("news") is None
    assert (await broker.begin("news")).offset == 2
    monkeypatch.undo()
    broker.listening()
    await here.numbers(2)
    await until(lambda: (found := broker.begin_now("news")) is not None and found.offset == 2)


async def test_what_is_read_for_a_channel_that_is_forgotten_meanwhile(
    here: Station, there: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not delivered: whoever joins it again may read the same."""
    cursors = here.broker._consumer.cursors
    read = here.broker._consumer._read

    async def read_and_forget(names: list[str], places: list[int]) -> list[Row]:
        found: list[Row] = await read(names, places)
        monkeypatch.undo()
        cursors.pop("news")
        return found

    monkeypatch.setattr(here.broker._consumer, "_read", read_and_forget)
    await there.publish(1)
    await until(lambda: "news" not in cursors)
    await join(here)
    await there.publish(2)
    await here.numbers(2)


async def test_a_reading_that_fails_is_tried_again(
    here: Station, there: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing more is published."""
    monkeypatch.setattr(upkeep, "_POLL_INTERVAL", 3600.0)
    read = here.broker._consumer._read
    failures = iter([BrokerError("not now")] * 2)

    async def failing(*arguments: object) -> object:
        for failure in failures:
            raise failure
        return await read(*arguments)

    monkeypatch.setattr(here.broker._consumer, "_read", failing)
    await there.publish(1)
    await here.numbers(1)


async def test_more_is_lost_than_is_there(here: Station, there: Station, server: PostgresServer) -> None:
    """Who keeps a position is told; the others get what is there."""
    deaf = pytest.MonkeyPatch()
    deaf.setattr(here.broker, "woken", lambda channels: None)
    await there.publish(*range(1, 6))
    server.do("DELETE FROM asgi_push.items WHERE channel = 'news' AND seq < 4")
    deaf.undo()
    await there.publish(6)
    await here.numbers(4, 5, 6)
    assert here.told_of_loss == ["news"]
    server.do("DELETE FROM asgi_push.items WHERE channel = 'news'")
    await there.publish(7)
    await here.numbers(7)
    assert here.told_of_loss == ["news"]


async def test_live_sessions_get_more_than_the_history_keeps(here: Station, there: Station) -> None:
    """However short the history is."""
    few = StreamOptions(size=2, ttl=60.0)
    await asyncio.gather(*[there.publish(number, stream=few) for number in range(100)])
    assert sorted([(await here.next()).data for _ in range(100)]) == list(range(100))
    assert here.told_of_loss == []
    assert len((await there.broker.history("news", -1, None, reverse=False)).publications) == 2


async def test_a_server_that_was_set_back(here: Station, there: Station, server: PostgresServer) -> None:
    """Those who keep a position that it does not know are told; all that comes later is heard."""
    await there.publish(1, 2, 3)
    await here.numbers(1, 2, 3)
    before = (await there.broker.history("news", 0, None, reverse=False)).position
    server.do("DELETE FROM asgi_push.items WHERE channel = 'news' AND seq > 1")
    server.do("UPDATE asgi_push.channels SET seq = 1, top = 1 WHERE channel = 'news'")
    server.kill_connections("LISTEN")
    await until(lambda: here.told_of_loss)
    await there.publish(4)
    await here.numbers(4)
    assert here.told_of_loss == ["news"]
    assert not (await there.broker.recover("news", before)).recovered
    old = await there.broker.recover("news", StreamPosition(1, before.epoch))
    assert [item.data for item in old.publications] == [4]


async def test_another_server_takes_over(here: Station, there: Station, server: PostgresServer) -> None:
    """Its timeline is another: positions that it knows are good, another life begins all the same."""
    await there.publish(1, 2)
    await here.numbers(1, 2)
    before = (await there.broker.history("news", 0, None, reverse=False)).position
    server.do("UPDATE asgi_push.channels SET timeline = 'another'")
    await there.publish(3)
    await here.numbers(3)
    assert here.told_of_loss == []
    after = await there.broker.recover("news", before)
    assert after.recovered
    assert after.position.offset == 3
    assert after.position.epoch != before.epoch


async def test_a_schema_that_was_made_anew(here: Station, there: Station, server: PostgresServer) -> None:
    """Those who keep a position are told; all that is published in the new life is heard."""
    await there.publish(1, 2)
    await here.numbers(1, 2)
    server.forget()
    server.kill_connections()
    await there.publish_surely(3, 4)
    await here.numbers(3, 4)
    assert here.told_of_loss == ["news"]


async def test_what_somebody_else_put_there(here: Station, there: Station, server: PostgresServer) -> None:
    """It is left out, and a gap where it took a place; nothing else is disturbed."""
    await there.publish(1)
    server.do("SELECT asgi_push.put('{news}', '{rubbish}', '{5}', '{60}', '{NULL}')")
    server.do("SELECT asgi_push.put('{news}', '{rubbish}', '{NULL}', '{NULL}', '{NULL}')")
    for rubbish in ("rubbish", "", '{"a": 1}', "[1]"):
        server.do("SELECT pg_notify('asgi_push', %s)", rubbish)
    await there.publish(3)
    await here.numbers(1, 3)
    assert here.told_of_loss == ["news"]
    assert here.broker.connected


# -- commands ----------------------------------------------------------------------------------


async def test_a_process_that_was_killed_is_not_waited_for(
    server: PostgresServer, there: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than it may be silent."""
    short_lives(monkeypatch)
    await there.broker.join("news", kept=True)
    server.do("SELECT asgi_push.alive('killed', true, 0.5)")
    with anyio.fail_after(PATIENCE):
        await there.broker.command(b"x")
    assert ("killed",) not in await there.broker.reading.call(functions.OBEYING)


async def test_commands_that_are_lost(here: Station, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a server that was set back: who gave one is told as soon as that is found, and not when its time is over."""
    monkeypatch.setattr(commands, "_PATIENCE", 3600.0)
    await here.broker.command(b"x")
    deaf = pytest.MonkeyPatch()
    deaf.setattr(here.broker, "commanded", lambda place: None)
    giving = asyncio.create_task(here.broker.command(b"y"))
    await until_committed(here, 2)
    server.do("DELETE FROM asgi_push.items WHERE channel = ''")
    server.do("UPDATE asgi_push.channels SET seq = 0 WHERE channel = ''")
    deaf.undo()
    here.broker.listening()
    with pytest.raises(BrokerError, match="commands were lost"), anyio.fail_after(PATIENCE):
        await giving
    with anyio.fail_after(PATIENCE):
        await here.broker.command(b"z")


async def test_commands_and_publications_keep_their_order(here: Station, there: Station) -> None:
    """All that was published before a command comes before it, all else after it, read together."""
    order = list[object]()
    object.__setattr__(here.receiver, "deliver", lambda item: order.append(item.data) or 1)

    async def obey(message: bytes) -> None:
        order.append(message)

    object.__setattr__(here.receiver, "apply_control", obey)
    channels = ["news", "one", "two"]
    for channel in channels:
        await here.broker.join(channel, kept=True)
    deaf = pytest.MonkeyPatch()
    deaf.setattr(here.broker, "woken", lambda channels: None)
    deaf.setattr(here.broker, "commanded", lambda place: None)
    giving = list[asyncio.Task[None]]()
    for number in range(3):
        for channel in channels:
            await there.publish(number, channel=channel)
            await there.broker.publish(publication(channel, number), None)
        giving.append(asyncio.create_task(there.broker.command(b"%d" % number)))
        await until(lambda: there.broker._control._commands._given)
        await until_committed(there, number + 1)
    deaf.undo()
    here.broker.listening()
    await asyncio.gather(*giving)
    expected = [part for number in range(3) for part in (*[number] * 6, b"%d" % number)]
    assert order == expected


async def until_committed(process: Station, commands: int) -> None:
    """Wait until so many commands can be seen."""
    with anyio.fail_after(PATIENCE):
        while True:
            rows = await process.broker.reading.call(functions.LOOK, "")
            if rows[0][1] is not None and rows[0][1] >= commands:
                return
            await asyncio.sleep(0.01)
