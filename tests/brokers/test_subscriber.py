"""What a process hears in Redis is asked for in few commands, however many come."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis._parsers import _AsyncHiredisParser, _AsyncRESP2Parser
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from asgi_push.brokers import envelope
from asgi_push.brokers.redis import subscriber
from asgi_push.brokers.redis.connection import parsed_answers
from asgi_push.brokers.redis.connection_factory import ConnectionFactory
from tests.asgi import until
from tests.brokers.contract import publication
from tests.brokers.faulty import faulty_redis
from tests.brokers.station import KEPT, Station, station
from tests.servers import Server

pytestmark = pytest.mark.anyio

NAMES = [f"news{number}" for number in range(50)]


@pytest.fixture
def anyio_backend() -> str:
    """The broker needs asyncio."""
    return "asyncio"


async def test_those_who_come_soon_after_another_share_a_command(
    redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels that are joined one after the other, within moments, are not subscribed to one by one."""
    monkeypatch.setattr(subscriber, "_GATHER", 0.2)
    async with station(redis.redis) as here:
        before = await subscriptions(here)
        async with anyio.create_task_group() as tasks:
            for name in NAMES:
                tasks.start_soon(partial(here.broker.join, name, kept=True))
                await asyncio.sleep(0)
        assert await subscriptions(here) - before < len(NAMES) / 2
        for name in NAMES:
            await here.broker.publish(publication(name, name), KEPT)
            assert (await here.next()).data == name


@pytest.mark.usefixtures("hurried")
async def test_what_nobody_wants_is_forgotten_while_nothing_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that comes back long after is not taken for one that has waited all the time."""
    with faulty_redis(tmp_path) as redis:
        async with station(redis.url, hears=False) as here:
            for name in ("news", "more"):
                await here.broker.join(name, kept=True)
            here.broker.leave("more")
            redis.kill()
            monkeypatch.setattr(subscriber, "_LINGER", 0.0)
            cursors = here.broker._consumer._cursors
            await until(lambda: "more" not in cursors)
            assert "news" in cursors


@pytest.mark.parametrize("parsed_by", [_AsyncHiredisParser, _AsyncRESP2Parser])
async def test_what_comes_in_one_piece(redis: Server, monkeypatch: pytest.MonkeyPatch, parsed_by: type) -> None:
    """All of it is taken, in its order, whatever redis-py parses by."""
    make = ConnectionFactory.for_subscriptions

    def with_parser(self: ConnectionFactory) -> AbstractConnection:
        connection = make(self)
        connection.set_parser(parsed_by)
        return connection

    monkeypatch.setattr(ConnectionFactory, "for_subscriptions", with_parser)
    async with station(redis.redis) as here:
        async with anyio.create_task_group() as tasks:
            for name in NAMES:
                tasks.start_soon(partial(here.broker.join, name, kept=False))
        names = [here.broker.keys.published(name) for name in NAMES]
        messages = [envelope.transient(publication(name, name), "") for name in NAMES]
        # In one step, so that Redis sends them together.
        publish = "for i, name in ipairs(KEYS) do redis.call('PUBLISH', name, ARGV[i]) end"
        await here.broker.pipeline.call("EVAL", publish, len(names), *names, *messages)
        assert [(await here.next()).data for _ in NAMES] == NAMES


class Parsed:
    """A connection of which something was parsed."""

    def __init__(self, *answers: Any) -> None:
        self._parser = self._reader = self
        self._answers = iter(answers)

    def gets(self, decode: bool) -> Any:
        return next(self._answers, False)


def test_what_is_parsed() -> None:
    """Of that, the answers that are lists are given; an error is raised, as if it had been read."""
    next_parsed = parsed_answers(Parsed([b"pong", b""], b"PONG", [b"news"], ResponseError("no")))  # type: ignore[arg-type]
    assert [next_parsed() for _ in range(3)] == [[b"pong", b""], None, [b"news"]]
    with pytest.raises(ResponseError):
        next_parsed()
    assert next_parsed() is None


async def subscriptions(here: Station) -> int:
    """How many commands to subscribe Redis has taken."""
    told = await here.broker.pipeline.call("INFO", "commandstats")
    found = [line for line in told.decode().splitlines() if line.startswith("cmdstat_subscribe:")]
    return int(found[0].partition("calls=")[2].partition(",")[0])
