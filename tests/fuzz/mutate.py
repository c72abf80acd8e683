"""Valid inputs, changed a little: in their structure, in their text, and in their bytes."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

Text = TypeVar("Text", str, bytes)

# What parsers find odd.
_VALUES: Sequence[Any] = (
    None, True, False, 0, 1, -1, -0.0, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1,
    1e308, 5e-324, 0.1, "", " ", "\0", "\n", "*", "#", "#11", "news", "x" * 300, "\ud800", "\U0001f600", "e\u0301",
    "7.Xk3-aQ9z", "1e400", "%", "null", [], {}, [[]], [{}], {"": ""}, ["a", None], {"a": {"b": [1]}},
)  # fmt: skip
_TEXTS = (
    "\0", "\n", "\r\n", "\n\n", '"', "\\", "\\u", "\\ud800", "\\ud800\\udc00", "{", "}", "[", "]", ",", ":", ".", "%",
    "%FF", "%ED%A0%80", "-", "-0", "1e400", "NaN", "Infinity", "9" * 25, "9" * 5000, "\U0001f600", "\u0130", "\ufeff",
    "null", '{"a":', '"ping"', '"ack"', '"seen"', '"channel"', "٣", "[" * 300, "{" * 40, "!", ",,", "=", ";", "_",
)  # fmt: skip
_BYTES = (b"\0", b"\xff", b"\x80", b"\n", b"\xff" * 5, b"\x80" * 10 + b"\x01", b"\xed\xa0\x80", b"\xc0\xaf", b"\x7f")
_DEEP = 400  # levels, more than orjson writes


def document(random: Random, value: Any) -> Any:
    """Return a copy of a JSON value, changed in some places."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((0, 0, 1, 1, 1, 2))):
        value = _change(random, value)
    return value


def _change(random: Random, value: Any) -> Any:
    """Go down to some place in it, and change that."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = random.choice(list(value))
        match random.randrange(10):
            case 0:
                del value[key]
            case 1:
                value[random.choice(("", "id", "channel", "x" * 300, "\ud800", "\0"))] = value[key]
            case _:
                value[key] = _change(random, value[key])
        return value
    if isinstance(value, list) and value and random.random() < 0.8:
        place = random.randrange(len(value))
        match random.randrange(10):
            case 0:
                del value[place]
            case 1:
                value *= random.choice((2, 2, 40))
            case _:
                value[place] = _change(random, value[place])
        return value
    if isinstance(value, str) and random.random() < 0.5:
        return text(random, value)
    if random.random() < 0.01:
        return _deep(random)
    return copy.deepcopy(random.choice(_VALUES))


def _deep(random: Random) -> Any:
    value: Any = 0
    for _ in range(random.randrange(1, _DEEP)):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def as_json(random: Random, value: Any) -> str:
    """Return the JSON of a value as some client might write it."""
    try:
        return json.dumps(value, ensure_ascii=random.random() < 0.5, indent=random.choice((None, None, None, 1)))
    except (RecursionError, ValueError):
        return "[]"


def text(random: Random, whole: str, others: Sequence[str] = ()) -> str:
    """Return a text, changed in some places."""
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        whole = _splice(random, whole, random.choice(_TEXTS), others)
    return whole


def data(random: Random, whole: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return bytes, changed in some places."""
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        if whole and random.random() < 0.4:
            at = random.randrange(len(whole))
            whole = whole[:at] + bytes([whole[at] ^ (1 << random.randrange(8))]) + whole[at + 1 :]
        else:
            whole = _splice(random, whole, random.choice(_BYTES), others)
    return whole


def _splice(random: Random, whole: Text, odd: Text, others: Sequence[Text]) -> Text:
    at = random.randint(0, len(whole))
    to = min(len(whole), at + random.choice((0, 1, 2, 10)))
    match random.randrange(6):
        case 0:
            return whole[:at]
        case 1:
            return whole[:at] + whole[to:]
        case 2:
            return whole[:to] + whole[at:to] * random.choice((1, 1, 3, 100)) + whole[to:]
        case 3 if others:
            other = random.choice(others)
            return whole[:at] + other[random.randint(0, len(other)) :]
    return whole[:at] + odd + whole[to:]


def decoded(found: str) -> str:
    """Return the text as a server hands it on: valid Unicode."""
    return found.encode(errors="replace").decode()
