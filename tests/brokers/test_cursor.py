"""A cursor says what is next, what is known, and what has to wait for something that is missing before it."""

from __future__ import annotations

import pytest

from asgi_push import StreamPosition
from asgi_push.brokers.redis import cursor as module
from asgi_push.brokers.redis.cursor import Cursor
from asgi_push.messages import Publication
from tests.brokers.contract import publication


def item(offset: int, epoch: str = "a") -> Publication:
    return publication("news", f"{epoch}{offset}", offset=offset, epoch=epoch)


def names(publications: list[Publication]) -> list[str]:
    return [publication.data for publication in publications]


def at(offset: int, epoch: str = "a") -> Cursor:
    cursor = Cursor()
    cursor.begin(StreamPosition(offset, epoch))
    return cursor


def test_the_next_is_taken_and_the_known_is_not() -> None:
    """What comes twice is delivered once."""
    cursor = at(5)
    assert [cursor.take(item(offset)) for offset in (4, 5, 6, 6, 5, 7)] == [False, False, True, False, False, True]
    assert not cursor.behind(StreamPosition(7, "a"))
    assert cursor.behind(StreamPosition(8, "a"))
    assert cursor.behind(StreamPosition(7, "b"))


def test_what_comes_before_it_is_known_what_was_missed_waits() -> None:
    """Somebody joined in vain before it; the earliest of several counts, until the place is known."""
    cursor = Cursor()
    for since in (7.0, 5.0, 9.0):
        cursor.note_missed(since)
    assert cursor.missed_since == 5.0
    assert not cursor.take(item(8))
    assert cursor.catching_up
    cursor.begin(StreamPosition(5, "a"))
    cursor.note_missed(3.0)
    assert cursor.missed_since is None
    assert cursor.end_of_hole("a") == 7
    cursor.move(StreamPosition(7, "a"))
    assert names(cursor.release()) == ["a8"]


def test_what_comes_first_where_nobody_has_missed_anything() -> None:
    """It is delivered: whoever joined it finds out the place meanwhile."""
    cursor = Cursor()
    assert cursor.take(item(8))
    assert cursor.position == StreamPosition(8, "a")


def test_what_comes_after_a_hole_waits() -> None:
    """Until what is missing has been read; what comes again, or was read, is not delivered twice."""
    cursor = at(5)
    assert not any(cursor.take(item(offset)) for offset in (8, 9))
    assert cursor.catching_up
    assert cursor.end_of_hole("a") == 7
    cursor.move(StreamPosition(7, "a"))
    assert not cursor.take(item(10))  # while that is read
    assert not cursor.take(item(8))
    assert names(cursor.release()) == ["a8", "a9", "a10"]
    assert not cursor.catching_up
    assert cursor.take(item(11))


def test_nothing_overtakes_what_is_released() -> None:
    """Behind a second hole it waits on, and all that comes waits with it."""
    cursor = at(0, "")
    for offset in (2, 4, 5):
        cursor.take(item(offset))
    cursor.move(StreamPosition(1, "a"))
    assert names(cursor.release()) == ["a2"]
    assert cursor.catching_up
    assert not cursor.take(item(6))
    assert cursor.end_of_hole("a") == 3
    cursor.move(StreamPosition(3, "a"))
    assert names(cursor.release()) == ["a4", "a5", "a6"]


def test_what_was_read_is_not_delivered_again() -> None:
    """Of what waited only that is released which lies beyond the place that was moved to."""
    cursor = at(5)
    for offset in (7, 8, 9):
        cursor.take(item(offset))
    cursor.move(StreamPosition(8, "a"))
    assert names(cursor.release()) == ["a9"]


def test_the_end_of_an_earlier_life_comes_first() -> None:
    """It is read nowhere any more; what of it was delivered does not come again."""
    cursor = at(20)
    cursor.take(item(22))
    cursor.take(item(20))
    for offset in (1, 2):
        cursor.take(item(offset, "b"))
    assert cursor.change_epoch(StreamPosition(0, "b"), {"a": 0}, cursor.held) == (StreamPosition(0, "b"), False)
    assert names(cursor.take_orphans(0)) == ["a22"]
    assert cursor.end_of_hole("b") == 0
    assert names(cursor.release()) == ["b1", "b2"]
    assert cursor.position == StreamPosition(2, "b")


def test_what_another_epoch_has_too_waits_on() -> None:
    """Only the end that it has not is taken out: nobody can read that any more."""
    cursor = at(5, "a")
    for offset in (8, 9, 10):
        cursor.take(item(offset, "a"))
    cursor.take(item(10, "b"))
    assert cursor.change_epoch(StreamPosition(5, "b"), {"a": 9}, cursor.held) == (StreamPosition(5, "b"), False)
    assert cursor.end_of_hole("b") == 7
    assert cursor.take_orphans(8) == []
    cursor.move(StreamPosition(7, "b"))
    assert names(cursor.release()) == ["a8", "a9", "b10"]
    assert names(cursor.take_orphans(9)) == ["a10"]


def test_what_is_older_than_the_answer_never_waits_for_ever() -> None:
    """A publication of another life that waited when Redis was asked is of one before; one that came later may not."""
    cursor = at(5, "b")
    cursor.take(item(9, "a"))
    held = cursor.held
    cursor.take(item(1, "c"))
    assert cursor.change_epoch(StreamPosition(5, "b"), {"a": 4}, held) == (StreamPosition(5, "b"), False)
    assert names(cursor.take_orphans(5)) == ["a9"]
    assert cursor.release() == []
    assert cursor.catching_up


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More is dropped from its end, and is then a hole like any other."""
    monkeypatch.setattr(module, "_MAX_HELD", 3)
    cursor = at(0)
    for offset in range(2, 9):
        cursor.take(item(offset))
    assert cursor.dropped
    cursor.move(StreamPosition(1, "a"))
    assert names(cursor.release()) == ["a2", "a3", "a4"]
    assert not cursor.take(item(9))
    assert cursor.end_of_hole("a") == 8


def test_an_inbox_that_was_seen_to_be_empty() -> None:
    """It is, until something comes; what a client knows of that has not come here may be in it."""
    cursor = at(5)
    assert not cursor.inbox_is_empty(None)
    cursor.inbox_empty_at = StreamPosition(5, "a")
    assert all(map(cursor.inbox_is_empty, (None, StreamPosition(5, "a"), StreamPosition(4, "a"))))
    assert not any(map(cursor.inbox_is_empty, (StreamPosition(6, "a"), StreamPosition(5, "b"), StreamPosition(5, ""))))
    assert cursor.take(item(6))
    assert not cursor.inbox_is_empty(None)


def test_the_empty_inbox_of_a_stream_that_had_not_begun() -> None:
    """It is empty, too, when somebody has begun the stream by reading it; not in another life of it."""
    cursor = at(0, "")
    cursor.inbox_empty_at = StreamPosition(0, "")
    assert cursor.inbox_is_empty(None)
    cursor.move(StreamPosition(0, "a"))
    assert cursor.inbox_is_empty(StreamPosition(0, "a"))
    cursor.inbox_empty_at = StreamPosition(0, "a")
    cursor.move(StreamPosition(0, "b"))
    assert not cursor.inbox_is_empty(None)
