"""What may be published, and what a receiver makes of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push.encoding import encode

# 2**53: above it a browser's numbers are not exact, and orjson's are.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    id: int


class Text(str):
    __slots__ = ()


@given(st.text() | st.binary() | json_values)
def test_what_is_published_is_what_is_read(data: Any) -> None:
    """A str, bytes, or anything JSON comes out of a payload as it went in."""
    assert encode(data).decode() == data


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        ("text", b"text"),
        (Text("subclass"), b"subclass"),
        ("", b""),
        (b"\x00", b"\x00"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        ({"id": 1, "name": "\u00e9"}, '{"id":1,"name":"\u00e9"}'.encode()),
        ({1: 2}, b'{"1":2}'),
        (Order(5), b'{"id":5}'),
        (Colour.RED, b'"red"'),
        (dt.date(2024, 2, 29), b'"2024-02-29"'),
        (uuid.UUID(int=0), b'"00000000-0000-0000-0000-000000000000"'),
        (None, b"null"),
        ((1, 2), b"[1,2]"),
    ],
)
def test_encode(data: Any, encoded: bytes) -> None:
    """A str is its UTF-8, bytes are themselves, all else is JSON."""
    assert encode(data).data == encoded


@pytest.mark.parametrize(
    "data", [object(), {"a": {1, 2}}, 2**64, "\ud800", Text("a\ud800"), {"a": "\ud800"}, {object(): 1}]
)
def test_what_cannot_be_encoded_is_a_value_error(data: Any) -> None:
    """The error names the argument."""
    with pytest.raises(ValueError, match=r"^data: "):
        encode(data)


def test_a_circle_is_a_value_error() -> None:
    """So is what never ends."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match=r"^data: "):
        encode(circle)
