"""What is missing is delivered once and in order, or told as lost, though other epochs begin on the way."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_push import StreamPosition
from asgi_push.brokers import envelope
from asgi_push.brokers.redis.catch_up import CatchUp
from asgi_push.brokers.redis.cursor import Cursor
from asgi_push.brokers.redis.streams import Reading
from asgi_push.messages import JoinLeave, Publication
from tests.brokers.contract import publication

PAGE = 3  # publications of one reading
PAST = 8  # epochs before that Redis knows


class World:
    """A stream in Redis whose epochs end, and a process that hears a part of what is published in it.

    Each publication has a number of its own, whatever its offset.
    """

    def __init__(self, size: int = 1_000_000) -> None:
        self.size = size  # publications that are kept
        self.numbers: list[int] = []  # the stream: what is published there, by offset
        self.epoch = "e0"
        self.past: dict[str, int] = {}
        self.published = 0
        self.epochs = 0
        self.went_back = False
        self.late: list[Publication] = []  # on its way to the process
        self.meanwhile: list[str] = []  # what happens while Redis is asked
        self.delivered: list[int] = []
        self.heard: set[int] = set()
        self.told = 0
        self.cursor = Cursor()
        self.cursor.begin(StreamPosition(0, "e0"))
        world: Any = self
        self.catch_up = CatchUp(world, world, self.put, self.lost)

    # -- Redis ------------------------------------------------------------------------------------------------------

    async def read(self, channel: str, since: StreamPosition, **_: Any) -> Reading:
        top = StreamPosition(len(self.numbers), self.epoch)
        good = since.epoch in ("", self.epoch) or since.offset <= self.past.get(since.epoch, -1)
        before = since.offset if good else next(iter(self.past.values()), 0)
        before = max(before, len(self.numbers) - self.size)
        bodies = [envelope.body(publication("news", number)) for number in self.numbers[before : before + PAGE]]
        reading = Reading(top, good=good, before=before, bodies=bodies, past=dict(self.past))
        for event in self.meanwhile[:2]:
            self.happen(event)
        del self.meanwhile[:2]
        return reading

    def publish(self) -> Publication:
        self.published += 1
        self.numbers.append(self.published)
        return publication("news", self.published, offset=len(self.numbers), epoch=self.epoch)

    def begin_epoch(self) -> None:
        self.epochs += 1
        past = {self.epoch: len(self.numbers)} | self.past
        self.past = dict(list(past.items())[:PAST])
        self.epoch = f"e{self.epochs}"

    def go_back(self, count: int) -> None:
        """The last publications are lost, and the epochs that began with them."""
        left = max(0, len(self.numbers) - count)
        self.went_back = self.went_back or left < len(self.numbers)
        while self.past and next(iter(self.past.values())) > left:
            self.epoch = next(iter(self.past))
            del self.past[self.epoch]
        del self.numbers[left:]
        self.begin_epoch()

    # -- the process ------------------------------------------------------------------------------------------------

    full = False

    def put(self, cursor: Cursor, item: Publication | JoinLeave | None) -> None:
        if isinstance(item, Publication):
            self.delivered.append(item.data)

    def lost(self, channel: str) -> None:
        self.told += 1

    def hear(self, item: Publication) -> None:
        self.heard.add(item.data)
        if self.cursor.take(item):
            self.put(self.cursor, item)

    def happen(self, event: str) -> None:
        if event == "heard":
            self.hear(self.publish())
        elif event == "missed":
            self.publish()
        elif event == "late":
            self.late.append(self.publish())
        elif event == "comes" and self.late:
            self.hear(self.late.pop(0))
        elif event == "moves":
            self.begin_epoch()
        elif event.startswith("back"):
            self.go_back(int(event.removeprefix("back")))

    async def check(self) -> None:
        top = StreamPosition(len(self.numbers), self.epoch)
        if self.cursor.catching_up:
            await self.catch_up.run("news", self.cursor, None)
        elif self.cursor.behind(top):
            self.cursor.hold()
            await self.catch_up.run("news", self.cursor, top)

    async def run(self, events: list[str]) -> None:
        for place, event in enumerate(events):
            if event == "check":
                await self.check()
            elif event == "slow check":
                self.meanwhile = [event for event in events[place + 1 : place + 5] if "check" not in event]
                await self.check()
            else:
                self.happen(event)
        while self.late:
            self.happen("comes")
        self.meanwhile = []
        for _ in range(len(events) + 1):
            await self.check()

    def verify(self) -> None:
        assert len(self.delivered) == len(set(self.delivered))
        kept = set(self.numbers)
        in_order = [number for number in self.delivered if number in kept]
        assert in_order == sorted(in_order)
        assert not self.cursor.catching_up
        assert self.cursor.position == StreamPosition(len(self.numbers), self.epoch)
        if not self.told:
            assert kept <= set(self.delivered)
        if not self.went_back:
            assert self.told == 0


EVENTS = ["heard", "heard", "heard", "missed", "late", "late", "comes", "comes", "moves", "check", "slow check"]
ANY = st.sampled_from([*EVENTS, "back1", "back3"])


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
@settings(max_examples=150)
def test_epochs_that_begin_without_a_loss(events: list[str]) -> None:
    """All is delivered once and in order, and nothing is told."""
    world = World()
    asyncio.run(world.run(events))
    world.verify()
    assert world.delivered == sorted(set(range(1, world.published + 1)))


@given(st.lists(ANY, max_size=30))
@settings(max_examples=150)
def test_a_stream_that_goes_back(events: list[str]) -> None:
    """Nothing is delivered twice, and what is kept and was not delivered is told as lost."""
    world = World()
    asyncio.run(world.run(events))
    world.verify()


@pytest.mark.parametrize("seed", range(5))
def test_long_lives(seed: int) -> None:
    """As above, for longer than any example that is found; what comes many epochs too late is lost, and not twice."""
    chance = random.Random(seed)
    world = World()
    asyncio.run(world.run(chance.choices([*EVENTS, "back1", "back3"], k=600)))
    world.verify()


def test_what_waits_in_an_epoch_that_ends() -> None:
    """It is the same publication in the next one: what is read there and what waited come once."""
    world = World()
    events = [*["heard"] * 10, *["missed"] * 6, *["heard"] * 4, "moves", *["heard"] * 2]
    asyncio.run(world.run(events))
    assert world.delivered == list(range(1, 23))
    assert world.told == 0


@given(st.lists(st.sampled_from([event for event in EVENTS if event not in ("late", "comes")]), max_size=30))
def test_what_is_not_kept_any_more(events: list[str]) -> None:
    """It is told as lost, and all the same what was heard is delivered."""
    world = World(size=4)
    asyncio.run(world.run(events))
    assert world.delivered == sorted(set(world.delivered))
    missed = set(range(1, world.published + 1)) - set(world.delivered)
    assert not missed & world.heard
    assert bool(missed) == bool(world.told)


def test_what_waits_and_is_lost_in_redis() -> None:
    """It is delivered in its place, and the loss is told."""
    world = World()
    events = [*["heard"] * 3, "missed", *["heard"] * 4, "back2", *["heard"] * 2]
    asyncio.run(world.run(events))
    assert world.delivered == list(range(1, 11))
    assert world.told == 1
