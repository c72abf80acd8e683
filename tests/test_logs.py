"""Logging that a client can neither forge nor flood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asgi_push.logs import RateLimit, printable


@given(st.text() | st.binary() | st.integers())
def test_printable_is_one_short_line(text: object) -> None:
    """Whatever a client sends is one quoted line of printable ASCII in the log."""
    shown = printable(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 10 * 103 + 2


def test_printable_shows_what_can_be_shown() -> None:
    """A line break, a terminal's escape and a direction mark come out escaped, and a long text cut."""
    assert printable("a\n\x1b[31m\u202e") == r"'a\n\x1b[31m\u202e'"
    assert printable("x" * 1000) == "'" + "x" * 100 + "...'"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20)), max_size=30))
def test_rate_limit(events: list[tuple[str, int]]) -> None:
    """One event an interval and key is let through, and told how many were held back before it."""
    limit = RateLimit(10.0)
    now, last, held = 0, dict[str, int](), {"a": 0, "b": 0}
    for key, delay in events:
        now += delay
        if key in last and now - last[key] < 10:
            assert limit.allow(key, now) is None
            held[key] += 1
        else:
            assert limit.allow(key, now) == held[key]
            last[key], held[key] = now, 0
