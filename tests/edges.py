"""Values at the edge of their types, and a server of which no exception may come."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from asgi_push import ChannelOptions, Push, Session
from tests import asgi
from tests.asgi import Server

EXAMPLES = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])

# The edges of 32, 53 and 64 bits, and what no type holds.
_WHOLE = [0, 1, -1, -2, 2**31 - 1, 2**31, -(2**31) - 1, 2**32 - 1, 2**32, 2**53, 2**63, -(2**63), 2**64 - 1, 2**64]
NUMBERS = [*map(str, _WHOLE), "1" * 40, "9" * 5000, "1e400", "-1e400", "1e308", "1.0", "-0"]

_LONG = ["x" * 255, "x" * 256, "é" * 128]
_TEXTS = ["", "a", "news", "#11", "*", "\ud800", "\U0001f600", "\0", "a\nb", "%ff", "1e400", *_LONG]
_SHAPES = ["null", "true", "false", "[]", "{}", "[[]]", "[" * 300 + "]" * 300, '{"a":1,"a":2}']
_NO_JSON = ["NaN", "", "'", '"\xff"', '{"a"']

json_values = st.sampled_from([*NUMBERS, *map(json.dumps, _TEXTS), *_SHAPES, *_NO_JSON])
json_values |= st.text(max_size=5).map(json.dumps)


@st.composite
def json_objects(draw: st.DrawFn, names: list[str]) -> str:
    """A JSON object as text, in which a name may come twice."""
    inner = json_values | st.just('{"offset":18446744073709551615,"epoch":"x"}')
    members = draw(st.lists(st.tuples(st.sampled_from(names), inner), max_size=5))
    return "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"


queries = st.binary(max_size=30) | st.sampled_from(
    [
        b"channels=%ff",
        b"channels=%00",
        b"channels=%ed%a0%80",
        b"channels=\xff",
        b"channels=" + b"a," * 300,
        b"channels=" + b"x" * 256,
        b"channels=a&channels=%80",
        b"channels=%23" + b"12,*",
        b"format=%ff",
        b"lastEventId=%ff",
        b"&&&=%",
    ]
)


@contextmanager
def no_exception() -> Iterator[None]:
    """Hold that no line of this package's log is an error, or has a traceback."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("asgi_push")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    bad = [record.getMessage() for record in records if record.exc_info or record.levelno >= logging.ERROR]
    assert not bad, bad


async def _on_rpc(session: Session, method: str, data: Any) -> Any:
    return {"method": method}


async def _on_message(session: Session, data: Any) -> None:
    """Take it."""


_OPTIONS: dict[str, Any] = {
    "authorize": lambda *_: True,
    "on_rpc": _on_rpc,
    "on_message": _on_message,
    "namespaces": {"": ChannelOptions(presence=True, join_leave=True)},
}


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[Push, Server]]:
    """A server whose application allows everything."""
    with no_exception():
        async with asgi.pushing(**(_OPTIONS | options)) as found:
            yield found
