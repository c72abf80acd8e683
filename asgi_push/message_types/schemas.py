"""Turns declared types into JSON schemas that refer to each other by name. Pure."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import orjson

if TYPE_CHECKING:
    from .pydantic_schemas import Mode

# Where a document has the schemas that others refer to.
PLACE = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Declared:
    """A type that an application declared.

    Attributes:
        argument: how errors call it.
        name: what its message is called if its type has no name.
        kind: the type, or a JSON schema.
        mode: whether clients send it or get it.
    """

    argument: str
    name: str
    kind: Any
    mode: "Mode"


@dataclass(frozen=True, slots=True)
class Payload:
    """One message's data.

    Attributes:
        name: its type's, or else what it is declared for.
        schema: a reference by name, or a schema.
        binary: whether it is bytes.
        text: whether it is a ``str``, which is sent as it is.
    """

    name: str
    schema: Mapping[str, Any]
    binary: bool = False
    text: bool = False


class Schemas:
    """The schemas of several declared types.

    Raises:
        ValueError: a type cannot be described; the message names the argument and says why.
    """

    __slots__ = ("definitions", "payloads")

    def __init__(self, declared: Mapping[str, Declared]) -> None:
        self.definitions: dict[str, Any] = {}
        self.payloads: dict[str, list[Payload]] = {key: [] for key in declared}
        one_by_one = [
            (key, item, kind) for key, item in declared.items() for kind in members(item.kind)
        ]
        types = {
            place: (kind, item.mode)
            for place, (_, item, kind) in enumerate(one_by_one)
            if not isinstance(kind, Mapping)
        }
        for place in types:
            _check_type(one_by_one[place][1], one_by_one[place][2])
        made = self._describe(types) if types else {}
        for place, (key, item, kind) in enumerate(one_by_one):
            schema = made[place] if place in made else self._given(item, kind)
            self.payloads[key].append(self._payload(item, kind, schema))

    def _describe(self, types: Mapping[int, tuple[Any, "Mode"]]) -> dict[int, dict[str, Any]]:
        from .pydantic_schemas import schemas_of  # noqa: PLC0415

        found, definitions = schemas_of(types, PLACE + "{model}")
        for given, schema in definitions.items():
            name = _without_dash(given)
            # Generators name types by the title, so it has to be as unique as the name.
            self.definitions[name] = portable(schema) | {"title": name}
            _name_choices(name, self.definitions[name])
        return {place: portable(schema) for place, schema in found.items()}

    def _given(self, item: Declared, kind: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schema that an application gave, with its own definitions among all others."""
        try:
            schema = orjson.loads(orjson.dumps(dict(kind)))
        except orjson.JSONEncodeError as error:
            raise ValueError(f"{item.argument}: no JSON schema: {error}") from None
        own = schema.pop("$defs", {})
        names = {name: unique(name, self.definitions) for name in own}
        for name, definition in own.items():
            self.definitions[names[name]] = portable(definition, names)
        found: dict[str, Any] = portable(schema, names)
        title = found.get("title")
        if not isinstance(title, str):
            return found
        name = _identifier(title)
        if self.definitions.get(name) != found:
            name = unique(name, self.definitions)
            self.definitions[name] = found
        return {"$ref": PLACE + name}

    def _payload(self, item: Declared, kind: Any, schema: Mapping[str, Any]) -> Payload:
        reference = schema.get("$ref", "")
        name = reference.removeprefix(PLACE) if reference else item.name
        return Payload(name, schema, kind is bytes, kind is str)


def members(kind: Any) -> Sequence[Any]:
    """Return the types of a union, or the type itself."""
    if get_origin(kind) is Annotated and _is_union(get_args(kind)[0]):
        kind = get_args(kind)[0]
    return get_args(kind) if _is_union(kind) else (kind,)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _check_type(item: Declared, kind: Any) -> None:
    if importlib.util.find_spec("pydantic") is None:
        raise ValueError(
            f"{item.argument}: Pydantic describes types, and is not installed; "
            "install pydantic, or give a JSON schema"
        )
    from .pydantic_schemas import schema_of  # noqa: PLC0415

    try:
        schema_of(kind, item.mode)
    except ValueError as error:
        raise ValueError(f"{item.argument}: {error}") from None


def portable(schema: Any, names: Mapping[str, str] | None = None) -> Any:
    """Return a schema in the words of AsyncAPI, which are those of draft 7.

    ``names`` are those that the schema's own definitions have among all others.
    """
    if isinstance(schema, list):
        return [portable(item, names) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: portable(value, names) for key, value in schema.items()}
    reference = found.get("$ref")
    if names and isinstance(reference, str) and reference.startswith("#/$defs/"):
        found["$ref"] = PLACE + names[reference.removeprefix("#/$defs/")]
    elif isinstance(reference, str):
        found["$ref"] = _without_dash(reference)
    if isinstance(found.get("discriminator"), dict):  # OpenAPI's; here it is a name alone
        del found["discriminator"]
    if isinstance(found.get("prefixItems"), list):
        found["items"] = found.pop("prefixItems")
        found["additionalItems"] = False
    return found


def _without_dash(name: str) -> str:
    """Return MoveInput for Move-Input: Pydantic's name is no name in most languages."""
    return name.replace("-Input", "Input").replace("-Output", "Output")


def _name_choices(name: str, definition: Mapping[str, Any]) -> None:
    """Give a title to each field of a record that is one of several words: Order, status.

    Generators make a type of it, which is then OrderStatus.
    """
    for key, schema in definition.get("properties", {}).items():
        if "enum" in schema and "title" not in schema:
            schema["title"] = name + key[:1].upper() + key[1:]


def unique(name: str, taken: Any) -> str:
    """Return a name, or with a number at its end if it is taken."""
    found = name
    number = 2
    while found in taken:
        found = f"{name}{number}"
        number += 1
    return found


def _identifier(text: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in text)
