"""Converts values that JSON has no type for, as FastAPI's ``jsonable_encoder`` does.

So push can send what an endpoint can return. Neither pydantic nor numpy is imported here: a program
that has such an object has imported them.
"""

import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import singledispatch
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PurePath
from re import Pattern
from types import GeneratorType
from typing import Any
from uuid import UUID

Default = Callable[[Any], Any]

# Packages whose values, except for models, become text: masked secrets, addresses, colours.
_SAY_THEMSELVES = ("pydantic", "pydantic_core", "pydantic_extra_types")


@singledispatch
def jsonable(value: Any) -> Any:
    """Return a value for JSON in place of ``value``. Values inside it may need the same.

    Raises:
        TypeError: there is none. The ``__dict__`` of an object is not used: it may hold what
            clients must not see.
    """
    kind = type(value)
    if callable(getattr(kind, "model_dump", None)):  # a Pydantic model
        return value.model_dump(mode="json", by_alias=True)
    if kind.__module__.partition(".")[0] in _SAY_THEMSELVES:
        return str(value)
    numpy = sys.modules.get("numpy")
    # Of a kind that orjson lacks.
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return value.tolist()
    raise TypeError(f"Type is not JSON serializable: {kind.__name__}")


@jsonable.register
def _(value: Decimal) -> int | float:
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)


@jsonable.register
def _(value: timedelta) -> float:
    return value.total_seconds()


@jsonable.register(date)
@jsonable.register(time)
def _(value: date | time) -> str:
    return value.isoformat()


@jsonable.register(bytes)
@jsonable.register(bytearray)
@jsonable.register(memoryview)
def _(value: bytes | bytearray | memoryview) -> str:
    return bytes(value).decode()


@jsonable.register
# The singledispatch looks up a class.
def _(value: Mapping) -> dict[Any, Any]:  # type: ignore[type-arg]
    return dict(value)


@jsonable.register
def _(value: Pattern) -> Any:  # type: ignore[type-arg]  # as above
    return value.pattern


@jsonable.register
def _(value: float) -> float:
    return float(value)


def _list(value: Any) -> list[Any]:
    return list(value)


_LISTS: tuple[type, ...] = (set, frozenset, deque, tuple, GeneratorType)
_TEXTS: tuple[type, ...] = (
    PurePath,
    UUID,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

for _kinds, _make in ((_LISTS, _list), (_TEXTS, str)):
    for _kind in _kinds:
        jsonable.register(_kind, _make)


def after(default: Default) -> Default:
    """Return a default that asks an application's, and ``jsonable`` where that raises TypeError."""

    def ask(value: Any) -> Any:
        try:
            return default(value)
        except TypeError:
            return jsonable(value)

    return ask
