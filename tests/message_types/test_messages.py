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


class Pet(BaseModel):
    discriminator: str
    properties: int
    kind: dict[str, Any] = {"discriminator": {}, "prefixItems": [1]}


class Alien(BaseModel):
    kind: dict[str, Any] = {"$ref": "#/$defs/Alien-Input"}  # which Pydantic takes for its own


class Move(BaseModel):
    to: int = 0


class MoveInput(BaseModel):
    by: str


def test_words_of_json_schema_may_be_names_and_data() -> None:
    """A field is there whatever its name is, and a default is what it was."""
    found = Messages(to_user=Pet).schemas.definitions["Pet"]
    assert set(found["properties"]) == {"discriminator", "properties", "kind"}
    assert found["properties"]["kind"]["default"] == {"discriminator": {}, "prefixItems": [1]}


def test_each_type_has_a_name_of_its_own() -> None:
    """Also one whose name is what another is called as clients send it, and definitions with a number in theirs."""
    messages = Messages(
        to_user=Move,
        from_client=Move | MoveInput,
        to_all={
            "$defs": {"Move": {"minimum": 1}, "MoveInput": {"minimum": 2}, "MoveInput2": {"minimum": 3}},
            "items": [{"$ref": f"#/$defs/{name}"} for name in ("Move", "MoveInput", "MoveInput2")],
        },
    )
    found = messages.schemas.definitions
    sent, by_clients = names(messages, "to_user"), names(messages, "from_client")
    assert [list(found[name]["properties"]) for name in (*sent, *by_clients)] == [["to"], ["to"], ["by"]]
    (given,) = messages.schemas.payloads["to_all"]
    places = [item["$ref"].rpartition("/")[2] for item in given.schema["items"]]
    assert [found[name] for name in places] == [{"minimum": 1}, {"minimum": 2}, {"minimum": 3}]


def test_references_lead_where_they_led() -> None:
    """To the schema itself, to a part of a definition, by the old word for definitions, to odd names."""
    messages = Messages(
        to_user={"properties": {"next": {"$ref": "#"}, "text": {"$ref": "#/properties/next"}}},
        to_all={"definitions": {"a/b": {"properties": {"c": {}}}}, "$ref": "#/definitions/a~1b/properties/c"},
        channels={"news": {"title": "\u6ce8", "$defs": {"My Type": {}}, "allOf": [{"$ref": "#/$defs/My%20Type"}]}},
    )
    place = "#/components/schemas/"
    assert messages.schemas.definitions == {
        "UserMessage": {
            "properties": {
                "next": {"$ref": f"{place}UserMessage"},
                "text": {"$ref": f"{place}UserMessage/properties/next"},
            }
        },
        "a_b": {"properties": {"c": {}}},
        "My_Type": {},
        "NewsMessage": {"title": "\u6ce8", "allOf": [{"$ref": f"{place}My_Type"}]},
    }
    assert names(messages, "to_all") == ["EverybodyMessage"]
    assert messages.schemas.payloads["to_all"][0].schema == {"$ref": f"{place}a_b/properties/c"}


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
        ({"to_all": Alien}, "to_all: .* cannot be described: KeyError"),
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
        ({"to_user": {"$ref": "#/$defs/Order"}}, r"to_user: it has no '#/\$defs/Order'"),
        ({"to_all": {"$defs": {}, "items": {"$ref": "#/$defs"}}}, r"to_all: it has no '#/\$defs'"),
        ({"ask": ({"definitions": []}, Order)}, "ask: no JSON schema: definitions must be an object"),
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
