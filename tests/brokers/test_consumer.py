"""What is heard is delivered once and in order or told as lost, whoever is late: the reader, the checks, the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push import StreamPosition
from asgi_push.brokers import Receiver, envelope
from asgi_push.brokers.redis import cursor
from asgi_push.brokers.redis.consumer import Consumer
from asgi_push.brokers.redis.cursor import Cursor
from asgi_push.brokers.redis.keys import Keys
from asgi_push.brokers.redis.streams import Reading
from asgi_push.messages import JoinLeave, Publication
from tests.asgi import PATIENCE
from tests.brokers.contract import publication

KEPT = 4


class World:
    """A stream in Redis, the one connection on which it is heard, and a hub that takes its time."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
        self.bodies: list[bytes] = []  # all that was ever published
        self.lost: set[int] = set()  # what never comes on the connection
        self.delivered: list[int] = []
        self.epochs = ["a"]  # of all lives of the stream, of which each goes on where the one before ended
        self.past: dict[str, int] = {}  # the last number of each that is over
        self.told: list[set[int]] = []  # at each loss that was told, what was gone then
        self.places: list[StreamPosition | None] = []  # where a client might have begun
        self.keys = Keys("test", 0)
        unused: Any = None
        self.consumer = Consumer(unused, unused, self.keys, unused, self, unused)  # type: ignore[arg-type]
        self.open = asyncio.Event()
        self.open.set()

    # -- Redis ------------------------------------------------------------------------------------------------------

    @property
    def top(self) -> StreamPosition:
        return StreamPosition(len(self.bodies), self.epochs[-1])

    def begin_another_life(self) -> None:
        self.past[self.epochs[-1]] = len(self.bodies)
        self.epochs.append(f"a{len(self.epochs)}")

    def publish(self, *, comes: bool) -> None:
        number = len(self.bodies) + 1
        self.bodies.append(envelope.body(publication("news", number)))
        if comes:
            self.incoming.put_nowait(
                (self.keys.published("news"), f"{number}:{self.top.epoch}:".encode() + self.bodies[-1])
            )
        else:
            self.lost.add(number)

    async def look(
        self, channel: str, known: StreamPosition | None, *barrier: bytes, begins: bool = False
    ) -> tuple[StreamPosition, bool]:
        await turns(2)
        top = self.top
        if barrier:
            self.incoming.put_nowait((barrier[0], barrier[1]))
        await turns(3)
        return top, False

    async def read(self, channel: str, since: StreamPosition, **_: Any) -> Reading:
        await turns(2)
        top, past, before = self.top, dict(self.past), max(since.offset, len(self.bodies) - KEPT)
        bodies = self.bodies[before : before + 2]
        await turns(3)
        return Reading(top, good=True, before=before, bodies=bodies, past=past)

    async def place_at(self, channel: str, since: float) -> StreamPosition:
        await turns(2)
        place = StreamPosition(int(since), self.top.epoch)
        await turns(2)
        return place

    def join_anew(self) -> None:
        """The channel is forgotten, and joined in vain when all that was taken of it had been published."""
        taken = self.consumer._cursors["news"].position
        self.consumer._on_unsubscribed(self.keys.published("news"))
        news = self.consumer._cursors["news"] = Cursor()
        assert taken is not None
        news.note_missed(float(taken.offset))
        self.consumer._checks.want("news")

    def lose_connection(self) -> None:
        """What is on its way on it does not come; it is heard again at once."""
        while self.incoming.qsize():
            name, message = self.incoming.get_nowait()
            if name == self.keys.published("news"):
                self.lost.add(int(message.split(b":")[0]))
        self.consumer._on_disconnected()
        self.consumer._on_subscribed(self.keys.published("news"))

    # -- the hub ----------------------------------------------------------------------------------------------------

    async def room(self) -> None:
        await self.open.wait()
        await turns(1)

    def deliver(self, item: Publication | JoinLeave) -> int:
        self.delivered.append(item.offset)
        return 1

    def on_told(self, message: bytes) -> None:
        """Nobody tells it anything here."""

    async def apply_control(self, message: bytes) -> None:
        await turns(3)

    def tell(self, channel: str) -> None:
        self.told.append({number for number in self.lost if number <= len(self.bodies) - KEPT})

    # -- what happens -----------------------------------------------------------------------------------------------

    async def read_some(self, count: int) -> None:
        for _ in range(min(count, self.incoming.qsize())):
            await self.consumer._on_message(*self.incoming.get_nowait())

    async def all_over(self) -> None:
        self.open.set()
        for _ in range(3):
            self.consumer._checks.want("news")
            while self.consumer._checks.busy or self.incoming.qsize():
                await self.read_some(5)
                await turns(1)
        while self.consumer._deliveries.mark() is not None:
            await turns(1)

    async def run(self, events: list[str]) -> None:
        self.consumer.start(Receiver(self.deliver, self.apply_control, self.tell, self.room, self.on_told))
        news = self.consumer._cursors["news"] = Cursor()
        news.begin(StreamPosition(0, "a"))
        steps: dict[str, Callable[[], Awaitable[None] | None]] = {
            "come": lambda: self.publish(comes=True),
            "lose": lambda: self.publish(comes=False),
            "life": self.begin_another_life,
            "join": self.join_anew,
            "read": lambda: self.read_some(3),
            "check": lambda: self.consumer._checks.want("news"),
            "away": self.lose_connection,
            "place": lambda: self.places.append(self.consumer._cursors["news"].told),
            "shut": self.open.clear,
            "open": self.open.set,
            "turn": lambda: turns(4),
        }
        try:
            for event in events:
                if (waits := steps[event]()) is not None:
                    async with asyncio.timeout(PATIENCE):
                        await waits
            async with asyncio.timeout(PATIENCE):
                await self.all_over()
        finally:
            for task in self.consumer._tasks:
                task.cancel()
            await asyncio.wait(self.consumer._tasks)
            await self.consumer._deliveries.stop()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


