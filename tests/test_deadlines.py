"""Deadlines of many items."""

from __future__ import annotations

import weakref

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asgi_push.deadlines import Deadlines

items = st.integers(0, 5)
delays = st.integers(0, 20)


class DeadlinesMachine(RuleBasedStateMachine):
    """Deadlines beside a model of them, under any sequence of calls and any passing of time."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: Deadlines[int] = Deadlines()
        self.model: dict[int, float] = {}
        self.now = 0.0

    @rule(item=items, delay=delays)
    def schedule(self, item: int, delay: int) -> None:
        when = self.now + delay
        self.deadlines.schedule(item, when)
        self.model[item] = min(when, self.model.get(item, when))

    @rule(item=items)
    def cancel(self, item: int) -> None:
        self.deadlines.cancel(item)
        self.model.pop(item, None)

    @rule(delay=delays)
    def due(self, delay: int) -> None:
        self.now += delay
        due = self.deadlines.due(self.now)
        assert [self.model[item] for item in due] == sorted(self.model[item] for item in due), "not in order"
        assert sorted(due) == sorted(item for item, when in self.model.items() if when <= self.now)
        for item in due:
            del self.model[item]

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.deadlines.next() == min(self.model.values(), default=None)
        assert len(self.deadlines) == len(self.model)


TestDeadlines = DeadlinesMachine.TestCase


def test_a_deadline_is_never_moved_away() -> None:
    """It comes out at the earliest time that it was scheduled for; its owner, asked then, knows the later one."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.schedule("a", 1.0)
    deadlines.schedule("a", 5.0)
    assert deadlines.due(1.0) == ["a"]
    assert deadlines.due(5.0) == []


def test_things_are_never_compared() -> None:
    """Two deadlines at one time need no order of the things that they belong to."""
    deadlines: Deadlines[object] = Deadlines()
    things = [object(), object()]
    for thing in things:
        deadlines.schedule(thing, 1.0)
    assert deadlines.due(1.0) == things


def test_cancelled_deadlines_take_no_memory() -> None:
    """A hundred thousand sessions that came and went leave next to nothing behind."""
    deadlines: Deadlines[int] = Deadlines()
    deadlines.schedule(-1, 1000.0)
    for item in range(10_000):
        deadlines.schedule(item, 1000.0)
        deadlines.cancel(item)
    assert len(deadlines._heap) < 100
    assert deadlines.due(1000.0) == [-1]


def test_what_is_cancelled_is_let_go() -> None:
    """A closed session is not kept in memory until its deadline would have come."""
    deadlines: Deadlines[frozenset[int]] = Deadlines()
    thing = frozenset([1])
    gone = weakref.ref(thing)
    deadlines.schedule(thing, 1000.0)
    deadlines.schedule(thing, 500.0)
    deadlines.cancel(thing)
    del thing
    assert gone() is None


def test_deadlines_that_move_nearer_take_no_memory() -> None:
    """Nor does one thing whose deadline is moved nearer again and again."""
    deadlines: Deadlines[str] = Deadlines()
    for when in range(10_000, 0, -1):
        deadlines.schedule("a", float(when))
    assert len(deadlines._heap) < 100
    assert deadlines.due(1.0) == ["a"]
    assert deadlines.due(10_000.0) == []
