"""Patterns of channels."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push.endpoints.api.glob import compile_glob


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "a:b", "a\nb"], []),
        ("news", ["news"], ["new", "news:1", "anews", "News"]),
        ("news:*", ["news:", "news:1:2"], ["news"]),
        ("news:?", ["news:1"], ["news:", "news:12"]),
        ("[a-c]x[!0-9]", ["axb", "cx:"], ["dxb", "ax1"]),
        ("{news,chat}:*", ["news:1", "chat:1"], ["mail:1", "{news,chat}:1"]),
        ("a{,b{c,d}}", ["a", "abc", "abd"], ["ab", "abcd"]),
        ("a{b", ["a{b"], ["ab"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    """A pattern matches whole names, case and all."""
    glob = compile_glob(pattern)
    assert [name for name in [*matching, *others] if glob.match(name)] == matching


@given(st.text(max_size=255), st.text())
def test_any_pattern(pattern: str, name: str) -> None:
    """Whatever the pattern, it compiles or is refused."""
    with suppress(ValueError):
        compile_glob(pattern).match(name)


def test_no_pattern_takes_long() -> None:
    """Many stars do not make many ways to match, all of which would take longer than there is time."""
    assert not compile_glob("*a" * 100 + "b").match("a" * 255)
