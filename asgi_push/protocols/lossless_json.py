"""JSON of clients, with its numbers as they were written.

A float of Python cannot hold 1e400 or all digits of a decimal, and orjson cannot read whole numbers
of more than 64 bits. What a client publishes is for others to read, so such numbers stay text,
which orjson writes again as it is.
"""

import json
import re
from typing import Any

import orjson

# What might be a number that would not be written as it was read: [0-9]{16}|[0-9][.eE]|-0. A match
# inside a string costs only time. Said like this it is found in a third of the time, as re then
# looks only where the first set matches.
_SUSPECT = re.compile(r"[0-9-](?:(?<=-)0|(?<=[0-9])(?:[.eE]|[0-9]{15}))")

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

# The whole numbers that orjson reads and writes.
_MIN = -(2**63)
_MAX = 2**64 - 1

# The levels that orjson writes; it reads more.
_MAX_DEPTH = 254


def loads(text: str) -> Any:
    """Decode JSON; a number that Python or orjson would change is an ``orjson.Fragment``.

    Raises:
        ValueError: it is not JSON, or a string in it is not valid Unicode.
    """
    if _SUSPECT.search(text) is None:
        return orjson.loads(text)
    try:
        value = json.loads(
            text, parse_float=orjson.Fragment, parse_int=_whole, parse_constant=_no_number
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _SURROGATE.search(text) is not None:
        dumps(value)  # raises if one of them has no pair
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
    """Return whether bytes are JSON.

    Raises:
        ValueError: they are JSON, but nested too deeply for orjson to write.
    """
    try:
        value = loads(data.decode())
    except ValueError:
        return False
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH:
        dumps(value)
    return True


def as_float(value: Any) -> Any:
    """Return a number as a float of Python, anything else as it is."""
    return float(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else value
