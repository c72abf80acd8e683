"""Turns declared types into JSON schemas that refer to each other by name. Pure."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from .given import PLACE, GivenSchema
from .names import unique, without_dash
from .portable import portable

if TYPE_CHECKING:
    from .pydantic_schemas import Mode


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

    __slots__ = ("_known", "definitions", "payloads")

    def __init__(self, declared: Mapping[str, Declared]) -> None:
        self.definitions: dict[str, Any] = {}
        self._known: dict[str, dict[str, Any]] = {}
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
        taken = dict.fromkeys(name for name in definitions if without_dash(name) == name)
        names: dict[str, str] = {}
        for given in definitions:
            names[given] = given if given in taken else unique(without_dash(given), taken)
            taken[names[given]] = None

        def rename(reference: str) -> str:
            name = reference.removeprefix(PLACE)
            return PLACE + names[name] if name in names else reference

        for given, schema in definitions.items():
            name = names[given]
            # Generators name types by the title, so it has to be as unique as the name.
            self.definitions[name] = portable(schema, rename) | {"title": name}
            _name_choices(name, self.definitions[name])
        return {place: portable(schema, rename) for place, schema in found.items()}

    def _reserve(self, name: str) -> str:
        found = unique(name, self.definitions)
        self.definitions[found] = {}
        return found

    def _given(self, item: Declared, kind: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schema that an application gave; one that was given before is the same."""
        text = repr(kind)
        if text not in self._known:
            made = GivenSchema(item.argument, kind, item.name, self._reserve)
            self.definitions |= made.definitions
            self._known[text] = made.schema
        return self._known[text]

    def _payload(self, item: Declared, kind: Any, schema: Mapping[str, Any]) -> Payload:
        name = schema.get("$ref", "").removeprefix(PLACE)
        if not name or "/" in name:  # it has none, or is a part of what has one
            name = item.name
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


def _name_choices(name: str, definition: Mapping[str, Any]) -> None:
    """Give a title to each field of a record that is one of several words: Order, status.

    Generators make a type of it, which is then OrderStatus.
    """
    for key, schema in definition.get("properties", {}).items():
        if "enum" in schema and "title" not in schema:
            schema["title"] = name + key[:1].upper() + key[1:]
