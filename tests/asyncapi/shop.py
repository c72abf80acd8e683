"""An application that declares a bit of everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # before Python 3.12 Pydantic takes no other

from asgi_push import Messages


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    name: str
    price: Decimal
    color: Color = Color.RED


class Order(BaseModel):
    """An order of a user."""

    type: Literal["order"] = "order"
    id: int
    status: Literal["paid", "shipped"] = "paid"
    lines: list[Line] = []
    place: tuple[float, str] = (0.5, "m")
    note: str | None = None


class Mistake(BaseModel):
    type: Literal["mistake"] = "mistake"
    errors: list[str]


@dataclass
class Price:
    symbol: str
    value: float
    at: datetime


class News(TypedDict):
    title: str
    by: NotRequired[str]


class Say(BaseModel):
    type: Literal["say"]
    text: str = Field(max_length=500)


class Move(BaseModel):
    type: Literal["move"]
    x: int
    y: int = 0


class User(BaseModel):
    """A name that generators might give to something else."""

    name: str
    friends: list[User] = []
    last: Annotated[Say | Move, Field(discriminator="type")]


class Sum(BaseModel):
    numbers: list[float]


class Sure(BaseModel):
    question: str


GIVEN: dict[str, Any] = {
    "title": "Given",
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}},
    "$defs": {"A": {"type": "integer"}},
}

MESSAGES = Messages(
    to_user=Order | Mistake,
    to_all=str,
    channels={
        "price:{symbol}": Price,
        "news": News,
        "users": User | Mistake,
        "moves": Move,
        "raw": bytes,
        "given": GIVEN,
    },
    from_client=Annotated[Say | Move, Field(discriminator="type")],
    rpc={"add": (Sum, float), "price.of": (str, Price | None)},
    ask=(Sure, bool),
)
