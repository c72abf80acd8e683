"""A short soak, so that the long one works when it is wanted; and whether it would see a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asgi_push import StreamPosition
from tests.soak.flat import growing
from tests.soak.ledger import ATTEMPTS, Ledger, Run, Tracker
from tests.soak.storm import Soak, run

SECONDS = 10.0
FIRST = StreamPosition(1, "a")


def test_a_short_one(tmp_path: Path) -> None:
    """Clients of every kind, cut off at any moment, get everything once and in order, or are told."""
    soak = Soak("memory", SECONDS, "a test", each=3)
    run(soak, tmp_path)
    assert soak.ledger.faults == []
    for what in ("published", "received", "connections", "cut off"):
        assert soak.ledger.counts[what] > 0


def a_ledger(epoch: str = "a", count: int = 5, start: int = 1) -> Ledger:
    """So many publications of a channel: the number 1 at the position 1, and so on."""
    ledger = Ledger()
    for offset in range(start, start + count):
        ledger.published("news", StreamPosition(offset, epoch), offset * ATTEMPTS)
    return ledger


@pytest.mark.parametrize(
    ("offsets", "right"),
    [([1, 2, 3], True), ([1, 3], False), ([1, 1], False), ([2, 1], False), ([2], False)],
)
def test_the_order_of_a_tracker(offsets: list[int], *, right: bool) -> None:
    """What is missing, doubled or out of order is a fault."""
    ledger = a_ledger()
    tracker = Tracker(ledger, "a client")
    tracker.place("news", StreamPosition(0, "a"))
    for offset in offsets:
        tracker.take("news", StreamPosition(offset, "a"), offset * ATTEMPTS)
    assert (ledger.faults == []) is right


def test_what_else_a_tracker_sees() -> None:
    """So is other content than everybody else's, a place that is not the client's, and what never comes."""
    for steps in ("value", "place", "early"):
        ledger = a_ledger()
        tracker = Tracker(ledger, "a client")
        if steps != "early":
            tracker.place("news", StreamPosition(0, "a"))
        if steps == "place":
            tracker.place("news", FIRST)
        else:
            tracker.take("news", FIRST, ATTEMPTS + (steps == "value"))
        assert len(ledger.faults) == 1, steps
    assert list(tracker.behind(["news"])) == [f"a client is at {FIRST} of news, which is at {StreamPosition(5, 'a')}"]


def test_a_tracker_that_is_told() -> None:
    """After a gap of which it is told a client begins anew."""
    ledger = a_ledger()
    tracker = Tracker(ledger, "a client")
    tracker.place("news", FIRST)
    tracker.lost("news")
    tracker.place("news", StreamPosition(4, "a"))
    tracker.take("news", StreamPosition(5, "a"), 5 * ATTEMPTS)
    assert ledger.faults == list(tracker.behind(["news"])) == []


def test_a_tracker_in_a_new_epoch() -> None:
    """Offsets go on where nothing was lost; a number that is left out is a fault."""
    for number, faults in ((2, 0), (3, 1)):
        ledger = Ledger()
        tracker = Tracker(ledger, "a client")
        tracker.place("news", StreamPosition(0, "a"))
        tracker.take("news", FIRST, ATTEMPTS)
        tracker.take("news", StreamPosition(2, "b"), number * ATTEMPTS)
        assert ledger.counts["faults"] == faults


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ([2, 3, 4], True), ([1, 2], True), ([4], False), ([2, 4], False), ([2, 2], False), ([3, 2], False),
        ([2, 9], False), ([2, 1], False), ([], True),
    ],
)  # fmt: skip
def test_the_run_of_a_plain_client(values: list[int], *, right: bool) -> None:
    """What a plain client gets of a channel goes on without a hole from what had been published when it came."""
    ledger = a_ledger()
    Run("a page", "news", 1, [value * ATTEMPTS for value in values]).check(ledger)
    assert (ledger.faults == []) is right


def test_one_that_was_under_way_may_be_from_before() -> None:
    """The second was under way when a page came; the next is the first that it must get, and the last one."""
    for last, faults in ((3, 0), (4, 1)):
        ledger = a_ledger()
        run = Run("a page", "news", 2, [last * ATTEMPTS])
        run.check(ledger)
        assert ledger.counts["faults"] == faults
        assert list(run.behind(ledger)) == [f"a page has not got {5 * ATTEMPTS} of news"]


def test_the_run_goes_on_in_a_new_life_of_the_stream() -> None:
    """Where the stream was lost, the same value may come again; not twice in one life."""
    ledger = a_ledger()
    ledger.published("news", StreamPosition(1, "b"), 2 * ATTEMPTS)
    for values, faults in (([2, 3, 2], 0), ([2, 3, 2, 2], 1)):
        Run("a page", "news", 1, [value * ATTEMPTS for value in values]).check(ledger)
        assert ledger.counts["faults"] == faults


def test_what_was_lost_with_a_life_of_the_stream_before_the_first_value() -> None:
    """A page came while the first was under way. The second was lost with its stream; the fourth was not."""
    for first, faults in ((3, 0), (5, 1)):
        ledger = a_ledger()
        for number in (3, 4, 5):
            ledger.published("news", StreamPosition(number - 1, "b"), number * ATTEMPTS + 1)
        Run("a page", "news", 1, [first * ATTEMPTS + 1]).check(ledger)
        assert ledger.counts["faults"] == faults


def rests(**grow: float) -> list[dict[str, float]]:
    """Ten rests of a process, in which some of what it keeps grows by so much each time."""
    still: dict[str, Any] = {"memory": 60e6, "objects": 50_000, "tasks": 12, "files": 20, "cpu": 0.02}
    return [{name: value + place * grow.get(name, 0) for name, value in still.items()} for place in range(10)]


@pytest.mark.parametrize(
    ("grow", "flat"),
    [
        ({}, True), ({"memory": 3e5}, True), ({"memory": 3e6}, False), ({"objects": 1000}, False),
        ({"tasks": 1}, False), ({"files": 2}, False), ({"cpu": 0.05}, False),
    ],
)  # fmt: skip
def test_what_grows(grow: dict[str, float], *, flat: bool) -> None:
    """What is more at the end than at the beginning, beyond its bound, is a fault."""
    assert (list(growing(rests(**grow))) == []) is flat


def test_one_rest_says_nothing() -> None:
    """A rest at which something happened to be under way is no growth."""
    found = rests()
    found[-1] = {name: value * 3 for name, value in found[-1].items()}
    assert list(growing(found)) == []
