"""A channel that is joined is heard first, and then it is asked once where it stands."""

from __future__ import annotations

import asyncio

import pytest

from asgi_push import BrokerError, StreamPosition
from asgi_push.brokers.redis.cursor import Cursor
from asgi_push.brokers.redis.joining import Joining
from asgi_push.brokers.redis.keys import Keys

pytestmark = pytest.mark.anyio

KEYS = Keys("test", 0)
NEWS = KEYS.published("news")


@pytest.fixture
def anyio_backend() -> str:
    """The broker needs asyncio."""
    return "asyncio"


class Redis:
    """What is heard of it, and where its streams stand, each when it is let."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.checks: list[str] = []
        self.heard: set[bytes] = set()
        self.looking = asyncio.Event()
        self.looking.set()
        self.fails = False
        self.cursors: dict[str, Cursor] = {}
        self.joining = Joining(self.cursors, KEYS, self, self, self.checks.append)  # type: ignore[arg-type]

    async def add(self, *names: bytes) -> None:
        self.steps.append("subscribe")
        if self.fails:
            raise BrokerError("no answer in time")
        if NEWS not in self.heard:
            self.subscribed()

    def subscribed(self) -> None:
        self.heard.add(NEWS)
        self.joining.on_subscribed("news")

    def hears(self, name: bytes) -> bool:
        return name in self.heard

    def keep(self, name: bytes) -> None:
        """It is heard for ever here."""

    async def look(self, channel: str, known: StreamPosition | None, *, begins: bool) -> tuple[StreamPosition, bool]:
        self.steps.append("look")
        await self.looking.wait()
        if self.fails:
            raise BrokerError("no answer")
        return StreamPosition(7, "a"), True

    async def place_at(self, channel: str, since: float) -> StreamPosition:
        self.steps.append("place")
        return StreamPosition(4, "a")

    async def join(self) -> None:
        await self.joining.join("news", NEWS)


async def test_looked_at_once() -> None:
    """After the subscription, so that nothing is lost between the two; and not again."""
    redis = Redis()
    await redis.join()
    await redis.join()
    assert redis.steps == ["subscribe", "look", "subscribe"]
    assert redis.cursors["news"].position == redis.cursors["news"].inbox_empty_at == StreamPosition(7, "a")
    assert not redis.checks


async def test_place_that_is_known() -> None:
    """Whoever begins a channel that is heard is told its place, unless something was not heard."""
    redis = Redis()
    assert redis.joining.begin_now("news") is None
    await redis.join()
    redis.joining.note_ready("news", NEWS, kept=True)
    assert redis.joining.begin_now("news") == StreamPosition(7, "a")
    redis.cursors["news"].in_doubt = True
    assert redis.joining.begin_now("news") is None
    redis.cursors["news"].in_doubt = False
    redis.joining.on_disconnected()
    assert redis.joining.begin_now("news") is None


async def test_heard_again() -> None:
    """What is heard again after a loss is checked, as something may have been published meanwhile."""
    redis = Redis()
    await redis.join()
    redis.subscribed()
    assert redis.checks == ["news"]


async def test_lost_meanwhile() -> None:
    """A place that was asked for while nothing was heard is checked."""
    redis = Redis()
    redis.looking.clear()
    joining = asyncio.create_task(redis.join())
    await asyncio.sleep(0)
    redis.joining.on_disconnected()
    redis.subscribed()
    assert not redis.checks  # whoever joins sees to it
    redis.looking.set()
    await joining
    assert redis.checks == ["news"]
    assert redis.cursors["news"].inbox_empty_at is None  # something may have come into it


async def joining_when_the_first_has_given_up(redis: Redis) -> asyncio.Task[None]:
    """Let two join that are not told where the stream stands, and return the second."""
    redis.looking.clear()
    first, second = (asyncio.create_task(redis.join()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    return second


async def test_place_that_is_not_told() -> None:
    """A channel that is heard and whose place is not known is checked, once nobody joins it any more."""
    redis = Redis()
    second = await joining_when_the_first_has_given_up(redis)
    assert not redis.checks
    redis.fails = True
    redis.looking.set()
    with pytest.raises(BrokerError):
        await second
    assert redis.checks == ["news"]


async def test_heard_too_late() -> None:
    """A channel that is heard when nobody waits for it any more is checked."""
    redis = Redis()
    redis.fails = True
    with pytest.raises(BrokerError):
        await redis.join()
    assert not redis.checks
    redis.subscribed()
    assert redis.checks == ["news"]


async def test_begun_where_it_stood_when_it_was_joined_in_vain() -> None:
    """Whoever joins it later does not have it begin where the stream stands then."""
    redis = Redis()
    redis.fails = True
    with pytest.raises(BrokerError):
        await redis.join()
    redis.fails = False
    await redis.join()
    cursor = redis.cursors["news"]
    assert cursor.position is None
    assert redis.checks == ["news", "news"]  # it was heard, and its place is not known
    redis.joining.note_ready("news", NEWS, kept=True)
    assert not redis.joining.join_now("news")  # who joins it next has to wait for that, too
    assert await redis.joining.find_place("news", cursor)
    assert cursor.position == StreamPosition(4, "a")
    assert await redis.joining.find_place("news", cursor)
    assert redis.steps.count("place") == 1


async def test_joined_in_vain_while_another_looks() -> None:
    """The first one's time counts, though the other is told where the stream stands."""
    redis = Redis()
    second = await joining_when_the_first_has_given_up(redis)
    redis.looking.set()
    await second
    assert redis.cursors["news"].position is None
    assert redis.checks


async def test_looked_at_by_nobody_else_while_it_is_joined() -> None:
    """If that fails, what was published since it began is missed, and not since a later look."""
    redis = Redis()
    redis.looking.clear()
    joining = asyncio.create_task(redis.join())
    await asyncio.sleep(0)
    cursor = redis.cursors["news"]
    assert not await redis.joining.find_place("news", cursor)
    joining.cancel()
    await asyncio.wait([joining])
    assert await redis.joining.find_place("news", cursor)
    assert cursor.position == StreamPosition(4, "a")
