"""What is too long for one NOTIFY comes whole, or not at all."""

from __future__ import annotations

import pytest

from asgi_push.brokers.contract import MAX_TOLD_BYTES
from asgi_push.brokers.postgres.letters import Letters, split


@pytest.mark.parametrize("size", [0, 1, 5700, 5701, MAX_TOLD_BYTES])
def test_a_message_comes_as_it_was(size: int) -> None:
    """In texts that NOTIFY carries, of several senders at once."""
    letters = Letters()
    ann, bob = b"a" * size, b"\xff" * size
    texts = [split("ann", 1, ann), split("bob", 1, bob)]
    assert all(len(text.encode()) < 8000 for text in texts[0])
    came = [(letters.take(one), letters.take(other)) for one, other in zip(*texts, strict=True)]
    assert came[-1] == (ann, bob)
    assert not any(map(any, came[:-1]))
    assert not letters._incomplete


@pytest.mark.parametrize("lost", range(3))
def test_what_lost_a_part_is_not_taken(lost: int) -> None:
    """The next one is."""
    letters = Letters()
    texts = split("ann", 1, b"x" * 15_000)
    assert len(texts) == 3
    del texts[lost]
    assert [letters.take(text) for text in [*texts, *split("ann", 2, b"next")]][-1] == b"next"
    assert not any(Letters().take(text) for text in texts)


@pytest.mark.parametrize("text", ["", "hello", "a:b", "a.1:0/1:\u00e9", "a.1:0/1:!", "a.1:x/1:eA==", "a.1:1/1:eA=="])
def test_what_somebody_else_says_is_nothing(text: str) -> None:
    """Anybody with the database may notify."""
    assert Letters().take(text) == b""


def test_senders_that_have_ended_are_forgotten() -> None:
    """What each left behind is bounded by their number."""
    letters = Letters()
    for number in range(300):
        letters.take(split(str(number), 0, b"x" * 10_000)[0])
    assert len(letters._incomplete) == 100
