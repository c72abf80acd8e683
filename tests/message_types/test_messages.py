"""``Messages``: the types that an application declares, as JSON schemas."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from asgi_push import Messages, Push, SettingsError


class Order(BaseModel):
    id: int
    status: Literal["paid", "shipped"] = "paid"
    place: tuple[float, float] = (0.0, 0.0)


class Mistake(BaseModel):
    errors: list[str]


class Walk(BaseModel):
    type: Literal["walk"]


class Jump(BaseModel):
    type: Literal["jump"]
    height: int = 1


class Trip(BaseModel):
    steps: list[Annotated[Walk | Jump, Field(discriminator="type")]]


@dataclass
class Price:
    value: float
    order: Order


def names(messages: Messages, key: str) -> list[str]:
    return [payload.name for payload in messages.schemas.payloads[key]]


def test_a_union_is_a_message_for_each_type() -> None:
    """Whether it is written with | or with its discriminator; a type without a name gets that of its argument."""
    messages = Messages(
        to_user=Order | Mistake,
        to_all=str,
        from_client=Annotated[Walk | Jump, Field(discriminator="type")],
        channels={"price:{symbol}": list[Price]},
    )
    assert names(messages, "to_user") == ["Order", "Mistake"]
    assert names(messages, "from_client") == ["Walk", "Jump"]
    assert names(messages, "to_all") == ["EverybodyMessage"]
    assert names(messages, "channel price:{symbol}") == ["PriceMessage"]
    assert messages.schemas.payloads["to_all"][0].text


def test_what_is_sent_has_all_fields() -> None:
    """A default is sent, too; a client may leave it out."""
    messages = Messages(to_user=Jump, from_client=Jump)
    required = {name: schema["required"] for name, schema in messages.schemas.definitions.items()}
    assert required == {"JumpOutput": ["type", "height"], "JumpInput": ["type"]}
    assert names(messages, "to_user") == ["JumpOutput"]
    assert names(messages, "from_client") == ["JumpInput"]


def test_schemas_are_in_the_words_of_asyncapi() -> None:
    """No discriminator object, no prefixItems; one of several words has a name; all names are also titles."""
    found = Messages(to_user=Order, from_client=Trip, to_all=Price).schemas.definitions
    assert set(found) == {"Order", "Trip", "Walk", "Jump", "Price"}
    assert all(schema["title"] == name for name, schema in found.items())
    assert found["Order"]["properties"]["status"]["title"] == "OrderStatus"
    assert found["Order"]["properties"]["place"]["items"] == [{"type": "number"}, {"type": "number"}]
    assert set(found["Trip"]["properties"]["steps"]["items"]) == {"oneOf"}
    assert found["Price"]["properties"]["order"] == {"$ref": "#/components/schemas/Order"}


def test_a_json_schema_is_taken_as_it_is() -> None:
    """What it defines itself stands among all others, under names that are its own; given twice, it is there once."""
    given = {
        "title": "Order",
        "type": "object",
        "properties": {"id": {"$ref": "#/$defs/Order"}},
        "$defs": {"Order": {"type": "integer"}},
    }
    messages = Messages(to_user=Order, to_all=given, channels={"orders": {"title": "News"}, "news": {"title": "News"}})
    found = messages.schemas.definitions
    assert found["Order"]["properties"]["id"] == {"type": "integer"}
    assert found["Order2"] == {"type": "integer"}
    assert found["Order3"]["properties"]["id"] == {"$ref": "#/components/schemas/Order2"}
    assert names(messages, "to_all") == ["Order3"]
    assert set(found) == {"Order", "Order2", "Order3", "News"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"to_user": Callable[[], int]}, "to_user: .* cannot be described"),
        ({"rpc": {"add": (Order, object())}}, "rpc: 'add': .* cannot be described"),
        ({"rpc": {"add": Order}}, "rpc: 'add': must be two types"),
        ({"rpc": Order}, "rpc: must be types by name"),
        ({"ask": Order}, "ask: must be two types"),
        ({"channels": {"": Order}}, "channels: must be text of 1 to 255 bytes"),
        ({"channels": {"#11": Order}}, "channels: '#11' is declared by to_all or to_user"),
        ({"channels": {"*": Order}}, r"channels: '\*' is declared by to_all or to_user"),
        ({"channels": {"order:{": Order}}, "channels: 'order:{' cannot hold '{' here"),
        ({"channels": {"a?b": Order}}, r"channels: 'a\?b' cannot hold '\?' here"),
        ({"channels": {"news": {"enum": {1, 2}}}}, "channels: 'news': no JSON schema"),
        ({"title": ""}, "title: must be text"),
        ({"version": 2}, "version: must be text"),
    ],
)
def test_what_cannot_be_declared(given: dict[str, Any], says: str) -> None:
    """A ValueError names the argument, when it is declared and not when somebody reads the description."""
    with pytest.raises(ValueError, match=says):
        Messages(**given)


def test_without_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JSON schema needs nothing; a type says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    Messages(to_user={"type": "object"})
    with pytest.raises(ValueError, match="to_user: Pydantic describes types, and is not installed"):
        Messages(to_user=Order)


def test_push_takes_nothing_else() -> None:
    """A model in the place of Messages is an error at start that names the argument."""
    with pytest.raises(SettingsError, match="messages: must be Messages, not"):
        Push(messages=Order)  # type: ignore[arg-type]
