"""What may be published, and what a receiver makes of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import json
import re
import uuid
from collections import OrderedDict, deque, namedtuple
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, RootModel, SecretStr

from asgi_push import Push
from asgi_push.encoding import Encoder, decode_info, encode
from tests.asgi import pushing
from tests.endpoints.centrifuge.peers import house

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

    def __str__(self) -> str:
        return "something else"


class Topic(str, Enum):  # noqa: UP042  # a StrEnum prints as its value
    NEWS = "news"


class Price(BaseModel):
    amount: Decimal = Decimal("1.10")
    topic: Topic = Topic.NEWS
    secret: SecretStr = SecretStr("secret")
    id: int = Field(default=7, alias="orderId")


@dataclasses.dataclass
class Sale:
    price: Price


Point = namedtuple("Point", "x y")  # noqa: PYI024  # as it is written where nothing is typed


@given(st.text() | st.binary() | json_values)
def test_what_is_published_is_what_is_read(data: Any) -> None:
    """A str, bytes, or anything JSON comes out of a payload as it went in."""
    assert encode(data).decode() == data


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        ("text", b"text"),
        (Text("subclass"), b"subclass"),
        (Topic.NEWS, b"news"),
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
    "data",
    [
        object(),
        {"a": [object()]},
        2**64,
        "\ud800",
        Text("a\ud800"),
        {"a": "\ud800"},
        {"\ud800": 1},
        {object(): 1},
        [{"a": b"\xff"}],
        Decimal("1E+30"),
        Order,
    ],
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


ZONE = dt.timezone(dt.timedelta(hours=2))

# What a FastAPI endpoint may return.
RETURNED: list[Any] = [
    Price(),
    [Price()],
    {"price": Price()},
    Sale(Price()),
    Price().model_dump(),
    RootModel[list[int]]([1]),
    {"price": Decimal("1.10"), "count": Decimal(3), "much": Decimal("1E+2")},
    {"tags": {"a"}, "frozen": frozenset([1]), "deque": deque([1])},
    [dt.timedelta(minutes=5), dt.time(1, tzinfo=ZONE), dt.datetime(2024, 2, 29, tzinfo=ZONE), dt.date(2024, 2, 29)],
    {"file": PurePosixPath("/a"), "bytes": b"abc", "pattern": re.compile("a")},
    Point(1, Price()),
    {Topic.NEWS: Topic.NEWS, "colour": Colour.RED},
    {uuid.UUID(int=1): 1, dt.date(2024, 2, 29): Price()},
    [ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"), AnyUrl("http://a/"), SecretStr("a")],
    OrderedDict(a={1}),
    MappingProxyType({"a": Point(1, 2)}),
]


@pytest.mark.parametrize("data", RETURNED, ids=lambda value: f"{value!r:.40}")
def test_what_an_endpoint_returns_can_be_sent(data: Any) -> None:
    """With the choices of FastAPI's own encoder."""
    assert json.loads(encode(data).data) == jsonable_encoder(data)


def test_a_generator_is_read_once() -> None:
    """Also where other parts want a second look."""
    assert encode([Decimal(1), (number for number in range(3)), {1: 2}]).data == b'[1,[0,1,2],{"1":2}]'


def test_what_is_no_number_to_a_browser() -> None:
    """NaN is null, and a whole number beyond 2**53 is written as it is."""
    assert encode([float("nan"), float("inf"), Decimal("NaN"), 2**53 + 1]).data == b"[null,null,null,9007199254740993]"


def test_numpy() -> None:
    """Arrays are lists, of whatever they are."""
    numpy = pytest.importorskip("numpy")
    assert encode({"a": numpy.arange(3), "b": numpy.float32(0.5)}).data == b'{"a":[0,1,2],"b":0.5}'
    assert encode([numpy.array(["a", None], object), numpy.arange(4)[::2]]).data == b'[["a",null],[0,2]]'


def test_a_default_comes_first() -> None:
    """It may have its own word for what this package knows, and leaves the rest by a TypeError."""

    def default(value: Any) -> Any:
        if isinstance(value, complex):
            return [value.real, value.imag]
        if isinstance(value, Decimal):
            return str(value)
        raise TypeError

    encoder = Encoder(default, 100)
    assert encoder.encode({"a": 1j, "b": Decimal("1.10"), "c": {1}}).data == b'{"a":[0.0,1.0],"b":"1.10","c":[1]}'
    assert decode_info(encoder.encode_info(Decimal("1.10"))) == "1.10"
    with pytest.raises(ValueError, match=r"^data: .*object"):
        encoder.encode(object())
    with pytest.raises(ValueError, match=r"^data: .* more than queue_bytes"):
        encoder.encode("x" * 101)


def test_a_default_is_something_to_call() -> None:
    """Else it would fail at the first publication that needs it."""
    with pytest.raises(ValueError, match=r"^default: "):
        Push(default=str(1))  # type: ignore[arg-type]


def test_what_went_wrong_in_a_default_is_said() -> None:
    """orjson alone would tell of the type, and not why."""

    def default(value: Any) -> Any:
        raise LookupError("no such order")

    with pytest.raises(ValueError, match=r"^data: .*no such order"):
        encode(object(), default)


async def test_all_that_is_sent_is_encoded_alike() -> None:
    """What is published, what one session is sent, and what a call is answered; each with the same default."""

    def default(value: Any) -> Any:
        return "default" if isinstance(value, complex) else _refuse()

    data, wanted = {1: Decimal(2), "c": 1j}, {"1": 2, "c": "default"}
    async with pushing(default=default) as (push, server):
        client = await server.connect("/ws/alice")
        await push.send_to_user("alice", data)
        await push.sessions()[0].send(data)
        assert [json.loads(await client.receive()) for _ in range(2)] == [wanted, wanted]
    async with house(default=default, on_rpc=lambda session, method, _: data) as home:
        peer = await home.peer()
        assert (await peer.ask("rpc", method="x"))["rpc"]["data"] == wanted


def _refuse() -> Any:
    raise TypeError
