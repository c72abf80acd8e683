"""A feed delivers each publication once and in order, or says what is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asgi_push import History, StreamPosition
from asgi_push.brokers.redis.feed import Feed
from asgi_push.messages import Publication
from tests.brokers.contract import publication


def item(offset: int, epoch: str = "a") -> Publication:
    return publication("news", f"{epoch}{offset}", offset=offset, epoch=epoch)


def kept(first: int, top: int, epoch: str = "a") -> History:
    return History([item(offset, epoch) for offset in range(first, top + 1)], StreamPosition(top, epoch))


def offsets(publications: list[Publication]) -> list[int]:
    return [publication.offset for publication in publications]


def at(offset: int, epoch: str = "a") -> Feed:
    feed = Feed()
    feed.begin(StreamPosition(offset, epoch))
    return feed


def test_the_next_is_taken_and_the_known_is_not() -> None:
    """What comes twice is delivered once."""
    feed = at(5)
    assert [feed.take(item(offset)) for offset in (4, 5, 6, 6, 5, 7)] == [False, False, True, False, False, True]
    assert not feed.behind(StreamPosition(7, "a"))
    assert feed.behind(StreamPosition(8, "a"))
    assert feed.behind(StreamPosition(7, "b"))


def test_what_comes_after_a_hole_waits() -> None:
    """Until what is missing is there; what comes while that is delivered waits for it."""
    feed = at(5)
    assert not feed.take(item(8))
    assert not feed.take(item(9))
    assert feed.catching_up
    ready, lost = feed.resume(StreamPosition(5, "a"), kept(6, 8))  # it was read before 9 was published
    assert (offsets(ready), lost) == ([6, 7, 8, 9], False)
    assert not feed.take(item(10))
    assert not feed.take(item(8))
    assert offsets(feed.release()) == [10]
    assert feed.release() == []
    assert not feed.catching_up
    assert feed.take(item(11))


def test_a_hole_behind_a_hole() -> None:
    """Is one more."""
    feed = at(0, "")
    feed.take(item(2))
    feed.resume(StreamPosition(0, ""), kept(1, 2))
    feed.take(item(4))
    assert feed.release() == []
    assert feed.catching_up
    assert feed.resume(StreamPosition(2, "a"), kept(3, 4))[1] is False


def test_loss_is_told() -> None:
    """What is trimmed, and what was in another life; all that there is is delivered."""
    feed = at(5)
    feed.take(item(20))
    ready, lost = feed.resume(StreamPosition(5, "a"), kept(18, 20))
    assert (offsets(ready), lost) == ([18, 19, 20], True)
    feed.release()
    feed.take(item(22))
    feed.take(item(2, "b"))
    ready, lost = feed.resume(StreamPosition(20, "a"), kept(1, 3, "b"))
    assert [(publication.epoch, publication.offset) for publication in ready] == [
        ("a", 22), ("b", 1), ("b", 2), ("b", 3),
    ]  # fmt: skip
    assert lost
    assert feed.position == StreamPosition(3, "b")


@given(st.lists(st.sampled_from(["come", "lose", "twice", "read", "check"]), max_size=60))
def test_whatever_comes(events: list[str]) -> None:
    """All are delivered, in order and once, however many are lost on the way."""
    feed, top, delivered = at(0, ""), 0, list[int]()

    def read() -> None:
        since = feed.position or StreamPosition(0, "")
        ready, lost = feed.resume(since, kept(since.offset + 1, top))
        assert not lost
        while ready:
            delivered.extend(offsets(ready))
            ready = feed.release()

    for event in events:
        if event in ("come", "lose"):
            top += 1
        if event in ("come", "twice") and top and feed.take(item(top)):
            delivered.append(top)
        if event == "read" and feed.catching_up:
            read()
        if event == "check" and top and feed.behind(StreamPosition(top, "a")):
            read()
    if top:
        read()
    assert delivered == list(range(1, top + 1))
