"""JSON of clients, with its numbers as they were written.

A float of Python's holds no 1e400 and not all digits of a decimal, and orjson no whole number of more than 64 bits.
What a client publishes is others' business, so such numbers stay text, which orjson writes again as it is.
"""

import json
import re
from typing import Any

import orjson

# What might be a number that is not written again as it was read. In a string it costs time, and nothing else.
_SUSPECT = re.compile(r"[0-9]{16}|[0-9][.eE]|-0")

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_MIN, _MAX = -(2**63), 2**64 - 1  # what orjson reads and writes as a whole number

# Levels that orjson writes; it reads more of them.
_MAX_DEPTH = 254


def loads(text: str) -> Any:
    """Decode JSON; a number that Python or orjson would change is an ``orjson.Fragment``.

    Raises:
        ValueError: it is no JSON, or a string in it is no text.
    """
    if _SUSPECT.search(text) is None:
        return orjson.loads(text)
    try:
        value = json.loads(text, parse_float=orjson.Fragment, parse_int=_whole, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _SURROGATE.search(text) is not None:
        dumps(value)  # knows which of them are no pairs
    return value


def dumps(value: Any) -> bytes:
    """Return the JSON of what ``loads`` returned.

    Raises:
        ValueError: it is nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _whole(digits: str) -> Any:
    if len(digits) > 20 or digits == "-0":
        return orjson.Fragment(digits)
    number = int(digits)
    return number if _MIN <= number <= _MAX else orjson.Fragment(digits)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def is_json(data: bytes) -> bool:
    """Whether bytes are JSON.

    Raises:
        ValueError: they are, and nested so deeply that orjson cannot write them.
    """
    try:
        value = loads(data.decode())
    except ValueError:
        return False
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH:
        dumps(value)
    return True


def inexact(value: Any) -> Any:
    """Return a number as Python has it, anything else as it is."""
    return float(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else value