EVENTS = st.sampled_from(
    ["come", "come", "come", "lose", "read", "read", "check", "shut", "open", "turn", "turn", "life", "away"]
)


@given(st.lists(EVENTS, max_size=60))
def test_whatever_comes(events: list[str]) -> None:
    """In order and once; what is missing at the end never came and is kept no more, and that was told."""

    async def run() -> None:
        world = World()
        await world.run(events)
        assert world.delivered == sorted(set(world.delivered))
        missing = set(range(1, world.top.offset + 1)) - set(world.delivered)
        assert missing <= world.lost
        assert bool(missing) == bool(world.told)

    asyncio.run(run())


@pytest.mark.parametrize("behind", [3, 30])
def test_what_is_on_its_way_is_not_lost(behind: int) -> None:
    """Though it is far more than is kept, and however often it is looked for before it comes."""

    async def run() -> None:
        world = World()
        await world.run([*["come"] * behind, "check", "turn", "check", "turn"] * 3)
        assert world.delivered == list(range(1, 3 * behind + 1))
        assert world.told == []

    asyncio.run(run())


def test_what_a_check_finds_does_not_overtake(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before waits for room in the hub; what is found to be missing waits behind it."""

    async def run() -> None:
        world = World()
        await world.run(
            ["shut", "come", "come", "read", "turn", "lose", "check", "turn", "read", "turn", "turn", "open"]
        )
        assert world.delivered == [1, 2, 3]
        assert world.told == []

    asyncio.run(run())


def test_what_waits_when_another_life_begins_comes_once() -> None:
    """It is kept as well, and read with what is missing before it."""

    async def run() -> None:
        world = World()
        await world.run(["come", "read", "life", "lose", "come", "come", "read", "life", "come", "turn"])
        assert world.delivered == [1, 2, 3, 4, 5]
        assert world.told == []

    asyncio.run(run())


def test_more_than_is_held_comes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in the end, or told."""
    monkeypatch.setattr(cursor, "_MAX_HELD", 2)

    async def run() -> None:
        world = World()
        await world.run(["lose", "come", "come", "come", "read"])
        assert world.delivered == [1, 2, 3, 4]
        assert world.told == []

    asyncio.run(run())


@pytest.mark.parametrize("turns", range(5))
def test_what_is_read_for_a_channel_that_is_forgotten_meanwhile(turns: int) -> None:
    """It is not delivered: whoever joins it again may read the same."""

    async def run() -> None:
        world = World()
        await world.run(["lose", "lose", "come", "read", *["turn"] * turns, "join", "turn", "come", "read"])
        assert world.delivered == [1, 2, 3, 4]
        assert world.told == []

    asyncio.run(run())


def test_place_of_what_was_not_heard() -> None:
    """A client that comes then does not begin there: it would be sent what was published long ago."""

    async def run() -> None:
        world = World()
        await world.run(["come", "read", "place", "away", "lose", "lose", "place", *["turn", "read"] * 9, "place"])
        assert world.places == [StreamPosition(1, "a"), None, StreamPosition(3, "a")]
        assert world.delivered == [1, 2, 3]

    asyncio.run(run())
